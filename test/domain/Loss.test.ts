import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as KlEstimator from "../../src/domain/KlEstimator.ts"
import * as Loss from "../../src/domain/Loss.ts"
import * as Prng from "../../src/domain/Prng.ts"
import { uniform } from "../support/samples.ts"

const oneSequence = (tokens: number) => Int32Array.of(0, tokens)

const goldenInput: Loss.PolicyLossInput = {
  logProbs: Float32Array.of(-0.8, -2.5, -0.5, -0.9, -1.2, -1),
  oldLogProbs: Float32Array.of(-1, -2, -0.5, -0.3, -1.2, -2),
  advantages: Float32Array.of(1, 1, 1, -0.5, -0.5, -0.5),
  lossMask: Uint8Array.of(1, 0, 1, 1, 1, 1),
  entropy: new Float32Array(6).fill(0.7),
  sequenceOffsets: Int32Array.of(0, 3, 6)
}
const goldenNormaliser = { tokens: 5, sequences: 2, valueTokens: 0, microBatches: 1 }
const bare: Loss.LossConfig = { ...Loss.ppo, entropyCoefficient: 0 }

describe("Loss: golden vectors of the reference (A.5)", () => {
  it("policy loss, clip fraction and approximate KL", () => {
    for (const aggregation of ["tokenMean", "microTokenMean"] as const) {
      const loss = Loss.policyLoss({ ...bare, aggregation }, goldenInput, goldenNormaliser)
      assert.closeTo(loss.value, 0.011828, 1e-6)
      assert.closeTo(loss.metrics["actor/pg_clipfrac"] ?? Number.NaN, 0.4, 1e-6)
      assert.closeTo(loss.metrics["actor/ppo_kl"] ?? Number.NaN, -0.12, 1e-6)
    }
  })

  it("value loss", () => {
    const loss = Loss.valueLoss({ clip: 0.5, aggregation: "tokenMean" }, {
      values: Float32Array.of(0.5, 1.2, 0.1),
      returns: Float32Array.of(1, 1, 0),
      oldValues: Float32Array.of(0.4, 0.4, 0.9),
      valueMask: Uint8Array.of(1, 1, 0)
    }, { valueTokens: 2, microBatches: 1 })
    assert.closeTo(loss.value, 0.0725, 1e-6)
    assert.strictEqual(loss.metrics["critic/vf_clipfrac"], 0)
  })

  it("KL estimators", () => {
    const lp = [-1, -2, -1]
    const lr = [-1.5, -0.5, -1]
    const expected = {
      k1: [0.5, -1.5, 0],
      abs: [0.5, 1.5, 0],
      k2: [0.125, 1.125, 0],
      k3: [0.106531, 1.981689, 0]
    } as const
    for (const estimator of KlEstimator.KlEstimator.literals) {
      for (const clamp of KlEstimator.KlClamp.literals) {
        lp.forEach((logProb, index) =>
          assert.closeTo(
            KlEstimator.value(estimator, clamp, logProb, lr[index] ?? 0),
            expected[estimator][index] ?? Number.NaN,
            1e-6
          )
        )
      }
    }
  })

  it("k3 saturates, loses its gradient and overflows in the reference, and does neither when fixed", () => {
    assert.strictEqual(KlEstimator.value("k3", "post10", -5, 0), 10)
    assert.strictEqual(KlEstimator.derivative("k3", "post10", -5, 0), 0)
    assert.strictEqual(KlEstimator.value("k3", "post10", -120, 0), 10)
    assert.isNaN(KlEstimator.derivative("k3", "post10", -120, 0))
    assert.closeTo(KlEstimator.value("k3", "pre20", -5, 0), Math.exp(5) - 6, 1e-9)
    assert.closeTo(KlEstimator.derivative("k3", "pre20", -5, 0), 1 - Math.exp(5), 1e-9)
    assert.isTrue(Number.isFinite(KlEstimator.value("k3", "pre20", -120, 0)))
    assert.closeTo(KlEstimator.derivative("k3", "pre20", -120, 0), 1 - Math.exp(20), 1e-3)
    assert.isTrue(Number.isFinite(KlEstimator.value("k3", "pre20", 0, -1e4)))
  })
})

/**
 * Log-ratios away from the kinks of the clipped surrogates (bounds .8, 1.2 or 1.28, dual clip 3): every interval keeps a
 * distance of at least .02 in the ratio.
 */
const RATIO_INTERVALS: ReadonlyArray<readonly [number, number]> = [
  [-0.6, -0.3],
  [-0.19, -0.03],
  [0.03, 0.15],
  [0.3, 0.6],
  [1.2, 1.5]
]

interface Sampled {
  readonly input: Loss.PolicyLossInput
  readonly normaliser: Loss.LossNormaliser
}

const sampleInput = (seed: number, options: { readonly constantAdvantages: boolean }): Sampled => {
  const prng = Prng.make(`loss/${seed}`)
  const lengths = Array.from({ length: 1 + prng.below(4) }, () => 2 + prng.below(6))
  const sequenceOffsets = Int32Array.of(
    0,
    ...lengths.map((_, index) => lengths.slice(0, index + 1).reduce((a, b) => a + b))
  )
  const tokens = sequenceOffsets[lengths.length] ?? 0
  const oldLogProbs = uniform(prng, tokens, -3, -1.6)
  const logProbs = oldLogProbs.map((old) => {
    const [low, high] = RATIO_INTERVALS[prng.below(RATIO_INTERVALS.length)] ?? [0.1, 0.1]
    return old + low + (high - low) * prng.float()
  })
  const advantages = new Float32Array(tokens)
  lengths.forEach((length, sequence) => {
    const shared = prng.float() * 2 - 1
    for (let index = 0; index < length; index++) {
      advantages[(sequenceOffsets[sequence] ?? 0) + index] = options.constantAdvantages ? shared : prng.float() * 2 - 1
    }
  })
  const lossMask = Uint8Array.from(
    { length: tokens },
    (_, position) => sequenceOffsets.includes(position) ? 0 : prng.below(4) === 0 ? 0 : 1
  )
  const trained =
    lengths.filter((_, index) => lossMask.subarray(sequenceOffsets[index], sequenceOffsets[index + 1]).includes(1))
      .length
  return {
    input: {
      logProbs,
      entropy: uniform(prng, tokens, 0, 2),
      sequenceOffsets,
      lossMask,
      advantages,
      oldLogProbs,
      refLogProbs: oldLogProbs.map((old) => old + 0.7 * prng.float() - 1.4),
      behaviourLogProbs: oldLogProbs.map((old) => old + 2 * prng.float() - 1)
    },
    normaliser: {
      tokens: lossMask.reduce((a, b) => a + b, 0) + 3,
      sequences: trained + 1,
      valueTokens: 0,
      microBatches: 2
    }
  }
}

/** A step that float32 log-probabilities of magnitude below 4 hold exactly. */
const STEP = 2 ** -12

const perturbed = (values: Float32Array, index: number, by: number): Float32Array => {
  const copy = values.slice()
  copy[index] = (copy[index] ?? 0) + by
  return copy
}

const finiteDifference = (f: (values: Float32Array) => number, at: Float32Array, index: number): number => {
  const above = perturbed(at, index, STEP)
  const below = perturbed(at, index, -STEP)
  return (f(above) - f(below)) / ((above[index] ?? 0) - (below[index] ?? 0))
}

const assertGradient = (
  f: (values: Float32Array) => number,
  at: Float32Array,
  gradient: Float32Array,
  label: string
): void =>
  at.forEach((_, index) => {
    const expected = finiteDifference(f, at, index)
    assert.closeTo(gradient[index] ?? Number.NaN, expected, 2e-5 + 1e-3 * Math.abs(expected), `${label}[${index}]`)
  })

const Seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

const full: Loss.LossConfig = {
  ...Loss.ppo,
  entropyCoefficient: 0.3,
  klCoefficient: 0.4,
  importanceCap: 1.5
}

describe("Loss: derivatives equal finite differences", () => {
  const cases: ReadonlyArray<readonly [string, Loss.LossConfig, boolean]> = [
    ["PPO clip, token mean", full, false],
    ["DAPO's decoupled clip, sequence mean", { ...full, clipHigh: 0.28, aggregation: "seqMean" }, false],
    ["dual clip, fixed length", { ...full, dualClip: 3, aggregation: "fixedLength", fixedLength: 11 }, false],
    ["the reference's micro-batch mean", { ...full, aggregation: "microTokenMean", klClamp: "post10" }, false],
    ["REINFORCE", { ...full, surrogate: "reinforce", klEstimator: "k1" }, false],
    ["GSPO", { ...full, importanceCap: null, surrogate: "gspo", aggregation: "seqMean", klEstimator: "k2" }, true],
    ["GSPO, token mean", { ...full, importanceCap: null, surrogate: "gspo", klEstimator: "abs" }, true]
  ]
  for (const [name, config, constantAdvantages] of cases) {
    it.prop(name, [Seed], ([seed]) => {
      const { input, normaliser } = sampleInput(seed, { constantAdvantages })
      if (config.surrogate === "gspo" && nearSequenceBound(input, config)) return
      const loss = Loss.policyLoss(config, input, normaliser)
      const value = (changes: Partial<Loss.PolicyLossInput>) =>
        Loss.policyLoss(config, { ...input, ...changes }, normaliser).value
      assertGradient((logProbs) => value({ logProbs }), input.logProbs, loss.gradLogProbs, "logProbs")
      assertGradient((entropy) => value({ entropy }), input.entropy, loss.gradEntropy, "entropy")
    }, { arbitrary: { runs: 25 } })
  }

  it.prop("CISPO: the derivative of its surrogate with the clipped ratios held", [Seed], ([seed]) => {
    const { input, normaliser } = sampleInput(seed, { constantAdvantages: false })
    const config: Loss.LossConfig = { ...full, surrogate: "cispo", clipLow: 1, clipHigh: 0.2 }
    const held = input.advantages.map((advantage, index) =>
      advantage * Math.min(1.2, Math.exp((input.logProbs[index] ?? 0) - (input.oldLogProbs[index] ?? 0)))
    )
    const loss = Loss.policyLoss(config, input, normaliser)
    assertGradient(
      (logProbs) =>
        Loss.policyLoss(
          { ...config, surrogate: "reinforce" },
          { ...input, advantages: held, logProbs },
          normaliser
        ).value,
      input.logProbs,
      loss.gradLogProbs,
      "logProbs"
    )
  }, { arbitrary: { runs: 25 } })

  it.prop("likelihood displacement (LLDS)", [Seed], ([seed]) => {
    const { input, normaliser } = sampleInput(seed, { constantAdvantages: false })
    const config: Loss.LossConfig = { ...bare, lldsCoefficient: 0.2 }
    if (runDisplacements(input).some((displacement) => Math.abs(displacement) < 0.01)) return
    const loss = Loss.policyLoss(config, input, normaliser)
    assertGradient(
      (logProbs) => Loss.policyLoss(config, { ...input, logProbs }, normaliser).value,
      input.logProbs,
      loss.gradLogProbs,
      "logProbs"
    )
  }, { arbitrary: { runs: 25 } })

  it.prop("value loss", [Seed], ([seed]) => {
    const prng = Prng.make(`value/${seed}`)
    const tokens = 1 + prng.below(12)
    const oldValues = uniform(prng, tokens, -1, 1)
    // Away from the kinks at v_old ± .5 and at equal errors.
    const values = oldValues.map((old) => old + ([-0.9, -0.3, 0.2, 0.8][prng.below(4)] ?? 0) + 0.1 * prng.float())
    const input: Loss.ValueLossInput = {
      values,
      oldValues,
      returns: oldValues.map((old) => old + (prng.below(2) === 0 ? 3 : -3)),
      valueMask: Uint8Array.from({ length: tokens }, () => prng.below(3) === 0 ? 0 : 1)
    }
    for (const aggregation of ["tokenMean", "microTokenMean"] as const) {
      const config: Loss.ValueLossConfig = { clip: 0.5, aggregation }
      const normaliser = { valueTokens: tokens + 2, microBatches: 3 }
      const loss = Loss.valueLoss(config, input, normaliser)
      const selected = input.valueMask.reduce((a, b) => a + b, 0)
      const divisor = aggregation === "tokenMean" ? normaliser.valueTokens : Math.max(1, 3 * selected)
      const expected = (values: Float32Array) =>
        values.reduce((sum, value, at) => {
          if (input.valueMask[at] === 0) return sum
          const [old, target] = [oldValues[at] ?? 0, input.returns[at] ?? 0]
          const held = Math.max(old - 0.5, Math.min(old + 0.5, value))
          return sum + Math.max((value - target) ** 2, (held - target) ** 2) / 2
        }, 0) / divisor
      assert.closeTo(loss.value, expected(input.values), 1e-6)
      assertGradient(
        expected,
        input.values,
        loss.gradValues,
        "values"
      )
    }
  }, { arbitrary: { runs: 25 } })

  it.prop("KL estimators", [Seed], ([seed]) => {
    const prng = Prng.make(`kl/${seed}`)
    const lr = -4 * prng.float()
    const lp = lr + (prng.below(2) === 0 ? 1 : -1) * (0.05 + 2 * prng.float())
    for (const estimator of KlEstimator.KlEstimator.literals) {
      for (const clamp of KlEstimator.KlClamp.literals) {
        const at = (logProb: number) => KlEstimator.value(estimator, clamp, logProb, lr)
        assert.closeTo(
          KlEstimator.derivative(estimator, clamp, lp, lr),
          (at(lp + 1e-6) - at(lp - 1e-6)) / 2e-6,
          1e-5,
          `${estimator} ${clamp}`
        )
      }
    }
  })
})

const nearSequenceBound = (input: Loss.PolicyLossInput, config: Loss.LossConfig): boolean => {
  for (let sequence = 0; sequence + 1 < input.sequenceOffsets.length; sequence++) {
    let [sum, count] = [0, 0]
    for (let at = input.sequenceOffsets[sequence] ?? 0; at < (input.sequenceOffsets[sequence + 1] ?? 0); at++) {
      if (input.lossMask[at] !== 1) continue
      sum += (input.logProbs[at] ?? 0) - (input.oldLogProbs[at] ?? 0)
      count += 1
    }
    const ratio = Math.exp(sum / Math.max(1, count))
    if (Math.abs(ratio - 1 - config.clipHigh) < 0.01 || Math.abs(ratio - 1 + config.clipLow) < 0.01) return true
  }
  return false
}

const runDisplacements = (input: Loss.PolicyLossInput): ReadonlyArray<number> => {
  const sums: Array<number> = []
  for (let at = 0; at < input.lossMask.length; at++) {
    if (input.lossMask[at] !== 1) continue
    if (at === 0 || input.lossMask[at - 1] !== 1) sums.push(0)
    sums.push((sums.pop() ?? 0) + (input.oldLogProbs[at] ?? 0) - (input.logProbs[at] ?? 0))
  }
  return sums
}

describe("Loss: meaning", () => {
  const input = (changes: Partial<Loss.PolicyLossInput>): Loss.PolicyLossInput => ({
    logProbs: Float32Array.of(0, -1, -1, -1, -1),
    oldLogProbs: Float32Array.of(0, -1, -1, -1, -1),
    entropy: new Float32Array(5),
    sequenceOffsets: oneSequence(5),
    lossMask: Uint8Array.of(0, 1, 1, 0, 1),
    advantages: new Float32Array(5).fill(1),
    ...changes
  })
  const normaliser = { tokens: 3, sequences: 1, valueTokens: 0, microBatches: 1 }

  it("what the mask leaves out changes nothing, NaN included", () => {
    const clean = Loss.policyLoss({ ...full, importanceCap: null, klCoefficient: 0 }, input({}), normaliser)
    const dirty = Loss.policyLoss(
      { ...full, importanceCap: null, klCoefficient: 0 },
      input({
        logProbs: Float32Array.of(Number.NaN, -1, -1, Number.NaN, -1),
        advantages: Float32Array.of(7, 1, 1, Number.POSITIVE_INFINITY, 1),
        oldLogProbs: Float32Array.of(9, -1, -1, Number.NaN, -1)
      }),
      normaliser
    )
    assert.deepStrictEqual(dirty, clean)
  })

  it("an empty mask has a loss of 0, not NaN", () => {
    for (const aggregation of Loss.Aggregation.literals) {
      const loss = Loss.policyLoss(
        { ...full, aggregation },
        input({ lossMask: new Uint8Array(5) }),
        { tokens: 0, sequences: 0, valueTokens: 0, microBatches: 1 }
      )
      assert.strictEqual(Math.abs(loss.value), 0)
      assert.isTrue(loss.gradLogProbs.every((gradient) => gradient === 0))
    }
  })

  it("LLDS looks at each action as a whole: a displaced run counts, another does not", () => {
    const shifted = input({
      oldLogProbs: Float32Array.of(0, -1, -1.5, -1, -0.5),
      logProbs: Float32Array.of(0, -1.25, -1, -1, -1)
    })
    // First run: (−1 + 1.25) + (−1.5 + 1) < 0, no gate. Second run: −.5 + 1 > 0, its token lost .5.
    const loss = Loss.policyLoss({ ...bare, lldsCoefficient: 0.2 }, shifted, normaliser)
    assert.closeTo(loss.metrics["actor/llds_loss"] ?? Number.NaN, 0.5 / 3, 1e-7)
    const negative = Loss.policyLoss(
      { ...bare, lldsCoefficient: 0.2 },
      { ...shifted, advantages: new Float32Array(5).fill(-1) },
      normaliser
    )
    assert.strictEqual(negative.metrics["actor/llds_loss"], 0)
  })

  it("truncated importance sampling weighs the policy term and nothing else", () => {
    const behaviourLogProbs = Float32Array.of(0, -1, -1 - Math.log(1.5), -9, -9)
    const stale = input({ behaviourLogProbs })
    const loss = Loss.policyLoss({ ...bare, importanceCap: 2 }, stale, normaliser)
    assert.closeTo(loss.value, -(1 + 1.5 + 2) / 3, 1e-6)
    assert.closeTo(loss.metrics["actor/importance_capfrac"] ?? Number.NaN, 1 / 3, 1e-7)
    assert.closeTo(loss.metrics["actor/behaviour_log_prob_diff_max"] ?? Number.NaN, 8, 1e-6)
    assert.strictEqual(Loss.policyLoss(bare, stale, normaliser).value, -1)
  })

  it("reuses the arrays it is handed", () => {
    const out = { gradLogProbs: new Float32Array(5).fill(9), gradEntropy: new Float32Array(5).fill(9) }
    const reused = Loss.policyLoss(full, input({}), normaliser, out)
    const fresh = Loss.policyLoss(full, input({}), normaliser)
    assert.strictEqual(reused.gradLogProbs, out.gradLogProbs)
    assert.deepStrictEqual(reused, fresh)
  })

  it("names the signals that a configuration needs", () => {
    assert.deepStrictEqual(Loss.requiredSignals(bare), [])
    assert.deepStrictEqual(Loss.requiredSignals(full), ["refLogProbs", "behaviourLogProbs"])
  })
})
