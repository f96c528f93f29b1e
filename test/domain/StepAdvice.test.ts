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

describe("the edges of advice", () => {
  const late = { _tag: "RolloutDeadlineExceeded", message: "late" }
  const kinds = (advice: ReadonlyArray<StepAdvice.Advice>) => advice.map(({ kind }) => kind)
  const texts = (advice: ReadonlyArray<StepAdvice.Advice>) => advice.map(StepAdvice.describe)

  it("nearly all is nine of ten", () => {
    const lost = (count: number) =>
      StepAdvice.advise(config(), { ...seen, completed: 100 - count, groups: [], failures: failures(count, late) })
    assert.deepStrictEqual(texts(lost(90)), [
      "90 % of the 100 rollouts failed, each with RolloutDeadlineExceeded: late. Try --set rollout.deadlineSeconds=1200"
    ])
    assert.deepStrictEqual(lost(89), [])
    const dropped = StepAdvice.advise(config(), {
      ...seen,
      completed: 1,
      dropped: 1,
      groups: [],
      failures: failures(18, late)
    })
    assert.deepStrictEqual(kinds(dropped), ["failed"])
    const one = StepAdvice.advise(config(), { ...seen, completed: 0, groups: [], failures: [late] })
    assert.include(one[0]?.text, "all 1 rollout failed, each with")
  })

  it("of several failures the most frequent is told, of equal ones the first", () => {
    const other = { _tag: "RetrieverTimeout", message: "slow" }
    const of = (...causes: ReadonlyArray<StepAdvice.Cause>) =>
      texts(StepAdvice.advise(config(), { ...seen, completed: 0, groups: [], failures: causes }))
    assert.deepStrictEqual(of(late, other, other), [
      "all 3 rollouts failed, 2 with RetrieverTimeout: slow. Try --set retriever.timeoutSeconds=60"
    ])
    assert.include(of(late, other)[0], "1 with RolloutDeadlineExceeded")
  })

  it("room for prompts is made within the context of the model", () => {
    const set = (tokens: number, contextLength: number, part: object = {}) =>
      StepAdvice.advise(config(part), { ...seen, contextLength, completed: 0, groups: [], failures: [tooLong(tokens)] })
        .flatMap(({ set }) => set)
    assert.deepStrictEqual(set(96, 512), ["rollout.maxPromptTokens=96"])
    assert.deepStrictEqual(set(97, 512), ["rollout.maxPromptTokens=112"])
    assert.deepStrictEqual(set(250, 512), ["rollout.maxPromptTokens=256", "rollout.maxContextTokens=272"])
    assert.deepStrictEqual(set(240, 256), ["rollout.maxPromptTokens=240"])
    assert.deepStrictEqual(
      set(241, 256),
      ["rollout.maxPromptTokens=255", "rollout.maxResponseTokens=1", "rollout.maxContextTokens=256"].slice(0, 2)
    )
    assert.deepStrictEqual(set(255, 256), ["rollout.maxPromptTokens=255", "rollout.maxResponseTokens=1"])
    assert.deepStrictEqual(set(256, 256), [])
    // long enough already, and the answer is too long for what is left
    assert.deepStrictEqual(set(60, 70), ["rollout.maxResponseTokens=6"])
  })

  it("a full context or memory, or a server without an address", () => {
    const set = (cause: StepAdvice.Cause, part: object = {}) =>
      StepAdvice.advise(config(part), { ...seen, completed: 0, groups: [], failures: [cause] }).flatMap(({ set }) =>
        set
      )
    assert.deepStrictEqual(set({ _tag: "ContextOverflow", message: "full" }), ["rollout.maxContextTokens=512"])
    assert.deepStrictEqual(set({ _tag: "RetrieverUnavailable", message: "no" }), [])
    assert.deepStrictEqual(set({ _tag: "OutOfDeviceMemory", message: "full" }, { concurrency: 1 }), [
      "rollout.concurrency=1"
    ])
  })

  it("dropped groups", () => {
    const of = (groupSize: number, some: ReadonlyArray<StepAdvice.Cause>, completed = 0) =>
      StepAdvice.advise(config({ groupSize }), { ...seen, completed, dropped: 30, groups: [], failures: some })
    assert.deepStrictEqual(texts(of(3, [late])), [
      "all 30 completed rollouts were dropped: in each group another one failed (1 in all, e.g. " +
      "RolloutDeadlineExceeded: late). Try --set rollout.minimumGroup=1"
    ])
    assert.deepStrictEqual(texts(of(1, [])), [
      "all 30 completed rollouts were dropped: in each group another one failed (0 in all)"
    ])
    assert.deepStrictEqual(of(3, [late], 1), [])
  })

  it("generations that are cut, and contexts that are full, from nine of ten on", () => {
    const of = (metrics: Readonly<Record<string, number>>, part: object = {}) =>
      StepAdvice.advise(config(part), { ...seen, metrics: { ...seen.metrics, ...metrics } })
    assert.deepStrictEqual(kinds(of({ "response_length/clip_ratio": 0.9 })), ["cut"])
    assert.deepStrictEqual(of({ "response_length/clip_ratio": 0.89 }), [])
    assert.deepStrictEqual(kinds(of({ "env/ending/budget": 0.9 })), ["context"])
    assert.deepStrictEqual(of({ "env/ending/budget": 0.89 }), [])
    assert.deepStrictEqual(kinds(of({ "response_length/clip_ratio": 1, "env/ending/budget": 1 })), ["cut", "context"])
    assert.include(
      of({ "env/ending/budget": 1 })[0]?.text,
      "all rollouts ran out of their context of 256 tokens (rollout.maxContextTokens) before they had answered"
    )
    assert.deepStrictEqual(
      of({ "response_length/clip_ratio": 1 }, { doSearch: false, maxContextTokens: 96 })[0]?.set,
      ["rollout.maxResponseTokens=32"]
    )
  })

  it("answers that are rare, up to one of ten", () => {
    const of = (finish: number, valid: number | undefined, part: object = {}, input: object = {}) =>
      StepAdvice.advise(config(part, input), {
        ...seen,
        metrics: { "env/finish_ratio": finish, ...(valid !== undefined && { "env/ratio_of_valid_action": valid }) }
      })
    assert.deepStrictEqual(of(0.11, 0), [])
    assert.include(of(0.09, 0.05)[0]?.text, "hardly a turn")
    assert.include(of(0.09, 0.2)[0]?.text, "they searched until their 2 turns were used up")
    assert.include(of(0.09, 0.2, { maxTurns: 1 })[0]?.text, "they searched until their 1 turn was used up")
    assert.include(of(0, undefined)[0]?.text, "all rollouts ended without an answer: hardly")
    assert.deepStrictEqual(of(0, 1, {}, { reward: { noAnswerPenalty: 0.2 } })[0]?.set, ["rollout.maxTurns=4"])
    assert.deepStrictEqual(of(0, 1, { doSearch: false, finalTurn: false })[0]?.set, [
      "rollout.maxTurns=4",
      "reward.noAnswerPenalty=0.1"
    ])
    assert.deepStrictEqual(StepAdvice.advise(config(), { ...seen, metrics: {} }), [])
  })

  it("equal rewards teach nothing where rewards are compared", () => {
    const equal = { ...seen, completed: 16, groups: [[1, 1], [0, 0]] }
    const of = (algorithm: string, more: Partial<StepAdvice.Seen> = {}, part: object = {}) =>
      kinds(StepAdvice.advise(config({ groupSize: 2, ...part }, { algorithm }), { ...equal, ...more }))
    for (const algorithm of ["grpo", "rloo", "dr-grpo", "gspo", "cispo"]) {
      assert.deepStrictEqual(of(algorithm), ["alike"], algorithm)
    }
    for (const algorithm of ["ppo", "reinforce", "reinforce++"]) assert.deepStrictEqual(of(algorithm), [], algorithm)
    assert.deepStrictEqual(of("grpo", { groups: [] }), [])
    assert.deepStrictEqual(of("grpo", { groups: [[1, 1], [0]] }), [])
    assert.deepStrictEqual(of("grpo", { groups: [[1, 1], [0, 1]] }), [])
    assert.deepStrictEqual(of("grpo", { completed: 15 }), [])
    assert.deepStrictEqual(of("grpo", {}, { groupSize: 1 }), [])
    const [mixed] = StepAdvice.advise(config(), equal)
    assert.strictEqual(mixed?.text, "the rewards within each of the 2 groups are equal: there is nothing to compare")
    assert.deepStrictEqual(mixed?.set, ["rollout.groupSize=4"])
    const [zero] = StepAdvice.advise(config({}, { reward: { kind: "f1" } }), { ...equal, groups: [[0, 0]] })
    assert.strictEqual(zero?.text, "the rewards within each of the 1 group are equal (0): there is nothing to compare")
    assert.deepStrictEqual(zero?.set, ["rollout.groupSize=4"])
  })
})
