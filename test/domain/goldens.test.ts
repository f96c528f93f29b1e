/** Advantages and losses against float64 programs in NumPy (`scripts/goldens/`), which know the papers and not this code. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { readFileSync } from "node:fs"
import * as Advantage from "../../src/domain/Advantage.ts"
import * as KlEstimator from "../../src/domain/KlEstimator.ts"
import * as Loss from "../../src/domain/Loss.ts"
import type { Segment } from "../../src/domain/Trajectory.ts"
import { scoredTrajectory, segmentOf } from "../support/samples.ts"

interface Golden<Case> {
  readonly made: { readonly program: string; readonly numpy: string; readonly python: string }
  readonly cases: ReadonlyArray<Case>
}

type Numbers = ReadonlyArray<number>
type Metrics = Readonly<Record<string, number>>

const golden = <Case>(name: string): ReadonlyArray<Case> => {
  const file: Golden<Case> = JSON.parse(readFileSync(new URL(`../golden/numpy/${name}.json`, import.meta.url), "utf8"))
  assert.match(file.made.numpy, /^\d+\.\d+/)
  assert.isAbove(file.cases.length, 9)
  return file.cases
}

const assertNear = (actual: number | undefined, expected: number, label: string, tolerance = 2e-6): void =>
  assert.closeTo(actual ?? Number.NaN, expected, tolerance * (1 + Math.abs(expected)), label)

const assertAllNear = (actual: ArrayLike<number>, expected: Numbers, label: string, tolerance?: number): void => {
  assert.strictEqual(actual.length, expected.length, label)
  expected.forEach((value, index) => assertNear(actual[index], value, `${label}[${index}]`, tolerance))
}

/** Exactly these metrics, each with its value. */
const assertMetrics = (actual: Metrics, expected: Metrics, label: string): void => {
  assert.deepStrictEqual(Object.keys(actual).toSorted(), Object.keys(expected).toSorted(), label)
  for (const [name, value] of Object.entries(expected)) assertNear(actual[name], value, `${label} ${name}`)
}

const differences = <Config extends object>(config: Config, base: Config): string => {
  const other = new Map(Object.entries(base))
  return Object.entries(config)
    .filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(other.get(key)))
    .map(([key, value]) => `${key} ${JSON.stringify(value)}`)
    .join(", ")
}

interface AdvantageCase {
  readonly config: Advantage.AdvantageConfig
  readonly batch: ReadonlyArray<{
    readonly promptKey: string
    readonly questionId: string
    readonly segments: ReadonlyArray<readonly [Segment["_tag"], number]>
    readonly reward: number
    readonly values: Numbers
    readonly logProbs: Numbers
    readonly refLogProbs: Numbers
  }>
  readonly advantages: ReadonlyArray<Numbers>
  readonly returns: ReadonlyArray<Numbers>
  readonly metrics: Metrics
}

describe("advantages equal NumPy's", () => {
  for (
    const [index, { advantages, batch, config, metrics, returns }] of golden<AdvantageCase>("advantages").entries()
  ) {
    it(`${config.estimator}: ${differences(config, Advantage.grpo)} (case ${index})`, () => {
      const scored = batch.map(({ promptKey, questionId, reward, segments }, sample) =>
        scoredTrajectory({
          promptKey,
          questionId,
          reward,
          sample,
          segments: segments.map(([kind, length]) => segmentOf(kind, length))
        })
      )
      const floats = (of: (one: AdvantageCase["batch"][number]) => Numbers) =>
        batch.map((one) => Float32Array.from(of(one)))
      const estimate = Result.getOrThrow(Advantage.estimate(config, scored, {
        values: floats(({ values }) => values),
        logProbs: floats(({ logProbs }) => logProbs),
        refLogProbs: floats(({ refLogProbs }) => refLogProbs)
      }))
      assert.strictEqual(estimate.advantages.length, batch.length)
      advantages.forEach((row, at) => assertAllNear(estimate.advantages[at] ?? [], row, `advantages ${at}`))
      returns.forEach((row, at) => assertAllNear(estimate.returns[at] ?? [], row, `returns ${at}`))
      assertMetrics(estimate.metrics, metrics, "metrics")
    })
  }
})

interface PolicyCase {
  readonly config: Loss.LossConfig
  readonly input: {
    readonly logProbs: Numbers
    readonly oldLogProbs: Numbers
    readonly refLogProbs: Numbers
    readonly behaviourLogProbs: Numbers
    readonly advantages: Numbers
    readonly entropy: Numbers
    readonly lossMask: Numbers
    readonly sequenceOffsets: Numbers
  }
  readonly normaliser: Loss.LossNormaliser
  readonly parts: ReadonlyArray<
    { readonly sequences: Numbers; readonly value: number; readonly metrics: Metrics }
  >
  readonly gradLogProbs: Numbers
  readonly gradEntropy: Numbers
}

describe("policy losses equal NumPy's, micro-batch by micro-batch", () => {
  for (const [index, one] of golden<PolicyCase>("policy-loss").entries()) {
    const { config, gradEntropy, gradLogProbs, input, normaliser, parts } = one
    it(`${config.aggregation}: ${differences(config, Loss.ppo)} (case ${index})`, () => {
      const [byLogProbs, byEntropy]: [Array<number>, Array<number>] = [[], []]
      for (const { metrics, sequences, value } of parts) {
        const offsets = input.sequenceOffsets.slice(sequences[0], sequences[0]! + sequences.length + 1)
        const [from, to] = [offsets[0]!, offsets.at(-1)!]
        const floats = (numbers: Numbers) => Float32Array.from(numbers.slice(from, to))
        const loss = Loss.policyLoss(config, {
          logProbs: floats(input.logProbs),
          oldLogProbs: floats(input.oldLogProbs),
          refLogProbs: floats(input.refLogProbs),
          behaviourLogProbs: floats(input.behaviourLogProbs),
          advantages: floats(input.advantages),
          entropy: floats(input.entropy),
          lossMask: Uint8Array.from(input.lossMask.slice(from, to)),
          sequenceOffsets: Int32Array.from(offsets, (offset) => offset - from)
        }, normaliser)
        assertNear(loss.value, value, `sequences ${sequences.join()}`)
        assertMetrics(loss.metrics, metrics, `sequences ${sequences.join()}`)
        byLogProbs.push(...loss.gradLogProbs)
        byEntropy.push(...loss.gradEntropy)
      }
      assertAllNear(byLogProbs, gradLogProbs, "gradLogProbs")
      assertAllNear(byEntropy, gradEntropy, "gradEntropy")
    })
  }
})

interface ValueCase {
  readonly config: Loss.ValueLossConfig
  readonly input: {
    readonly values: Numbers
    readonly oldValues: Numbers
    readonly returns: Numbers
    readonly valueMask: Numbers
  }
  readonly normaliser: { readonly valueTokens: number; readonly microBatches: number }
  readonly parts: ReadonlyArray<
    { readonly from: number; readonly to: number; readonly value: number; readonly metrics: Metrics }
  >
  readonly gradValues: Numbers
}

describe("value losses equal NumPy's, micro-batch by micro-batch", () => {
  for (const [index, { config, gradValues, input, normaliser, parts }] of golden<ValueCase>("value-loss").entries()) {
    it(`${config.aggregation}, clip ${config.clip}, ${parts.length} micro-batches (case ${index})`, () => {
      const gradients: Array<number> = []
      for (const { from, metrics, to, value } of parts) {
        const floats = (numbers: Numbers) => Float32Array.from(numbers.slice(from, to))
        const loss = Loss.valueLoss(config, {
          values: floats(input.values),
          oldValues: floats(input.oldValues),
          returns: floats(input.returns),
          valueMask: Uint8Array.from(input.valueMask.slice(from, to))
        }, normaliser)
        assertNear(loss.value, value, `tokens ${from} to ${to}`)
        assertMetrics(loss.metrics, metrics, `tokens ${from} to ${to}`)
        gradients.push(...loss.gradValues)
      }
      assertAllNear(gradients, gradValues, "gradValues")
    })
  }
})

interface KlCase {
  readonly estimator: KlEstimator.KlEstimator
  readonly clamp: KlEstimator.KlClamp
  readonly logProb: number
  readonly refLogProb: number
  readonly value: number
  readonly derivative: number
}

it("KL estimators equal NumPy's", () => {
  for (const { clamp, derivative, estimator, logProb, refLogProb, value } of golden<KlCase>("kl")) {
    const label = `${estimator} ${clamp} at ${refLogProb - logProb}`
    assertNear(KlEstimator.value(estimator, clamp, logProb, refLogProb), value, label)
    assertNear(KlEstimator.derivative(estimator, clamp, logProb, refLogProb), derivative, label, 1e-5)
  }
})
