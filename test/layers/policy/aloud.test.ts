import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { onPolicy } from "../../../src/domain/Sampling.ts"
import { shippedModel } from "../../../src/layers/assets.ts"
import * as Pretrained from "../../../src/layers/model/Pretrained.ts"
import * as PolicyEngine from "../../../src/layers/policy/PolicyEngine.ts"
import { Policy } from "../../../src/services/Policy.ts"

const options = { model: shippedModel, device: "wasm", threads: 1 } as const

describe("a generation that is followed", () => {
  it.live.each(
    [
      ["in this thread", PolicyEngine.layerLocal(options)],
      ["in a thread of its own", PolicyEngine.layer(options)]
    ] as const
  )("tells its text piece by piece and is the one that nobody followed (%s)", ([, engine]) =>
    Effect.gen(function*() {
      const policy = yield* Policy
      const { tokenizer } = yield* Pretrained.open(shippedModel)
      const generate = { maxTokens: 12, sampling: onPolicy, stop: ["</answer>"] }
      const open = policy.session({
        promptKey: "aloud",
        sample: 0,
        seed: "aloud",
        ids: tokenizer.encode("Question: Who founded Petan Foods?\n")
      })
      const silent = yield* Effect.scoped(Effect.flatMap(open, (session) => session.generate(generate)))
      const pieces: Array<string> = []
      const aloud = yield* Effect.scoped(
        Effect.flatMap(open, (session) => session.generate(generate, (piece) => Effect.sync(() => pieces.push(piece))))
      )
      assert.deepStrictEqual(aloud.ids, silent.ids)
      assert.isAbove(pieces.length, 1)
      assert.strictEqual(pieces.join(""), aloud.text)
    }).pipe(Effect.provide(Layer.provideMerge(engine, NodeServices.layer))))
})
