import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Presets from "../../src/domain/Presets.ts"
import { Question } from "../../src/domain/Question.ts"
import { sampledTexts, type Segment, tokenCount } from "../../src/domain/Trajectory.ts"
import * as PolicyScripted from "../../src/layers/policy/PolicyScripted.ts"
import * as TokenizerBytes from "../../src/layers/tokenizer/TokenizerBytes.ts"
import * as Rollout from "../../src/programs/Rollout.ts"
import { Retriever } from "../../src/services/Retriever.ts"

const question = new Question({ id: "q", dataSource: "nq", question: "who?", goldenAnswers: ["x"] })

/** Every sampled token has its log-probability. */
const assertAligned = (segments: ReadonlyArray<Segment>): void => {
  const sampled = segments.filter((segment) => segment._tag === "Sampled")
  assert.isAbove(sampled.length, 0)
  for (const { ids, logProbs } of sampled) assert.strictEqual(logProbs?.length, ids.length)
}

const rollout = (text: string, compat: Partial<Presets.Compat>, options: Partial<Rollout.Options> = {}) =>
  Effect.map(
    Rollout.run({ promptKey: "p", question }, 0, {
      maxTurns: 1,
      finalTurn: false,
      ...options,
      compat: { ...Presets.fixed, ...compat }
    }),
    (outcome) => {
      assert(outcome._tag === "Completed")
      return outcome.trajectory.segments
    }
  ).pipe(Effect.provide(
    Layer.mergeAll(
      PolicyScripted.layer([text]),
      Layer.succeed(Retriever, Retriever.fromSearch("none", () => Effect.succeed([])))
    ).pipe(Layer.provideMerge(TokenizerBytes.layer))
  ))

describe("switches of a rollout", () => {
  it.effect("trainEos: a sampled end of text is kept, or left out with its log-probability (Q2)", () =>
    Effect.gen(function*() {
      const kept = yield* rollout("I give up.", { trainEos: true })
      const dropped = yield* rollout("I give up.", { trainEos: false })
      assert.deepStrictEqual(sampledTexts(kept), ["I give up.<|endoftext|>"])
      assert.deepStrictEqual(sampledTexts(dropped), ["I give up."])
      assert.strictEqual(tokenCount(kept), tokenCount(dropped) + 1)
      assertAligned(kept)
      assertAligned(dropped)
    }))

  it.effect("overflow: what slides out of a response takes its log-probabilities along (Q7)", () =>
    Effect.gen(function*() {
      const promptTokens = tokenCount((yield* rollout("x", {})).slice(0, 1))
      // the limit falls into each kind of segment, and at every place of a sampled one
      for (let more = 100; more < 145; more += 1) {
        const maxContextTokens = promptTokens + more
        const segments = yield* rollout("<search>x</search>", { overflow: "slide" }, {
          maxTurns: 30,
          maxResponseTokens: 40,
          maxObservationTokens: 60,
          maxContextTokens
        })
        assert.strictEqual(tokenCount(segments.slice(1)), maxContextTokens)
        assertAligned(segments)
        for (const { ids, text } of segments) {
          assert.isAbove(ids.length, 0, "nothing stands behind the limit")
          assert.strictEqual(text, String.fromCharCode(...ids))
        }
      }
    }))

  it.effect("cutRule: behind the first search wherever it is, or behind the leftmost action (Q3)", () =>
    Effect.gen(function*() {
      const text = "<answer>a</answer> <search>b</search> c"
      const cut = (cutRule: Presets.Compat["cutRule"]) => rollout(text, { cutRule, stop: "postHoc" })
      assert.deepStrictEqual(sampledTexts(yield* cut("leftmost")), ["<answer>a</answer>"])
      assert.deepStrictEqual(sampledTexts(yield* cut("searchFirst")), ["<answer>a</answer> <search>b</search>"])
    }))
})
