/**
 * A real instruction-tuned model of 135 M weights. It is not part of the repository: `../shared/data/tiny-models/smollm2`
 * tells how to get it; `SMOLLM2_DIRECTORY` names the folder it was put in.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ModelConfig } from "../../../../src/domain/ModelConfig.ts"
import { greedy } from "../../../../src/domain/Sampling.ts"
import * as Pretrained from "../../../../src/layers/model/Pretrained.ts"
import * as Engine from "../../../../src/layers/policy/engine/Engine.ts"
import type { ChatMessage } from "../../../../src/services/Tokenizer.ts"
import { allClose, devices, golden, noModels } from "./fixtures.ts"

const directory = process.env["SMOLLM2_DIRECTORY"]

interface Conversations {
  readonly cases: ReadonlyArray<{
    readonly messages: ReadonlyArray<ChatMessage>
    readonly text: string
    readonly ids: ReadonlyArray<number>
    readonly tokenLogprobs: ReadonlyArray<number>
    readonly greedy: ReadonlyArray<number>
    readonly greedyText: string
  }>
}

for (const device of devices.filter(({ name }) => name !== "DeviceCpu")) {
  const absent = directory === undefined ? "SMOLLM2_DIRECTORY names no folder" : noModels ?? device.absent
  describe.skipIf(absent !== undefined)(
    `SmolLM2-135M on ${device.name}${absent === undefined ? "" : `: ${absent}`}`,
    () => {
      it.effect("renders, scores and writes as transformers does", () =>
        Effect.gen(function*() {
          const { tokenizer, weights } = yield* Pretrained.open(directory ?? "")
          // Whoever recorded this had cast the whole module to bfloat16, the rotary frequencies included. transformers
          // over the checkpoint itself, whose frequencies are exact, is 0.0131 away from the record.
          const config = new ModelConfig({ ...weights.config, ropePrecision: "bfloat16" })
          const { policy } = yield* Engine.make({ ...weights, config }, tokenizer)
          for (const expected of golden<Conversations>("smollm2").cases) {
            const text = yield* tokenizer.applyChatTemplate(expected.messages, { addGenerationPrompt: true })
            assert.strictEqual(text, expected.text)
            const ids = tokenizer.encode(text)
            assert.deepStrictEqual([...ids], expected.ids)
            const [scores] = yield* policy.logProbs([ids])
            allClose(scores!.logProbs.slice(1), expected.tokenLogprobs, 2e-3, "log-probabilities")
            const session = yield* policy.session({ promptKey: text, sample: 0, ids, seed: "s" })
            const generation = yield* session.generate({ maxTokens: 24, sampling: greedy, stop: [] })
            assert.deepStrictEqual([...generation.ids], expected.greedy)
            assert.strictEqual(generation.text, expected.greedyText)
          }
        }).pipe(Effect.provide([device.layer, NodeServices.layer])), 300_000)
    }
  )
}
