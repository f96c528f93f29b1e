import { assert, describe, it } from "@effect/vitest"
import { Result, Schema, SchemaIssue } from "effect"
import * as Presets from "../../src/domain/Presets.ts"
import * as RunConfig from "../../src/domain/RunConfig.ts"
import * as RunPlan from "../../src/domain/RunPlan.ts"
import * as Suggestion from "../../src/domain/Suggestion.ts"

const resolved = (input: Schema.Json) => Result.getOrThrow(RunConfig.resolve(input))

const problems = (result: Result.Result<unknown, RunConfig.RunConfigInvalid>) => {
  assert.isTrue(Result.isFailure(result))
  return Result.isFailure(result) ? result.failure.problems.map(({ path, reason }) => `${path}: ${reason}`) : []
}

describe("RunConfig.resolve", () => {
  it("an empty input is the default: the fixed behaviour", () => {
    assert.deepStrictEqual(resolved({}), RunConfig.base)
    assert.deepStrictEqual(resolved({}).compat, Presets.fixed)
  })

  it("every algorithm resolves, with its paper's estimator, clip range, mean and KL term", () => {
    const plan = (algorithm: RunConfig.Algorithm) => {
      const config = resolved({ algorithm })
      const loss = RunPlan.lossConfig(config)
      return [
        config.rollout.groupSize,
        config.advantage.estimator,
        loss.surrogate,
        loss.clipLow,
        loss.clipHigh,
        loss.aggregation,
        loss.klCoefficient,
        RunPlan.advantageConfig(config).rewardKl?.coefficient ?? 0
      ]
    }
    assert.deepStrictEqual(Object.fromEntries(RunConfig.Algorithm.literals.map((name) => [name, plan(name)])), {
      ppo: [1, "gae", "clip", 0.2, 0.2, "tokenMean", 0, 0.001],
      grpo: [5, "grpo", "clip", 0.2, 0.2, "tokenMean", 0.001, 0],
      reinforce: [1, "reinforce", "clip", 0.2, 0.2, "tokenMean", 0.001, 0],
      rloo: [5, "rloo", "clip", 0.2, 0.2, "tokenMean", 0, 0.001],
      "reinforce++": [1, "reinforce++", "clip", 0.2, 0.2, "tokenMean", 0, 0.001],
      "dr-grpo": [5, "dr-grpo", "clip", 0.2, 0.2, "fixedLength", 0, 0],
      dapo: [5, "grpo", "clip", 0.2, 0.28, "tokenMean", 0, 0],
      gspo: [5, "grpo", "gspo", 0.0003, 0.0004, "seqMean", 0, 0],
      cispo: [5, "grpo", "cispo", 1, 0.2, "tokenMean", 0, 0]
    })
    assert.strictEqual(RunPlan.lossConfig(resolved({ algorithm: "dr-grpo" })).fixedLength, 2500)
  })

  it("presets hold the v0.2 hyper-parameters and yield to the input's own keys", () => {
    const ppo = resolved({ presets: ["paper-ppo"] })
    assert.strictEqual(ppo.algorithm, "ppo")
    assert.strictEqual(ppo.rollout.groupSize, 1)
    assert.strictEqual(ppo.sampling.topP, 1)
    assert.strictEqual(RunPlan.updatesPerStep(ppo), 2)
    assert.isTrue(RunPlan.usesCritic(ppo))
    const grpo = resolved({ presets: ["paper-grpo", "reference"], steps: 7, rollout: { topK: 1 } })
    assert.strictEqual(grpo.rollout.groupSize, 5)
    assert.strictEqual(grpo.sampling.topP, 0.95)
    assert.deepStrictEqual(grpo.compat, Presets.reference)
    assert.strictEqual(RunPlan.updatesPerStep(grpo), 10, "quirk Q35")
    assert.strictEqual(RunPlan.lossConfig(grpo).aggregation, "microTokenMean")
    assert.deepStrictEqual([grpo.steps, grpo.rollout.topK, grpo.rollout.maxTurns], [7, 1, 4])
    assert.strictEqual(resolved({ presets: ["paper-ppo"], algorithm: "rloo" }).advantage.estimator, "rloo")
  })

  it("unknown keys are errors with a suggestion", () => {
    assert.deepStrictEqual(problems(RunConfig.resolve({ rollout: { groupsize: 4 }, sede: 1, learningRate: 1 })), [
      "rollout.groupsize: unknown key; did you mean rollout.groupSize?",
      "sede: unknown key; did you mean seed?",
      "learningRate: unknown key; did you mean optimizer.learningRate or critic.learningRate?"
    ])
    assert.match(problems(RunConfig.resolve({ kl: { zzzzzz: 1 } }))[0] ?? "", /known keys here: placement, coefficient/)
    assert.deepStrictEqual(problems(RunConfig.resolve({ evaluation: { sampling: { temprature: 1 } } })), [
      "evaluation.sampling.temprature: unknown key; did you mean evaluation.sampling.temperature?"
    ])
  })

  it("wrong values are reported together, each with its path", () => {
    const found = problems(RunConfig.resolve({ steps: 0, sampling: { topP: 2 }, kl: { estimator: "k4" }, bogus: 1 }))
    assert.deepStrictEqual(found.map((line) => line.slice(0, line.indexOf(":"))), [
      "bogus",
      "steps",
      "sampling.topP",
      "kl.estimator"
    ])
    assert.deepStrictEqual(problems(RunConfig.resolve({ algorithm: "grop" })).map((line) => line.slice(0, 10)), [
      "algorithm:"
    ])
    assert.deepStrictEqual(problems(RunConfig.resolve({ presets: ["paper", "fixed"] })), [
      "presets.0: expected fixed, reference, paper-ppo or paper-grpo, and got \"paper\"; did you mean paper-ppo?"
    ])
    assert.deepStrictEqual(problems(RunConfig.resolve([])), [": a configuration is a JSON object"])
  })

  it("wrong values are told in words: what is expected, what was given, what was likely meant", () => {
    assert.deepStrictEqual(
      problems(RunConfig.resolve({
        steps: "10",
        model: 2024,
        rollout: { prompts: null, doSearch: "yes" },
        kl: 3,
        sampling: { topP: 2 },
        loss: { aggregation: "tokenmean", dualClip: 1 }
      })),
      [
        "steps: expected a whole number of at least 1, e.g. 1005, and got \"10\"; did you mean 10 without quotes?",
        "model: expected text, e.g. models/mine, or null, and got 2024; did you mean \"2024\"?",
        "rollout.prompts: expected a whole number of at least 1, e.g. 512, and got null",
        "rollout.doSearch: expected true or false, and got \"yes\"; did you mean true?",
        "sampling.topP: expected a number from 0 to 1, e.g. 1, and got 2; the nearest is 1",
        "loss.dualClip: expected a number above 1, e.g. 2, or null, and got 1",
        "loss.aggregation: expected tokenMean, seqMean, fixedLength or microTokenMean, or null, and got \"tokenmean\"; did you mean tokenMean?",
        "kl: expected an object with placement, coefficient, estimator, controller, target, horizon, e.g. kl.placement=loss, and got 3"
      ]
    )
    assert.deepStrictEqual(problems(RunConfig.resolve({ algorithm: null, presets: "fixed" })), [
      "presets: expected a list of fixed, reference, paper-ppo or paper-grpo, e.g. [\"reference\"], and got \"fixed\"; did you mean [\"fixed\"]?"
    ])
  })

  it("every value that a schema refuses is told in our words", () => {
    const decode = Schema.decodeUnknownResult(RunConfig.RunConfig, { errors: "all" })
    const format = SchemaIssue.makeFormatterStandardSchemaV1()
    const filled = (object: object, value: Schema.Json): Schema.JsonObject =>
      Object.fromEntries(
        Object.entries(object).map(([key, inner]: [string, unknown]) => [
          key,
          typeof inner === "object" && inner !== null ? filled(inner, value) : value
        ])
      )
    for (const value of ["", "x", true, -1, 0, 1.5, 1e300, [], null, ["x"], { x: 1 }]) {
      const config = { ...filled(RunConfig.base, value), algorithm: "grpo" }
      const refused = decode(config)
      const paths = Result.isSuccess(refused)
        ? []
        : format(refused.failure.issue).issues.map(({ path }) => (path ?? []).join("."))
      const told = problems(RunConfig.resolve(config)).filter((problem) => !problem.includes(": unknown key"))
      for (const problem of told) assert.match(problem, /: expected .+, and got /s)
      assert.sameMembers(
        [...new Set(told.map((problem) => problem.slice(0, problem.indexOf(":"))))],
        [...new Set(paths)].filter((path) => !path.endsWith(".x") && !path.startsWith("evaluation.sampling.")),
        JSON.stringify(value)
      )
    }
  })

  it("values that contradict each other are errors", () => {
    assert.deepStrictEqual(problems(RunConfig.resolve({ retriever: { kind: "remote", url: "localhost:8000" } })), [
      "retriever.url: expected the URL of a server, e.g. http://127.0.0.1:8000/retrieve, and got \"localhost:8000\""
    ])
    const paths = (input: Schema.Json) => problems(RunConfig.resolve(input)).map((line) => line.split(":")[0])
    assert.deepStrictEqual(paths({ retriever: { kind: "remote" } }), ["retriever.url"])
    assert.deepStrictEqual(paths({ rollout: { maxContextTokens: 100 } }), ["rollout.maxPromptTokens"])
    assert.deepStrictEqual(paths({ algorithm: "rloo", rollout: { groupSize: 1 } }), ["rollout.groupSize"])
    assert.deepStrictEqual(paths({ sampling: { temperature: 0 } }), ["sampling.temperature"])
    assert.deepStrictEqual(paths({ presets: ["reference"], rollout: { staleness: 1 } }), ["rollout.staleness"])
  })

  it("fills up an object that is null by default", () => {
    assert.deepStrictEqual(resolved({ evaluation: { sampling: { temperature: 0.7 } } }).evaluation.sampling, {
      temperature: 0.7,
      topK: 0,
      topP: 1
    })
    assert.strictEqual(RunPlan.evaluationSampling(resolved({})).temperature, 0)
    assert.strictEqual(RunPlan.evaluationSampling(resolved({ presets: ["reference"] })).temperature, 1)
  })

  it("is JSON: what is resolved resolves to itself", () => {
    for (const name of RunConfig.PresetName.literals) {
      const config = resolved({ presets: [name] })
      assert.deepStrictEqual(resolved({ ...Schema.encodeSync(RunConfig.RunConfig)(config) }), config)
    }
  })
})

describe("RunConfig.set", () => {
  const set = (input: Schema.Json, ...assignments: ReadonlyArray<string>) =>
    Result.getOrThrow(RunConfig.setAll(input, assignments))

  it("sets values at paths: JSON where it parses, text otherwise", () => {
    assert.deepStrictEqual(
      set(
        { rollout: { topK: 3, prompts: 2 } },
        "rollout.topK=1",
        "optimizer.learningRate=1e-4",
        "algorithm=ppo",
        "retriever.url=http://h/a=b",
        "model=null",
        "presets=[\"reference\"]",
        "questions.train=\"7\""
      ),
      {
        rollout: { topK: 1, prompts: 2 },
        optimizer: { learningRate: 1e-4 },
        algorithm: "ppo",
        retriever: { url: "http://h/a=b" },
        model: null,
        presets: ["reference"],
        questions: { train: "7" }
      }
    )
  })

  it("a key of text takes numbers and truths as they are written", () => {
    assert.deepStrictEqual(set({}, "model=2024", "questions.train=1e3", "retriever.corpus=true", "model=0123"), {
      model: "0123",
      questions: { train: "1e3" },
      retriever: { corpus: "true" }
    })
  })

  it("a value that the key does not take is an error that says what it takes", () => {
    const cases: ReadonlyArray<readonly [assignment: string, problem: string]> = [
      ["steps=many", "steps: expected a whole number of at least 1, e.g. 1005, and got \"many\""],
      ["steps=", "steps: expected a whole number of at least 1, e.g. 1005, and got nothing"],
      ["steps", "steps: expected path=value, e.g. steps=1005"],
      ["steps=1,000", "steps: expected a whole number of at least 1, e.g. 1005, and got \"1,000\"; did you mean 1000?"],
      ["steps.x=1", "steps: expected a whole number of at least 1, e.g. 1005, and got {\"x\":1}"],
      ["steps=[1, 2]", "steps: expected a whole number of at least 1, e.g. 1005, and got [1, 2]"],
      [
        "seed=12345678901234567890",
        "seed: expected a whole number from 0 to 9007199254740991, e.g. 0, and got 12345678901234567890; the nearest is 9007199254740991"
      ],
      [
        "loss.dualClip=none",
        "loss.dualClip: expected a number above 1, e.g. 2, or null, and got \"none\"; did you mean null?"
      ],
      [
        "optimizer.adamW.beta1=1",
        "optimizer.adamW.beta1: expected a number of at least 0 and below 1, e.g. 0.9, and got 1"
      ],
      ["rollout.doSearch=off", "rollout.doSearch: expected true or false, and got \"off\"; did you mean false?"],
      ["compat.lrWarmupStart=\"1\"", "compat.lrWarmupStart: expected 0 or 1, and got \"1\"; did you mean 1?"],
      ["device=gpu", "device: expected auto, wasm, tensorflow, torch or cpu, and got \"gpu\"; did you mean cpu?"],
      [
        "reward.kind=exact_match",
        "reward.kind: expected exactMatch, subEm, f1 or format, and got \"exact_match\"; did you mean exactMatch?"
      ],
      ["model=", "model: expected text, e.g. models/mine, or null, and got nothing"],
      [
        "kl={placement:loss}",
        "kl: it is not JSON (line 1, column 2: the name of a field stands in double quotes): {placement:loss}, e.g. kl.placement=loss"
      ]
    ]
    for (const [assignment, problem] of cases) {
      assert.deepStrictEqual(problems(RunConfig.set({}, assignment)), [problem])
    }
    assert.deepStrictEqual(
      problems(RunConfig.setAll({}, ["steps=x", "seed=1", "sede=2"])).map((line) => line.split(":")[0]),
      ["steps", "sede"]
    )
  })

  it("an unknown path or no assignment at all is an error that tells what to write", () => {
    assert.deepStrictEqual(problems(RunConfig.set({}, "optimiser.learningRate=1")), [
      "optimiser: unknown key; did you mean optimizer?"
    ])
    assert.deepStrictEqual(problems(RunConfig.set({}, "rollout.topk=1")), [
      "rollout.topk: unknown key; did you mean rollout.topK?"
    ])
    assert.match(problems(RunConfig.set({}, "topK"))[0] ?? "", /expected path=value/)
  })
})

describe("RunConfig.jsonSchema", () => {
  const schema = RunConfig.jsonSchema()

  const child = (object: Schema.Json | undefined, ...path: ReadonlyArray<string>): Schema.Json | undefined =>
    path.reduce<Schema.Json | undefined>((at, key) => {
      if (typeof at !== "object" || at === null || Array.isArray(at)) return undefined
      const found: Schema.Json | undefined = Object.entries(at).find(([name]) => name === key)?.[1]
      return found
    }, object)

  it("describes every key, with its default, and requires none", () => {
    const walk = (at: Schema.Json | undefined, path: string): void => {
      const properties = child(at, "properties")
      assert.isUndefined(child(at, "required"), path)
      if (typeof properties !== "object" || properties === null) {
        assert.isDefined(child(at, "default"), `${path} has a default`)
        return
      }
      assert.strictEqual(child(at, "additionalProperties"), false, path)
      for (const [key, value] of Object.entries(properties)) if (key !== "$schema") walk(value, `${path}.${key}`)
    }
    walk(schema, "")
    assert.strictEqual(
      child(schema, "properties", "rollout", "properties", "topK", "description"),
      "Passages per search."
    )
    assert.strictEqual(child(schema, "properties", "rollout", "properties", "topK", "default"), 3)
    assert.deepStrictEqual(child(schema, "properties", "algorithm", "enum"), [...RunConfig.Algorithm.literals])
  })
})

describe("Suggestion", () => {
  it("counts edits, a swap of neighbours as one", () => {
    assert.deepStrictEqual(
      [["", "abc"], ["kitten", "sitting"], ["sede", "seed"], ["TopK", "topk"]].map(([a, b]) =>
        Suggestion.distance(a ?? "", b ?? "")
      ),
      [3, 3, 1, 0]
    )
    assert.strictEqual(Suggestion.nearest("xyz", ["alpha", "beta"]), undefined)
  })
})
