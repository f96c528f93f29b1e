import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Weights from "../../../src/layers/model/Weights.ts"
import { hasShared, readSharedJson, sharedPath } from "../../sharedData.ts"
import { referenceForward } from "./referenceForward.ts"

interface Case {
  readonly prompt: ReadonlyArray<number>
  readonly lastLogits: ReadonlyArray<number>
}

interface StoriesGolden {
  readonly prompt_ids: ReadonlyArray<number>
  readonly logits_after_prompt: ReadonlyArray<number>
}

const load = Effect.fnUntraced(function*(path: string) {
  const { config, tensors } = yield* Weights.read(path)
  const weights = new Map((yield* Stream.runCollect(tensors)).map(({ data, name }) => [name, data]))
  return { config, weights }
})

const assertClose = (found: Float64Array, expected: ReadonlyArray<number>, tolerance: number) => {
  assert.strictEqual(found.length, expected.length)
  const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i]!)), 0)
  assert.isAtMost(worst, tolerance)
}

describe("weights as the loader hands them on compute what ../shared/data/tiny-models records", () => {
  for (const name of ["llama3", "qwen2", "qwen3"]) {
    it.effect.skipIf(!hasShared("tiny-models/hf"))(`hf/${name}`, () =>
      Effect.gen(function*() {
        const { config, weights } = yield* load(sharedPath(`tiny-models/hf/${name}`))
        const golden = readSharedJson<{ readonly cases: ReadonlyArray<Case> }>(`tiny-models/hf/${name}/golden.json`)
        assert.deepStrictEqual(golden.cases.map(({ prompt }) => prompt.length), [5, 37, 300])
        for (const { lastLogits, prompt } of golden.cases.slice(0, 2)) {
          assertClose(referenceForward(config, weights, prompt).at(-1)!, lastLogits, 1e-5)
        }
      }).pipe(Effect.provide(NodeServices.layer)))
  }

  it.effect.skipIf(!hasShared("tiny-models/stories260K"))(
    "stories260K, in the layout of llama2.c",
    () =>
      Effect.gen(function*() {
        const { config, weights } = yield* load(sharedPath("tiny-models/stories260K"))
        const golden = readSharedJson<StoriesGolden>("tiny-models/stories260K/golden.json")
        assertClose(referenceForward(config, weights, golden.prompt_ids).at(-1)!, golden.logits_after_prompt, 1e-5)
      }).pipe(Effect.provide(NodeServices.layer))
  )
})
