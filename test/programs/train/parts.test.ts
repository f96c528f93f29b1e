/** The parts of a training step by themselves: what is collected, evaluated, told and written down. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Result, type Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Question } from "../../../src/domain/Question.ts"
import * as RunConfig from "../../../src/domain/RunConfig.ts"
import * as PolicyScripted from "../../../src/layers/policy/PolicyScripted.ts"
import * as QuestionsMemory from "../../../src/layers/questions/QuestionsMemory.ts"
import * as RewardExactMatch from "../../../src/layers/reward/RewardExactMatch.ts"
import * as RunLogMemory from "../../../src/layers/runlog/RunLogMemory.ts"
import * as TokenizerBytes from "../../../src/layers/tokenizer/TokenizerBytes.ts"
import * as Rollout from "../../../src/programs/Rollout.ts"
import { collect, rolloutOptions, take } from "../../../src/programs/train/Collect.ts"
import { evaluate, metricsOf } from "../../../src/programs/train/Examine.ts"
import { MissingService } from "../../../src/programs/train/Learn.ts"
import type { Progress } from "../../../src/programs/train/Progress.ts"
import * as Report from "../../../src/programs/train/Report.ts"
import { NothingToDo, ResumeConflict, ResumeMismatch } from "../../../src/programs/train/State.ts"
import { Policy, PolicyUnavailable } from "../../../src/services/Policy.ts"
import { Retriever, RetrieverUnavailable } from "../../../src/services/Retriever.ts"
import { RunLog } from "../../../src/services/RunLog.ts"
import { scoredTrajectory, segmentOf } from "../../support/samples.ts"

const resolved = (input: { readonly [key: string]: Schema.Json }) => Result.getOrThrow(RunConfig.resolve(input))

/** A question with what each of its samples does. */
const asked = (id: string, samples: string) =>
  new Question({ id, dataSource: "nq", question: `{${samples}}`, goldenAnswers: ["fox"], hops: 2 })

const script: PolicyScripted.Script = ({ context, sample, turn }) => {
  const does = /\{([a-z ]+)\}/.exec(context())?.[1]?.split(" ")[sample] ?? ""
  if (does === "right") return "<answer>fox</answer>"
  if (does === "wrong") return "<answer>owl</answer>"
  return turn === 0 ? `<search>${does}</search>` : "<answer>fox</answer>"
}

const retriever = Layer.succeed(
  Retriever,
  Retriever.fromSearch("test", (query) =>
    query === "down"
      ? Effect.fail(new RetrieverUnavailable({ retriever: "test", reason: "gone" }))
      : query === "slow"
      ? Effect.delay(Effect.succeed([]), "3 seconds")
      : Effect.succeed([]))
)

const services = Layer.mergeAll(PolicyScripted.layer(script), retriever, RewardExactMatch.layer()).pipe(
  Layer.provideMerge(TokenizerBytes.layer)
)

const config = (rollout: { readonly [key: string]: Schema.Json } = {}) =>
  resolved({
    algorithm: "grpo",
    steps: 3,
    rollout: { prompts: 2, groupSize: 2, maxContextTokens: 20_000, maxPromptTokens: 4000, ...rollout }
  })

/** Collects a step with index 4, long after the clock began. */
const collected = Effect.fnUntraced(function*(
  questions: ReadonlyArray<Question>,
  rollout: { readonly [key: string]: Schema.Json } = {}
) {
  const said: Array<Progress> = []
  yield* TestClock.adjust("1 day")
  const fiber = yield* Effect.forkChild(
    Effect.result(collect(
      config(rollout),
      4,
      { questions, next: { epoch: 1, offset: 7 } },
      (progress) => Effect.sync(() => void said.push(progress))
    )).pipe(Effect.provide(services))
  )
  yield* TestClock.adjust("1 minute")
  return { said, result: yield* Fiber.join(fiber) }
})

describe("the rollouts of a step", () => {
  it.effect("are scored in the order of their prompts, whoever was first, and timed", () =>
    Effect.gen(function*() {
      const { result, said } = yield* collected([asked("a", "slow wrong"), asked("b", "right wrong")])
      const { dropped, failures, next, scored, seconds } = Result.getOrThrow(result)
      assert.deepStrictEqual(
        scored.map(({ reward, trajectory: { promptKey, sample } }) => [promptKey, sample, reward]),
        [["4/0/nq/a", 0, 1], ["4/0/nq/a", 1, 0], ["4/1/nq/b", 0, 1], ["4/1/nq/b", 1, 0]]
      )
      assert.deepStrictEqual([dropped, failures, next, seconds], [0, [], { epoch: 1, offset: 7 }, 3])
      assert.deepStrictEqual(said, [0, 2, 4].map((done): Progress => ({ step: 5, phase: "rollouts", done, total: 4 })))
    }))

  it.effect("leave their group out where one of them failed, or keep what is enough", () =>
    Effect.gen(function*() {
      const questions = [asked("a", "down right wrong"), asked("b", "right wrong wrong"), asked("c", "down down right")]
      const dropping = yield* collected(questions, { groupSize: 3, minimumGroup: null })
      const all = Result.getOrThrow(dropping.result)
      assert.deepStrictEqual(all.scored.map(({ trajectory }) => trajectory.question.id), ["b", "b", "b"])
      assert.strictEqual(all.dropped, 3)
      assert.deepStrictEqual(all.failures.map(({ questionId, sample }) => [questionId, sample]), [
        ["a", 0],
        ["c", 0],
        ["c", 1]
      ])
      assert.deepStrictEqual(Report.failureCounts(all), { RetrieverUnavailable: 3 })
      assert.deepStrictEqual(dropping.said.at(-1), { step: 5, phase: "rollouts", done: 9, total: 9 })
      const { result } = yield* collected(questions, { groupSize: 3, minimumGroup: 2 })
      const two = Result.getOrThrow(result)
      assert.deepStrictEqual(two.scored.map(({ trajectory }) => trajectory.question.id), ["a", "a", "b", "b", "b"])
      assert.strictEqual(two.dropped, 1)
    }))

  it.effect("end the run where all of them lost the policy, and nowhere else", () =>
    Effect.gen(function*() {
      const gone = new PolicyUnavailable({ reason: "the thread ended" })
      const policy = Layer.effect(
        Policy,
        Effect.map(Policy, (policy) =>
          Policy.of({
            ...policy,
            session: (options) => options.promptKey.endsWith("lost") ? Effect.fail(gone) : policy.session(options)
          }))
      ).pipe(Layer.provideMerge(services))
      const step = (...questions: ReadonlyArray<Question>) =>
        Effect.result(collect(config(), 0, { questions, next: { epoch: 0, offset: 1 } })).pipe(Effect.provide(policy))
      assert.strictEqual(
        Result.getOrThrow(Result.flip(yield* step(asked("lost", "right right"), asked("lost", "right right")))),
        gone
      )
      // nothing is left either, but a failure of another kind says that the policy is still there
      const other = Result.getOrThrow(yield* step(asked("lost", "right right"), asked("a", "down down")))
      assert.deepStrictEqual([other.failures.length, other.scored.length], [4, 0])
      const some = Result.getOrThrow(yield* step(asked("lost", "right right"), asked("a", "right right")))
      assert.deepStrictEqual([some.failures.length, some.scored.length], [2, 2])
    }))

  it.effect("take their questions from where the last step ended", () =>
    Effect.gen(function*() {
      const all = Array.from({ length: 3 }, (_, index) => asked(`q${index}`, "right"))
      yield* Effect.gen(function*() {
        const first = yield* take(config(), { epoch: 0, offset: 0 })
        assert.strictEqual(first.questions.length, 2)
        const second = yield* take(config(), first.next)
        const ids = [...first.questions, ...second.questions].map(({ id }) => id)
        assert.deepStrictEqual(ids.slice(0, 3).toSorted(), ["q0", "q1", "q2"])
        const four = yield* take(config({ prompts: 4 }), { epoch: 0, offset: 0 })
        assert.deepStrictEqual(four.questions.map(({ id }) => id), ids)
        assert.deepStrictEqual(four.next, second.next)
      }).pipe(Effect.provide(QuestionsMemory.layer(all, { seed: 1 })))
    }))

  it("have the bounds that the configuration says", () => {
    const input = {
      groupSize: 3,
      concurrency: 5,
      deadlineSeconds: 7,
      template: "search",
      doSearch: false,
      maxTurns: 11,
      finalTurn: false,
      topK: 13,
      maxPromptTokens: 17,
      maxResponseTokens: 19,
      maxObservationTokens: 23,
      maxContextTokens: 2900
    }
    const run = resolved({ algorithm: "grpo", steps: 1, seed: 31, rollout: input })
    const { deadlineSeconds, ...same } = input
    assert.deepStrictEqual(rolloutOptions(run), {
      ...same,
      template: "search",
      deadline: 1000 * deadlineSeconds,
      order: "completion",
      seed: "31",
      sampling: run.sampling,
      compat: run.compat
    })
  })

  it("have the paper's bounds by default (spec §4.10)", () => {
    const { compat: _, sampling, ...bounds } = Rollout.defaults
    assert.deepStrictEqual(bounds, {
      groupSize: 1,
      concurrency: 64,
      order: "completion",
      deadline: "10 minutes",
      seed: "0",
      template: "search",
      doSearch: true,
      maxTurns: 4,
      finalTurn: true,
      topK: 3,
      maxPromptTokens: 2048,
      maxResponseTokens: 500,
      maxObservationTokens: 500,
      maxContextTokens: 4096
    })
    assert.strictEqual(sampling.temperature, 1)
    assert.deepStrictEqual(
      ([[true, "search"], [false, "search"], [false, "rag"], [true, "rag"]] as const).map(([doSearch, template]) =>
        Rollout.asksEngine({ doSearch, template })
      ),
      [true, false, true, true]
    )
  })
})

describe("an evaluation during a run", () => {
  const evaluation = Stream.fromIterable([asked("a", "right"), asked("b", "wrong"), asked("c", "right")])

  it.effect("asks each question once, as many as it may, and says how far it is", () =>
    Effect.gen(function*() {
      const told = Effect.fnUntraced(function*(limit: number | null, evaluationSize?: number) {
        const said: Array<Progress> = []
        const found = yield* evaluate({ ...config(), evaluation: { ...config().evaluation, questions: limit } }, 9, {
          evaluation,
          evaluationSize,
          onProgress: (progress) => Effect.sync(() => void said.push(progress))
        })
        return { n: found?.total.n, em: found?.total.em, said }
      })
      const progress = (counts: ReadonlyArray<number>, total: number | null) =>
        counts.map((done): Progress => ({ step: 9, phase: "evaluation", done, total }))
      assert.deepStrictEqual(yield* told(null), { n: 3, em: 2 / 3, said: progress([0, 1, 2, 3], null) })
      assert.deepStrictEqual(yield* told(null, 3), { n: 3, em: 2 / 3, said: progress([0, 1, 2, 3], 3) })
      assert.deepStrictEqual(yield* told(2), { n: 2, em: 1 / 2, said: progress([0, 1, 2], 2) })
      assert.deepStrictEqual(yield* told(2, 3), { n: 2, em: 1 / 2, said: progress([0, 1, 2], 2) })
      assert.deepStrictEqual(yield* told(5, 3), { n: 3, em: 2 / 3, said: progress([0, 1, 2, 3], 3) })
    }).pipe(Effect.provide(services)))

  it.effect("searches with an engine of its own where it has one", () =>
    Effect.gen(function*() {
      const searching = Stream.make(asked("a", "down"))
      const shared = yield* evaluate(config(), 1, { evaluation: searching })
      assert.strictEqual(shared?.failed, 1)
      const evaluationRetriever = Retriever.fromSearch("own", () => Effect.succeed([]))
      const own = yield* evaluate(config(), 1, { evaluation: searching, evaluationRetriever })
      assert.deepStrictEqual([own?.failed, own?.total.em], [0, 1])
      assert.isNull(yield* evaluate(config(), 1, {}))
    }).pipe(Effect.provide(services)))

  it("is told in metrics by data source and by hops", () => {
    const scores = { n: 4, em: 0.25, subEm: 0.5, f1: 0.4, passAt: 0.3, answered: 1, searches: 1.5 }
    assert.deepStrictEqual(
      metricsOf({
        total: scores,
        failed: 3,
        failures: { RetrieverUnavailable: 3 },
        dataSources: { nq: { ...scores, em: 0.1 }, hotpotqa: { ...scores, em: 0.2 } },
        hops: { "2": { ...scores, em: 0.7 } }
      }),
      {
        "val/em": 0.25,
        "val/searches": 1.5,
        "val/failed": 3,
        "val/test_score/nq": 0.1,
        "val/test_score/hotpotqa": 0.2,
        "val/em_hops/2": 0.7
      }
    )
    assert.deepStrictEqual(metricsOf(null), {})
  })
})

describe("what is told of a step", () => {
  const scored = Array.from({ length: 6 }, (_, index) =>
    scoredTrajectory({
      promptKey: `p${index >> 1}`,
      sample: index % 2,
      reward: index < 2 ? 1 : 0,
      segments: [segmentOf("Prompt", 2), segmentOf("Sampled", 3)]
    }))
  const failed = (sample: number, error: Rollout.RolloutError) => ({
    _tag: "Failed" as const,
    promptKey: "p9",
    sample,
    questionId: "q9",
    error
  })
  const failures = [
    failed(0, new Rollout.PromptTooLong({ tokens: 12, limit: 10 })),
    failed(1, new RetrieverUnavailable({ retriever: "r", reason: "gone" }))
  ]
  const step = { scored, dropped: 0, failures, next: { epoch: 0, offset: 0 }, seconds: 1 }

  it.effect("are its first trajectories, and each failure with its cause", () =>
    Effect.gen(function*() {
      yield* Report.logRollouts(3, step)
      yield* Report.logRollouts(4, { ...step, failures: [] }, 1)
      const log = yield* RunLog
      const trajectories = yield* Stream.runCollect(log.readTrajectories)
      assert.deepStrictEqual(
        trajectories.map(({ scored: { trajectory }, step }) => [step, trajectory.promptKey, trajectory.sample]),
        [[3, "p0", 0], [3, "p0", 1], [3, "p1", 0], [3, "p1", 1], [4, "p0", 0]]
      )
      const events = yield* Stream.runCollect(log.readEvents)
      assert.deepStrictEqual(events.map(({ detail, event }) => ({ detail, event })), [
        {
          event: "rollout-failed",
          detail: {
            step: 3,
            promptKey: "p9",
            sample: 0,
            questionId: "q9",
            error: "PromptTooLong",
            message:
              "a prompt of 12 tokens exceeds its 10: raise maxPromptTokens or maxContextTokens, or shorten the question"
          }
        },
        {
          event: "rollout-failed",
          detail: {
            step: 3,
            promptKey: "p9",
            sample: 1,
            questionId: "q9",
            error: "RetrieverUnavailable",
            message: "r is not available: gone"
          }
        }
      ])
    }).pipe(Effect.provide(RunLogMemory.layer())))

  it("counts failures by their error, and keeps numbers that are none out of the log", () => {
    assert.deepStrictEqual(Report.failureCounts({ ...step, failures: [...failures, failures[0]!] }), {
      PromptTooLong: 2,
      RetrieverUnavailable: 1
    })
    assert.deepStrictEqual(Report.finite({ a: 1, b: Number.NaN, c: Infinity, d: 0, e: -Infinity }), { a: 1, d: 0 })
  })

  it("is what early stopping looks at, null where it was not measured", () => {
    const learned = { metrics: {}, kl: 0.5, skipped: [true, false], updates: 1, seconds: { prepare: 0, update: 0 } }
    const metrics = { "critic/score/mean": 0.1, "env/ratio_of_valid_action": 0.2, "actor/grad_norm": 0.3 }
    const { learned: _, ...seen } = Report.observed(config(), 1, metrics, learned)
    assert.deepStrictEqual(seen, {
      meanReward: 0.1,
      validActionRatio: 0.2,
      gradNorm: 0.3,
      kl: 0.5,
      skipped: [true, false]
    })
    const { learned: __, ...nothing } = Report.observed(config(), 1, {}, { ...learned, kl: null, skipped: [] })
    assert.deepStrictEqual(nothing, { meanReward: null, validActionRatio: null, gradNorm: null, kl: null, skipped: [] })
  })
})

describe("what a run says that cannot go on", () => {
  it.each([
    [
      new NothingToDo({ step: 1, steps: 1 }),
      "the run has made 1 of its 1 step: there is nothing left to do (raise steps to go on)"
    ],
    [new ResumeMismatch({ path: "/run/step-3", expected: "a run" }), "/run/step-3 is no checkpoint of a run"],
    [
      new MissingService({ service: "Critic", reason: "the estimator is gae" }),
      "the configuration needs a Critic: the estimator is gae"
    ],
    [new Rollout.RolloutDeadlineExceeded({ milliseconds: 250 }), "the rollout did not end within 250 ms"]
  ])("is %s", (error, message) => assert.strictEqual(error.message, message))

  it("names each setting that differs", () => {
    const difference = (key: string) => ({ key, before: 1, after: 2 })
    const { message } = new ResumeConflict({ differences: [difference("seed"), difference("kl.coefficient")] })
    assert.match(message, /^the run was made with other settings: .*seed.*, .*kl\.coefficient.*\. Resume with/)
  })
})
