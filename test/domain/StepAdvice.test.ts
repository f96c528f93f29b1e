import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as RunConfig from "../../src/domain/RunConfig.ts"
import * as StepAdvice from "../../src/domain/StepAdvice.ts"

const rollout = {
  prompts: 4,
  groupSize: 2,
  maxTurns: 2,
  maxPromptTokens: 64,
  maxResponseTokens: 16,
  maxObservationTokens: 60,
  maxContextTokens: 256
}

const config = (part: object = {}, input: object = {}) =>
  Result.getOrThrow(RunConfig.resolve({ ...input, rollout: { ...rollout, ...part } } as never))

const seen: StepAdvice.Seen = {
  metrics: { "env/finish_ratio": 1, "env/ratio_of_valid_action": 1 },
  completed: 8,
  dropped: 0,
  failures: [],
  groups: [[0, 1], [1, 0], [0, 0], [1, 1]],
  contextLength: 512
}

const failures = (count: number, cause: StepAdvice.Cause) => Array.from({ length: count }, () => cause)

const tooLong = (tokens: number): StepAdvice.Cause => ({
  _tag: "PromptTooLong",
  message: `a prompt of ${tokens} tokens exceeds its 64`,
  tokens
})

/** The settings after the advice was taken. */
const taken = (before: RunConfig.RunConfig, advice: ReadonlyArray<StepAdvice.Advice>): RunConfig.RunConfig =>
  Result.getOrThrow(
    Result.flatMap(
      RunConfig.setAll(before as never, advice.flatMap(({ set }) => set)),
      RunConfig.resolve
    )
  )

describe("advice about a step", () => {
  it("there is none where rollouts answer and their rewards differ", () => {
    assert.deepStrictEqual(StepAdvice.advise(config(), seen), [])
    assert.deepStrictEqual(StepAdvice.advise(config(), { ...seen, completed: 0, groups: [] }), [])
    const some = { ...seen, failures: failures(3, tooLong(80)) }
    assert.deepStrictEqual(StepAdvice.advise(config(), some), [])
  })

  it("of prompts that are too long names the key and what would hold them", () => {
    const lost = { ...seen, completed: 0, groups: [], failures: [...failures(7, tooLong(71)), tooLong(78)] }
    const advice = StepAdvice.advise(config(), lost)
    assert.deepStrictEqual(advice.map(StepAdvice.describe), [
      "all 8 rollouts failed, each with PromptTooLong: a prompt of 71 tokens exceeds its 64. " +
      "Try --set rollout.maxPromptTokens=80"
    ])
  })

  it.prop(
    "of prompts that are too long helps: what is taken leaves room for them, wherever the model can",
    [
      Schema.Int.check(Schema.isBetween({ minimum: 65, maximum: 600 })),
      Schema.Int.check(Schema.isBetween({ minimum: 70, maximum: 500 })),
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 300 }))
    ],
    ([tokens, maxContextTokens, maxResponseTokens]) => {
      const before = config({ maxContextTokens, maxResponseTokens })
      const advice = StepAdvice.advise(before, {
        ...seen,
        completed: 0,
        groups: [],
        failures: failures(8, tooLong(tokens))
      })
      assert.strictEqual(advice.length, 1)
      if (tokens + 1 > seen.contextLength) return assert.deepStrictEqual(advice[0]?.set, [])
      const { rollout } = taken(before, advice)
      const limit = Math.min(rollout.maxContextTokens, seen.contextLength)
      assert.isAtMost(tokens, Math.min(rollout.maxPromptTokens, limit - rollout.maxResponseTokens))
    }
  )

  it.each<readonly [string, StepAdvice.Cause, object, ReadonlyArray<string>]>([
    ["time", { _tag: "RolloutDeadlineExceeded", message: "late" }, {}, ["rollout.deadlineSeconds=1200"]],
    ["a slow server", { _tag: "RetrieverTimeout", message: "late" }, {}, ["retriever.timeoutSeconds=60"]],
    [
      "a dead server",
      { _tag: "RetrieverUnavailable", message: "refused" },
      { retriever: { kind: "remote", url: "http://127.0.0.1:1/retrieve" } },
      ["retriever.url=http://127.0.0.1:1/retrieve"]
    ],
    ["memory", { _tag: "OutOfDeviceMemory", message: "full" }, {}, ["rollout.concurrency=4"]],
    ["anything else", { _tag: "RetrieverFailed", message: "no" }, {}, []]
  ])("of %s names the key", (_, cause, input, set) => {
    const [advice] = StepAdvice.advise(config({}, input), {
      ...seen,
      completed: 0,
      groups: [],
      failures: failures(8, cause)
    })
    assert.deepStrictEqual([advice?.kind, advice?.set], ["failed", set])
    assert.include(advice?.text, `${cause._tag}: ${cause.message}`)
  })

  it("of groups that lost a member each names the least that training may use", () => {
    const [advice, ...others] = StepAdvice.advise(config({ groupSize: 8 }), {
      ...seen,
      completed: 0,
      dropped: 28,
      groups: [],
      failures: failures(4, { _tag: "RetrieverTimeout", message: "late" })
    })
    assert.deepStrictEqual(others, [])
    assert.include(advice?.text, "all 28 completed rollouts were dropped: in each group another one failed (4 in all")
    assert.deepStrictEqual(advice?.set, ["rollout.minimumGroup=4"])
  })

  it("of generations that are cut doubles their budget, and makes room for it", () => {
    const cut = { ...seen, metrics: { ...seen.metrics, "response_length/clip_ratio": 0.95, "env/finish_ratio": 0 } }
    const advice = StepAdvice.advise(config(), cut)
    assert.deepStrictEqual(advice.map(StepAdvice.describe), [
      "95 % of the generations were cut by their budget of 16 tokens (rollout.maxResponseTokens). " +
      "Try --set rollout.maxResponseTokens=32 --set rollout.maxContextTokens=280"
    ])
    assert.deepStrictEqual(
      StepAdvice.advise(config({ maxResponseTokens: 448, maxContextTokens: 512 }), cut)[0]?.set,
      []
    )
  })

  it("of a context that is full widens it, or else asks for less", () => {
    const full = { ...seen, metrics: { ...seen.metrics, "env/ending/budget": 1, "env/finish_ratio": 0 } }
    const set = (part: object, contextLength = 512) =>
      StepAdvice.advise(config(part), { ...full, contextLength }).flatMap(({ set }) => set)
    assert.deepStrictEqual(set({ maxContextTokens: 150 }), ["rollout.maxContextTokens=232"])
    assert.deepStrictEqual(set({ maxContextTokens: 200 }, 200), ["rollout.maxTurns=1"])
    assert.deepStrictEqual(set({ maxContextTokens: 150 }, 150), ["rollout.maxObservationTokens=54"])
    assert.deepStrictEqual(set({ maxContextTokens: 100 }, 100), ["rollout.maxResponseTokens=8"])
  })

  it("of rollouts without an answer tells a policy that does not speak the protocol from one that only searches", () => {
    const mute = { "env/finish_ratio": 0.05, "env/ratio_of_valid_action": 0 }
    const searching = { "env/finish_ratio": 0, "env/ratio_of_valid_action": 1 }
    const of = (metrics: StepAdvice.Seen["metrics"], part: object = {}, input: object = {}) =>
      StepAdvice.advise(config(part, input), { ...seen, metrics })
    assert.deepStrictEqual(of(mute)[0]?.set, ["reward.kind=format"])
    assert.include(of(mute)[0]?.text, "95 % of the rollouts ended without an answer: hardly a turn holds <search>")
    assert.deepStrictEqual(of(mute, {}, { reward: { kind: "format" } })[0]?.set, [])
    assert.deepStrictEqual(of(searching)[0]?.set, ["rollout.maxTurns=4", "reward.noAnswerPenalty=0.1"])
    assert.deepStrictEqual(of(searching, { finalTurn: false })[0]?.set, ["rollout.finalTurn=true"])
    for (const metrics of [mute, searching]) taken(config(), of(metrics))
  })

  it("of rewards that never differ names what would make them", () => {
    const none = { ...seen, completed: 16, groups: [[0, 0], [0, 0]] }
    const all = { ...seen, completed: 16, groups: [[1, 1], [1, 1]] }
    assert.deepStrictEqual(StepAdvice.advise(config(), none)[0]?.set, ["reward.kind=f1"])
    assert.deepStrictEqual(StepAdvice.advise(config(), all)[0]?.set, ["rollout.groupSize=4"])
    assert.deepStrictEqual(StepAdvice.advise(config(), { ...none, completed: 4 }), [], "four rollouts say nothing")
    assert.deepStrictEqual(StepAdvice.advise(config({ groupSize: 1 }, { algorithm: "ppo" }), none), [])
    const dynamic = StepAdvice.advise(config({ dynamicSampling: true }), { ...none, completed: 4 })
    assert.include(dynamic[0]?.text, "the rewards within each of the 2 groups are equal (0)")
    assert.include(dynamic[0]?.text, "rollout.dynamicSampling leaves such groups out")
  })
})
