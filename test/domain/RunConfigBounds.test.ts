import { assert, describe, it } from "@effect/vitest"
import { Result, type Schema } from "effect"
import * as LossConfig from "../../src/domain/LossConfig.ts"
import * as RunConfig from "../../src/domain/RunConfig.ts"
import * as Sampling from "../../src/domain/Sampling.ts"

/** Whether a key takes a value, whatever else would have to change with it. */
const takes = (path: string, value: Schema.Json): boolean =>
  Result.isSuccess(RunConfig.set({}, `${path}=${JSON.stringify(value)}`))

/** Whether the schema itself takes a value: a whole configuration with it resolves, or only contradicts another key. */
const resolves = (path: string, value: Schema.Json): boolean => {
  const [first = "", second, third] = path.split(".")
  const inner = second === undefined ? value : { [second]: third === undefined ? value : { [third]: value } }
  const found = RunConfig.resolve({ [first]: inner })
  return Result.isSuccess(found) || !found.failure.problems.some(({ reason }) => reason.startsWith("expected "))
}

const counts = [
  "steps",
  "rollout.prompts",
  "rollout.groupSize",
  "rollout.concurrency",
  "rollout.maxTurns",
  "rollout.topK",
  "rollout.maxPromptTokens",
  "rollout.maxResponseTokens",
  "rollout.maxObservationTokens",
  "rollout.maxContextTokens",
  "update.miniBatchSize",
  "update.epochs",
  "update.microBatchTokens",
  "checkpoints.keepLast",
  "earlyStop.patience"
]
const countsOrNull = [
  "rollout.minimumGroup",
  "loss.fixedLength",
  "update.miniBatches",
  "update.microBatchSequences",
  "evaluation.questions",
  "earlyStop.maxSkippedUpdates"
]
const naturals = [
  "seed",
  "rollout.staleness",
  "retriever.retries",
  "retriever.cache",
  "reward.freeSearches",
  "sampling.topK",
  "critic.warmupSteps",
  "evaluation.every",
  "checkpoints.every"
]
const positives = [
  "rollout.deadlineSeconds",
  "retriever.timeoutSeconds",
  "kl.target",
  "kl.horizon",
  "optimizer.learningRate",
  "critic.learningRate",
  "optimizer.adamW.epsilon"
]
const positivesOrNull = [
  "loss.importanceCap",
  "critic.clip",
  "earlyStop.maxGradNorm",
  "earlyStop.maxKl",
  "optimizer.adamW.maxGradNorm"
]
const nonNegatives = [
  "reward.searchPrice",
  "reward.noAnswerPenalty",
  "reward.noSearchPenalty",
  "loss.clipHigh",
  "loss.lldsCoefficient",
  "kl.coefficient",
  "sampling.temperature",
  "optimizer.adamW.weightDecay"
]
const fractions = [
  "reward.structureScore",
  "reward.finalScore",
  "reward.retrievalScore",
  "advantage.gamma",
  "advantage.lambda",
  "sampling.topP",
  "optimizer.schedule.warmupRatio",
  "critic.schedule.warmupRatio"
]
const fractionsOrNull = ["earlyStop.rewardDrop", "earlyStop.minValidActions"]
const decays = ["optimizer.adamW.beta1", "optimizer.adamW.beta2"]
const texts = ["model", "questions.train", "questions.evaluate", "retriever.corpus", "evaluation.corpus"]
const truths = [
  "questions.shuffle",
  "rollout.doSearch",
  "rollout.finalTurn",
  "rollout.dynamicSampling",
  "loss.maskObservations",
  "update.shuffle",
  "evaluation.beforeTraining",
  "checkpoints.keepBest",
  "earlyStop.enabled"
]

const edges: ReadonlyArray<
  readonly [paths: ReadonlyArray<string>, good: ReadonlyArray<Schema.Json>, bad: ReadonlyArray<Schema.Json>]
> = [
  [counts, [1, 2, 7], [0, -1, 1.5, null, "x", true]],
  [countsOrNull, [1, 2, null], [0, -1, 1.5, "x"]],
  [naturals, [0, 1, 2], [-1, 0.5, null, "x"]],
  [positives, [1e-9, 1, 2], [0, -1, null, "x"]],
  [positivesOrNull, [1e-9, 1, 2, null], [0, -1, "x"]],
  [nonNegatives, [0, 1e-9, 1, 2], [-1e-9, -1, null, "x"]],
  [fractions, [0, 0.5, 1], [-1e-9, 1.0000001, 2, null, "x"]],
  [fractionsOrNull, [0, 0.5, 1, null], [-1e-9, 1.0000001, 2, "x"]],
  [decays, [0, 0.5, 0.999999], [-1e-9, 1, 2, null]],
  [["loss.dualClip"], [1.0000001, 3, null], [1, 0.5, 0]],
  [["loss.entropyCoefficient"], [-1, 0, 1], [null, "x"]],
  [["loss.clipLow"], [0, 0.5, 1], [-1e-9, null]],
  [texts, ["x", null], ["", {}, []]],
  [truths, [true, false], [null, "x", 2]]
]

describe("what each key takes", () => {
  for (const [paths, good, bad] of edges) {
    it(`${paths[0]} and its like: ${JSON.stringify(good)}, not ${JSON.stringify(bad)}`, () => {
      for (const path of paths) {
        for (const value of good) {
          assert.isTrue(takes(path, value), `${path}=${JSON.stringify(value)} should be taken`)
          assert.isTrue(resolves(path, value), `${path}: ${JSON.stringify(value)} should resolve`)
        }
        for (const value of bad) {
          assert.isFalse(takes(path, value), `${path}=${JSON.stringify(value)} should be refused`)
          assert.isFalse(resolves(path, value), `${path}: ${JSON.stringify(value)} should not resolve`)
        }
      }
    })
  }

  it("choices are those that are documented", () => {
    const choices: Readonly<Record<string, string>> = {
      algorithm: "ppo grpo reinforce rloo reinforce++ dr-grpo dapo gspo cispo",
      device: "auto wasm tensorflow torch cpu",
      "rollout.template": "search r1 rag",
      "retriever.kind": "lunr bm25 index random remote",
      "retriever.dialect": "search-r1 search-r1-rerank skyrl",
      "reward.kind": "exactMatch subEm f1 format",
      "advantage.estimator": "gae grpo dr-grpo rloo reinforce reinforce++ reinforce++-baseline",
      "advantage.baseline": "none batchMean",
      "loss.surrogate": "clip gspo cispo reinforce",
      "loss.aggregation": "tokenMean seqMean fixedLength microTokenMean",
      "kl.placement": "loss reward none",
      "kl.controller": "fixed adaptive",
      "optimizer.schedule.kind": "constant linear cosine"
    }
    for (const [path, words] of Object.entries(choices)) {
      for (const word of words.split(" ")) assert.isTrue(takes(path, word), `${path}=${word}`)
      const refused = RunConfig.set({}, `${path}=nothing-like-it`)
      assert.isTrue(Result.isFailure(refused), path)
      if (Result.isFailure(refused)) {
        const listed = words.split(" ")
        assert.include(refused.failure.message, `expected ${listed.slice(0, -1).join(", ")} or ${listed.at(-1)}`)
      }
      assert.isFalse(takes(path, ""), path)
    }
  })
})

describe("defaults", () => {
  it("are those of the v0.2 scripts, common to all of them (spec, training scripts)", () => {
    const { critic, kl, loss, optimizer, rollout, sampling, steps, update } = RunConfig.base
    assert.deepStrictEqual(
      [steps, rollout.prompts, rollout.groupSize, rollout.maxTurns, rollout.topK],
      [1005, 512, 5, 4, 3]
    )
    assert.deepStrictEqual(
      [rollout.maxPromptTokens, rollout.maxResponseTokens, rollout.maxObservationTokens, rollout.maxContextTokens],
      [2048, 500, 500, 4096]
    )
    assert.deepStrictEqual([update.miniBatchSize, update.epochs, update.shuffle], [256, 1, false])
    assert.deepStrictEqual([loss.clipLow, loss.clipHigh, loss.entropyCoefficient], [0.2, 0.2, 0.001])
    assert.isTrue(loss.maskObservations)
    assert.deepStrictEqual([kl.coefficient, kl.estimator, kl.placement, kl.controller], [0.001, "k3", "loss", "fixed"])
    assert.deepStrictEqual([kl.target, kl.horizon], [0.1, 10_000])
    assert.deepStrictEqual(
      [optimizer.learningRate, optimizer.schedule.warmupRatio, optimizer.adamW.maxGradNorm],
      [1e-6, 0.285, 1]
    )
    assert.deepStrictEqual([critic.learningRate, critic.schedule.warmupRatio, critic.clip], [1e-5, 0.015, 0.5])
    assert.deepStrictEqual([RunConfig.base.advantage.gamma, RunConfig.base.advantage.lambda], [1, 1])
    assert.deepStrictEqual(sampling, { temperature: 1, topK: 0, topP: 1 })
    assert.deepStrictEqual(Sampling.greedy, { temperature: 0, topK: 0, topP: 1 })
    // torch.optim.AdamW's own
    assert.deepStrictEqual(
      [optimizer.adamW.beta1, optimizer.adamW.beta2, optimizer.adamW.epsilon, optimizer.adamW.weightDecay],
      [0.9, 0.999, 1e-8, 0.01]
    )
  })

  it("of everything else are those that docs/configuration.md names", () => {
    const { checkpoints, earlyStop, evaluation, questions, retriever, reward, rollout } = RunConfig.base
    assert.deepStrictEqual(
      [rollout.concurrency, rollout.deadlineSeconds, rollout.template, rollout.doSearch, rollout.finalTurn],
      [256, 600, "search", true, true]
    )
    assert.deepStrictEqual([rollout.minimumGroup, rollout.dynamicSampling, rollout.staleness], [null, false, 0])
    assert.deepStrictEqual(retriever, {
      kind: "lunr",
      corpus: null,
      url: null,
      dialect: "search-r1",
      timeoutSeconds: 30,
      retries: 8,
      cache: 16384
    })
    // spec 3.5
    assert.deepStrictEqual([reward.structureScore, reward.finalScore, reward.retrievalScore], [0.2, 0.1, 0])
    assert.deepStrictEqual(
      [reward.kind, reward.searchPrice, reward.freeSearches, reward.noAnswerPenalty, reward.noSearchPenalty],
      ["exactMatch", 0, 0, 0, 0]
    )
    assert.deepStrictEqual(evaluation, {
      every: 50,
      beforeTraining: true,
      questions: null,
      corpus: null,
      sampling: null
    })
    assert.deepStrictEqual(checkpoints, { every: 1, keepLast: 2, keepBest: true })
    assert.deepStrictEqual(earlyStop, {
      enabled: true,
      patience: 10,
      rewardDrop: 0.5,
      minValidActions: null,
      maxGradNorm: null,
      maxKl: null,
      maxSkippedUpdates: 5
    })
    assert.isTrue(questions.shuffle)
    assert.deepStrictEqual([RunConfig.base.algorithm, RunConfig.base.device, RunConfig.base.seed], ["grpo", "auto", 0])
  })

  it("of the presets are the columns of the v0.2 table (spec, training scripts)", () => {
    const resolved = (name: string, input: object = {}) =>
      Result.getOrThrow(RunConfig.resolve({ presets: [name], ...input }))
    for (const name of ["paper-ppo", "paper-grpo"]) {
      const paper = resolved(name)
      assert.deepStrictEqual(
        [
          paper.steps,
          paper.rollout.prompts,
          paper.rollout.maxTurns,
          paper.rollout.topK,
          paper.rollout.maxContextTokens
        ],
        [1005, 512, 4, 3, 4096]
      )
      assert.deepStrictEqual(
        [paper.rollout.maxPromptTokens, paper.rollout.maxResponseTokens, paper.rollout.maxObservationTokens],
        [2048, 500, 500]
      )
      assert.deepStrictEqual([paper.update.miniBatchSize, paper.update.epochs, paper.update.shuffle], [256, 1, false])
      assert.deepStrictEqual([paper.loss.clipLow, paper.loss.clipHigh, paper.loss.entropyCoefficient], [
        0.2,
        0.2,
        0.001
      ])
      assert.deepStrictEqual([paper.kl.coefficient, paper.kl.controller], [0.001, "fixed"])
      assert.deepStrictEqual(
        [paper.optimizer.learningRate, paper.optimizer.schedule.kind, paper.optimizer.schedule.warmupRatio],
        [1e-6, "constant", 0.285]
      )
      assert.deepStrictEqual([paper.evaluation.every, paper.evaluation.beforeTraining], [100, true])
      assert.strictEqual(paper.checkpoints.every, 100)
      assert.strictEqual(paper.optimizer.adamW.maxGradNorm, 1)
    }
    const ppo = resolved("paper-ppo")
    assert.deepStrictEqual([ppo.kl.placement, ppo.kl.estimator, ppo.advantage.estimator], ["reward", "k1", "gae"])
    assert.deepStrictEqual([ppo.critic.learningRate, ppo.critic.schedule.warmupRatio, ppo.critic.clip], [
      1e-5,
      0.015,
      0.5
    ])
    assert.deepStrictEqual([ppo.sampling, ppo.rollout.groupSize], [{ temperature: 1, topK: 0, topP: 1 }, 1])
    const grpo = resolved("paper-grpo")
    assert.deepStrictEqual([grpo.kl.placement, grpo.kl.estimator, grpo.advantage.estimator], ["loss", "k3", "grpo"])
    assert.deepStrictEqual([grpo.sampling, grpo.rollout.groupSize], [{ temperature: 1, topK: 0, topP: 0.95 }, 5])
  })

  it("of the algorithms leave out entropy and KL where their papers do", () => {
    const plain = new Set<string>(["dr-grpo", "dapo", "gspo", "cispo"])
    for (const algorithm of RunConfig.Algorithm.literals) {
      const { kl, loss, rollout } = Result.getOrThrow(RunConfig.resolve({ algorithm }))
      assert.strictEqual(loss.entropyCoefficient, plain.has(algorithm) ? 0 : 0.001, algorithm)
      assert.strictEqual(kl.placement === "none", plain.has(algorithm), algorithm)
      assert.strictEqual(kl.estimator, ["ppo", "rloo", "reinforce++"].includes(algorithm) ? "k1" : "k3", algorithm)
      assert.strictEqual(rollout.dynamicSampling, algorithm === "dapo", algorithm)
    }
  })

  it("of losses alone are PPO's, or those of a plain likelihood", () => {
    assert.deepStrictEqual(LossConfig.ppo, {
      surrogate: "clip",
      clipLow: 0.2,
      clipHigh: 0.2,
      dualClip: null,
      aggregation: "tokenMean",
      fixedLength: 4096,
      entropyCoefficient: 0.001,
      klCoefficient: 0,
      klEstimator: "k3",
      klClamp: "pre20",
      importanceCap: null,
      lldsCoefficient: 0
    })
    assert.deepStrictEqual(LossConfig.negativeLogLikelihood, {
      ...LossConfig.ppo,
      surrogate: "reinforce",
      entropyCoefficient: 0
    })
    const needs = (part: object) => LossConfig.requiredSignals({ ...LossConfig.ppo, ...part })
    assert.deepStrictEqual(needs({}), [])
    assert.deepStrictEqual(needs({ klCoefficient: 0.1 }), ["refLogProbs"])
    assert.deepStrictEqual(needs({ importanceCap: 2 }), ["behaviourLogProbs"])
    assert.deepStrictEqual(needs({ klCoefficient: 0.1, importanceCap: 2 }), ["refLogProbs", "behaviourLogProbs"])
  })
})

describe("contradictions", () => {
  const problems = (input: Schema.Json) => {
    const found = RunConfig.resolve(input)
    return Result.isFailure(found) ? found.failure.problems.map(({ path, reason }) => `${path}: ${reason}`) : []
  }
  const url = (value: string) => ({ retriever: { kind: "remote", url: value } })

  it.each<readonly [Schema.Json, string]>([
    [
      { retriever: { kind: "remote" } },
      "retriever.url: a remote retriever needs a URL, e.g. http://127.0.0.1:8000/retrieve"
    ],
    [
      url("ftp://a"),
      "retriever.url: expected the URL of a server, e.g. http://127.0.0.1:8000/retrieve, and got \"ftp://a\""
    ],
    [
      url("xhttp://a"),
      "retriever.url: expected the URL of a server, e.g. http://127.0.0.1:8000/retrieve, and got \"xhttp://a\""
    ],
    [
      url("http:///a"),
      "retriever.url: expected the URL of a server, e.g. http://127.0.0.1:8000/retrieve, and got \"http:///a\""
    ],
    [
      url("http:// a"),
      "retriever.url: expected the URL of a server, e.g. http://127.0.0.1:8000/retrieve, and got \"http:// a\""
    ],
    [
      { rollout: { maxPromptTokens: 4096 } },
      "rollout.maxPromptTokens: leaves no room for a response in rollout.maxContextTokens (4096)"
    ],
    [{ rollout: { minimumGroup: 6 } }, "rollout.minimumGroup: cannot exceed rollout.groupSize (5)"],
    [
      { algorithm: "rloo", rollout: { groupSize: 1 } },
      "rollout.groupSize: rloo compares the samples of a prompt: it needs at least 2"
    ],
    [{ loss: { clipLow: 1.0000001 } }, "loss.clipLow: cannot exceed 1, where the ratio's lower bound is 0"],
    [{ sampling: { temperature: 0 } }, "sampling.temperature: training needs to explore: it must be above 0"],
    [
      { presets: ["reference"], rollout: { staleness: 1 } },
      "rollout.staleness: importance sampling needs the sampler's log-probabilities, which compat.idsSource = retokenised loses"
    ]
  ])("%j: %s", (input, problem) => assert.deepStrictEqual(problems(input), [problem]))

  it("are none at the limits", () => {
    for (
      const input of [
        url("http://a"),
        url("HTTPS://a/b"),
        { rollout: { maxPromptTokens: 4095 } },
        { rollout: { minimumGroup: 5 } },
        { algorithm: "rloo", rollout: { groupSize: 2 } },
        { algorithm: "grpo", rollout: { groupSize: 1 } },
        { loss: { clipLow: 1 } },
        { sampling: { temperature: 0.01 } },
        { presets: ["reference"] },
        { rollout: { staleness: 1 } }
      ]
    ) assert.deepStrictEqual(problems(input), [], JSON.stringify(input))
  })
})

describe("assignments", () => {
  const set = (assignment: string, input: Schema.Json = {}) =>
    Result.match(RunConfig.set(input, assignment), {
      onSuccess: (value): unknown => value,
      onFailure: ({ message }) => message
    })

  it.each<readonly [string, unknown]>([
    ["steps=3", { steps: 3 }],
    [" steps =3", { steps: 3 }],
    ["rollout.topK=2", { rollout: { topK: 2 } }],
    ["model=3", { model: "3" }],
    ["model=true", { model: "true" }],
    ["model=null", { model: null }],
    ["model={x", { model: "{x" }],
    ["model=a=b", { model: "a=b" }],
    ["earlyStop.rewardDrop=null", { earlyStop: { rewardDrop: null } }],
    ["presets=[\"fixed\"]", { presets: ["fixed"] }],
    ["evaluation.sampling={\"temperature\":1}", { evaluation: { sampling: { temperature: 1 } } }],
    ["evaluation.sampling.topK=3", { evaluation: { sampling: { topK: 3 } } }],
    ["steps", "steps: expected path=value, e.g. steps=1005"],
    ["retriever.url", "retriever.url: expected path=value, e.g. retriever.url=http://127.0.0.1:8000/retrieve"],
    ["=3", "=3: expected path=value, e.g. optimizer.learningRate=1e-6"],
    ["nothing", "nothing: expected path=value, e.g. optimizer.learningRate=1e-6"],
    ["sed=3", "sed: unknown key; did you mean seed?"],
    ["topK=3", "topK: unknown key; did you mean rollout.topK or sampling.topK?"],
    ["rollout.topKk=3", "rollout.topKk: unknown key; did you mean rollout.topK?"],
    ["steps=1_000", "steps: expected a whole number of at least 1, e.g. 1005, and got \"1_000\"; did you mean 1000?"],
    ["steps=0", "steps: expected a whole number of at least 1, e.g. 1005, and got 0; the nearest is 1"],
    [
      "steps=\"3\"",
      "steps: expected a whole number of at least 1, e.g. 1005, and got \"3\"; did you mean 3 without quotes?"
    ],
    ["steps=", "steps: expected a whole number of at least 1, e.g. 1005, and got nothing"],
    [
      "seed=1e300",
      "seed: expected a whole number from 0 to 9007199254740991, e.g. 0, and got 1e300; the nearest is 9007199254740991"
    ],
    ["advantage.gamma=1.5", "advantage.gamma: expected a number from 0 to 1, e.g. 1, and got 1.5; the nearest is 1"],
    [
      "critic.clip=off",
      "critic.clip: expected a number above 0, e.g. 0.5, or null, and got \"off\"; did you mean null?"
    ],
    ["rollout.doSearch=yes", "rollout.doSearch: expected true or false, and got \"yes\"; did you mean true?"],
    ["kl.placement=los", "kl.placement: expected loss, reward or none, and got \"los\"; did you mean loss?"],
    ["kl.placement={}", "kl.placement: expected loss, reward or none, and got {}"],
    [
      "presets=fixed",
      "presets: expected a list of fixed, reference, paper-ppo or paper-grpo, e.g. [\"reference\"], and got \"fixed\"; did you mean [\"fixed\"]?"
    ],
    [
      "presets=[\"fixd\"]",
      "presets.0: expected fixed, reference, paper-ppo or paper-grpo, and got \"fixd\"; did you mean fixed?"
    ],
    ["retriever.url=3.5", { retriever: { url: "3.5" } }],
    [
      "kl=3",
      "kl: expected an object with placement, coefficient, estimator, controller, target, horizon, e.g. kl.placement=loss, and got 3"
    ],
    ["kl={\"target\":0}", "kl.target: expected a number above 0, e.g. 0.1, and got 0"],
    ["steps=[1", "steps: it is not JSON (line 1, column 3: the text ends before its [ is closed with ]): [1"],
    [
      "kl={x}",
      "kl: it is not JSON (line 1, column 2: the name of a field stands in double quotes): {x}, e.g. kl.placement=loss"
    ],
    [
      `steps="${"x".repeat(70)}"`,
      `steps: expected a whole number of at least 1, e.g. 1005, and got "${"x".repeat(58)}…`
    ]
  ])("%s", (assignment, expected) => assert.deepStrictEqual(set(assignment), expected))

  it("go into what is there, and only into objects", () => {
    assert.deepStrictEqual(set("rollout.topK=2", { seed: 1, rollout: { prompts: 3 } }), {
      seed: 1,
      rollout: { prompts: 3, topK: 2 }
    })
    assert.deepStrictEqual(set("rollout.topK=2", { rollout: null }), { rollout: { topK: 2 } })
    assert.deepStrictEqual(set("rollout.topK=2", { rollout: [1] }), { rollout: { topK: 2 } })
    for (const input of [null, [], 3, "x"]) {
      assert.strictEqual(set("steps=1", input), "a configuration is a JSON object")
    }
  })

  it("are told together", () => {
    const failed = RunConfig.setAll({ seed: 1 }, ["steps=0", "seed=2", "kl.target=0"])
    assert.isTrue(Result.isFailure(failed))
    if (Result.isFailure(failed)) {
      assert.strictEqual(
        failed.failure.message,
        "the configuration has 2 problems\n" +
          "  steps: expected a whole number of at least 1, e.g. 1005, and got 0; the nearest is 1\n" +
          "  kl.target: expected a number above 0, e.g. 0.1, and got 0"
      )
    }
    assert.deepStrictEqual(RunConfig.setAll({ seed: 1 }, ["seed=2", "steps=4"]), Result.succeed({ seed: 2, steps: 4 }))
  })
})
