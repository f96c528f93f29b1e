/** What a rollout and many of them may use at most: the context, sessions, what is in flight. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Ref, Stream } from "effect"
import { fixed, reference } from "../../src/domain/Presets.ts"
import { renderPrompt } from "../../src/domain/Protocol.ts"
import { tokenCount } from "../../src/domain/Trajectory.ts"
import * as PolicyScripted from "../../src/layers/policy/PolicyScripted.ts"
import * as Rollout from "../../src/programs/Rollout.ts"
import { Policy } from "../../src/services/Policy.ts"
import type { Tokenizer } from "../../src/services/Tokenizer.ts"
import { prompt, prompts, question, recordingRetriever, retriever, Tokens } from "../support/rollouts.ts"

const scripted = (...script: readonly [string, ...ReadonlyArray<string>]) =>
  PolicyScripted.layer(script).pipe(Layer.provideMerge(Tokens))

/** How many of something there are, and the most there ever were. */
const gauge = () => {
  const counts = { now: 0, most: 0 }
  const enter = Effect.sync(() => {
    counts.most = Math.max(counts.most, ++counts.now)
  })
  return { counts, held: Effect.acquireRelease(enter, () => Effect.sync(() => void counts.now--)) }
}

describe("a rollout's context", () => {
  const tokens = { maxResponseTokens: 40, maxObservationTokens: 60 }
  const promptTokens = renderPrompt("search", question.question).length

  const run = Effect.fnUntraced(function*(contextTokens: number) {
    const queries = yield* Ref.make<ReadonlyArray<string>>([])
    const outcome = yield* Rollout.run(prompt("p"), 0, { ...tokens, maxContextTokens: contextTokens, topK: 1 }).pipe(
      Effect.provide(scripted("<search>x</search>")),
      Effect.provide(recordingRetriever(queries))
    )
    assert(outcome._tag === "Completed")
    return { ...outcome.trajectory, queries: yield* Ref.get(queries) }
  })

  it.effect("is searched for only where the turn, its observation and a last turn all fit", () =>
    Effect.gen(function*() {
      const turn = 2 * tokens.maxResponseTokens + tokens.maxObservationTokens
      const enough = yield* run(promptTokens + turn)
      assert.deepStrictEqual(enough.queries, ["x"])
      assert.deepStrictEqual(enough.segments.map(({ _tag }) => _tag), ["Prompt", "Sampled", "Observation", "Sampled"])
      const less = yield* run(promptTokens + turn - 1)
      assert.deepStrictEqual(less.queries, [])
      assert.deepStrictEqual(less.segments.map(({ _tag }) => _tag), ["Prompt", "Sampled"])
      assert.strictEqual(less.ending, "budget")
    }))

  it.effect("holds every result that was searched for, whatever its size", () =>
    Effect.gen(function*() {
      for (let contextTokens = promptTokens + 40; contextTokens < promptTokens + 500; contextTokens += 7) {
        const { counts, queries, segments } = yield* run(contextTokens)
        const observed = segments.filter(({ _tag }) => _tag === "Observation").length
        assert.strictEqual(observed, queries.length, `${contextTokens}`)
        assert.strictEqual(counts.executedSearches, queries.length)
        assert.isAtMost(tokenCount(segments), contextTokens)
      }
    }))
})

describe("what is open during rollouts", () => {
  /** The scripted policy with its sessions counted. */
  const counted = (sessions: ReturnType<typeof gauge>, policy: Layer.Layer<Policy | Tokenizer>) =>
    Layer.effect(
      Policy,
      Effect.map(Policy, (policy) =>
        Policy.of({
          ...policy,
          session: (options) => Effect.andThen(sessions.held, policy.session(options))
        }))
    ).pipe(Layer.provideMerge(policy))

  it.effect("is one session a rollout, also where each turn has its own", () =>
    Effect.gen(function*() {
      for (const compat of [fixed, { ...fixed, stop: "postHoc" as const }, reference]) {
        const sessions = gauge()
        const outcome = yield* Rollout.run(prompt("p"), 0, { compat, maxTurns: 3 }).pipe(
          Effect.provide(Layer.mergeAll(counted(sessions, scripted("<search>x</search>")), retriever()))
        )
        assert(outcome._tag === "Completed")
        assert.strictEqual(outcome.trajectory.counts.turns, 4)
        assert.deepStrictEqual(sessions.counts, { now: 0, most: 1 })
      }
    }))

  it.effect("is as many rollouts as allowed, in groups and one by one, and no more", () =>
    Effect.gen(function*() {
      const drained = [
        (options: Partial<Rollout.Options>) => Stream.runDrain(Rollout.groups(prompts(8), options)),
        (options: Partial<Rollout.Options>) => Stream.runDrain(Rollout.outcomes(prompts(8), options))
      ]
      for (const all of drained) {
        for (const [groupSize, concurrency] of [[4, 2], [3, 5], [2, 8], [1, 3]] as const) {
          const sessions = gauge()
          const slow = retriever(() => Effect.as(Effect.forEach(Array.from({ length: 5 }), () => Effect.yieldNow), []))
          yield* all({ groupSize, concurrency }).pipe(
            Effect.provide(counted(sessions, scripted("<search>x</search>", "<answer>A</answer>"))),
            Effect.provide(slow)
          )
          assert.deepStrictEqual(sessions.counts, { now: 0, most: concurrency }, `${groupSize} of ${concurrency}`)
        }
      }
    }))
})
