import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import * as PolicyScripted from "../../src/layers/policy/PolicyScripted.ts"
import * as RewardExactMatch from "../../src/layers/reward/RewardExactMatch.ts"
import * as Rollout from "../../src/programs/Rollout.ts"
import { RolloutLine } from "../../src/programs/rollout/Record.ts"
import * as ScoredRollouts from "../../src/programs/ScoredRollouts.ts"
import { RetrieverRejected } from "../../src/services/Retriever.ts"
import { bodies, prompts, retriever, Tokens } from "../support/rollouts.ts"

const Services = Layer.mergeAll(
  PolicyScripted.layer(({ promptKey, turn }) => turn === 0 ? `<search>${promptKey}</search>` : "<answer>a</answer>"),
  retriever((query, topK) =>
    query === "p1"
      ? Effect.fail(new RetrieverRejected({ retriever: "test", status: 503, body: "busy", retryAfterMillis: 1000 }))
      : Effect.succeed(bodies(query, topK))
  ),
  RewardExactMatch.layer()
).pipe(Layer.provideMerge(Tokens))

describe("RolloutRecord", () => {
  it.effect("reads back what it wrote, trajectories and failures alike", () =>
    Effect.gen(function*() {
      const outcomes = yield* Stream.runCollect(
        ScoredRollouts.score(Rollout.outcomes(prompts(3), { order: "input", groupSize: 2 }))
      )
      assert.deepStrictEqual(outcomes.map((outcome) => outcome._tag), [
        "Scored",
        "Scored",
        "Failed",
        "Failed",
        "Scored",
        "Scored"
      ])
      assert.strictEqual(outcomes[0]?._tag === "Scored" ? outcomes[0].scored.reward : -1, 1)
      for (const outcome of outcomes) {
        const line = yield* Schema.encodeEffect(RolloutLine)(outcome)
        assert.notInclude(line, "\n")
        assert.deepStrictEqual(yield* Schema.decodeEffect(RolloutLine)(line), outcome)
      }
    }).pipe(Effect.provide(Services)))
})
