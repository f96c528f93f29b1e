import { assert, describe, it } from "@effect/vitest"
import { Result, type Schema } from "effect"
import * as RunConfig from "../../src/domain/RunConfig.ts"
import * as RunPlan from "../../src/domain/RunPlan.ts"

const resolved = (input: Schema.Json) => Result.getOrThrow(RunConfig.resolve(input))

describe("RunPlan: every switch about learning reaches the part that it is about", () => {
  const fixed = resolved({ algorithm: "ppo" })
  const reference = resolved({ algorithm: "ppo", presets: ["reference"] })

  it("lossAgg (Q32) and k3Clamp (Q33)", () => {
    assert.deepStrictEqual(
      [fixed, reference].map((config) => [
        RunPlan.lossConfig(config).aggregation,
        RunPlan.lossConfig(config).klClamp,
        RunPlan.valueLossConfig(config).aggregation,
        RunPlan.advantageConfig(config).rewardKl?.clamp
      ]),
      [["tokenMean", "pre20", "tokenMean", "pre20"], ["microTokenMean", "post10", "microTokenMean", "post10"]]
    )
    assert.strictEqual(
      RunPlan.lossConfig(resolved({ presets: ["reference"], loss: { aggregation: "seqMean" } })).aggregation,
      "seqMean",
      "a key of its own wins"
    )
  })

  it("gaeScope, whitenMask, valueMask (Q31) and groupKey (Q30)", () => {
    const scopes = (config: RunConfig.RunConfig) => {
      const { gaeScope, groupKey, lossScope, whitenMask } = RunPlan.advantageConfig(config)
      return [gaeScope, whitenMask, lossScope, groupKey, RunPlan.sequenceOptions(config).valueScope]
    }
    assert.deepStrictEqual(scopes(fixed), ["loss", "loss", "loss", "promptInstance", "loss"])
    assert.deepStrictEqual(scopes(reference), ["attention", "attention", "loss", "index", "attention"])
    const unmasked = resolved({ algorithm: "ppo", loss: { maskObservations: false } })
    assert.deepStrictEqual(scopes(unmasked), ["attention", "attention", "attention", "promptInstance", "attention"])
    assert.strictEqual(RunPlan.sequenceOptions(unmasked).lossScope, "attention")
  })

  it("miniBatchUnit (Q35), and mini-batches by number or by size", () => {
    assert.deepStrictEqual(RunPlan.miniBatchOptions(fixed, 3), { unit: "prompts", split: { by: "size", size: 256 } })
    assert.strictEqual(RunPlan.miniBatchOptions(reference, 3).unit, "trajectories")
    const four = resolved({ seed: 7, update: { miniBatches: 4, shuffle: true, epochs: 2 } })
    assert.deepStrictEqual(RunPlan.miniBatchOptions(four, 3, 1), {
      unit: "prompts",
      split: { by: "count", count: 4 },
      shuffleSeed: "7/3/1/mini-batches"
    })
    assert.strictEqual(RunPlan.updatesPerStep(four), 8)
  })

  it("lrWarmupStart (4.9): the reference's first step has the rate 0", () => {
    assert.strictEqual(RunPlan.learningRate(reference, 0), 0)
    assert.strictEqual(RunPlan.criticLearningRate(reference, 0), 0)
    assert.closeTo(RunPlan.learningRate(fixed, 0), 1e-6 / 286, 1e-15)
    assert.strictEqual(RunPlan.learningRate(fixed, 285), 1e-6)
    assert.strictEqual(RunPlan.criticLearningRate(fixed, 14), 1e-5)
  })

  it("evalSampling (Q1)", () => {
    const v02 = resolved({ presets: ["paper-grpo", "reference"] })
    assert.deepStrictEqual(RunPlan.evaluationSampling(v02), { temperature: 1, topK: 0, topP: 0.95 })
    assert.strictEqual(RunPlan.evaluationSampling(fixed).temperature, 0)
  })

  it("stale rollouts are corrected by importance sampling unless told otherwise", () => {
    const cap = (input: Schema.Json) => RunPlan.lossConfig(resolved(input)).importanceCap
    assert.deepStrictEqual(
      [cap({}), cap({ rollout: { staleness: 1 } }), cap({ loss: { importanceCap: 5 } })],
      [null, 2, 5]
    )
    assert.isTrue(RunPlan.sequenceOptions(resolved({ rollout: { staleness: 1 } })).behaviour)
  })

  it("the KL term goes where it is placed, at the controller's coefficient", () => {
    assert.strictEqual(RunPlan.lossConfig(resolved({ algorithm: "grpo" }), 0.5).klCoefficient, 0.5)
    assert.strictEqual(RunPlan.lossConfig(fixed, 0.5).klCoefficient, 0)
    assert.strictEqual(RunPlan.advantageConfig(fixed, 0.5).rewardKl?.coefficient, 0.5)
    assert.deepStrictEqual(
      [fixed, resolved({ algorithm: "dapo" }), resolved({ kl: { coefficient: 0 } })].map(RunPlan.usesReference),
      [true, false, false]
    )
    assert.deepStrictEqual(RunPlan.klController(resolved({ kl: { controller: "adaptive", target: 2 } })), {
      kind: "adaptive",
      target: 2,
      horizon: 10_000
    })
  })

  it("the most that a policy can write bounds Dr. GRPO's fixed length", () => {
    const most = (rollout: { readonly [key: string]: Schema.Json }) => RunPlan.maxPolicyTokens(resolved({ rollout }))
    assert.deepStrictEqual(
      [most({}), most({ doSearch: false }), most({ finalTurn: false }), most({ maxContextTokens: 2100 })],
      [2500, 500, 2000, 2100]
    )
  })
})
