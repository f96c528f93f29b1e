/**
 * The policy's loss and its derivatives with respect to log-probabilities and entropies.
 *
 * @since 0.1.0
 */
import type { Normaliser } from "./Batch.ts"
import * as KlEstimator from "./KlEstimator.ts"
import type { LossConfig } from "./LossConfig.ts"

/**
 * One micro-batch as the loss sees it: `n` sequences end to end, all per-token arrays `[tokens]`.
 *
 * @category models
 * @since 0.1.0
 */
export interface PolicyLossInput {
  /** log π of each token under the parameters being learned, in nats. */
  readonly logProbs: Float32Array
  /** Entropy of the distribution each token was drawn from, in nats. */
  readonly entropy: Float32Array
  /** Shape `[n + 1]`: sequence `i` is `[sequenceOffsets[i], sequenceOffsets[i + 1])`. */
  readonly sequenceOffsets: Int32Array
  readonly lossMask: Uint8Array
  readonly advantages: Float32Array
  readonly oldLogProbs: Float32Array
  readonly refLogProbs?: Float32Array | undefined
  readonly behaviourLogProbs?: Float32Array | undefined
}

/**
 * What sums are divided by: the whole mini-batch's counts, and the number of micro-batches it is cut into (which only the
 * reference's `microTokenMean` looks at).
 *
 * @category models
 * @since 0.1.0
 */
export interface LossNormaliser extends Normaliser {
  readonly microBatches: number
}

/**
 * A micro-batch's share of the mini-batch's loss: values, gradients and metrics of all micro-batches add up to those of
 * the mini-batch ({@link addMetrics}).
 *
 * @category models
 * @since 0.1.0
 */
export interface PolicyLoss {
  readonly value: number
  /** ∂value/∂logProbs, shape `[tokens]`; 0 where the mask is 0. */
  readonly gradLogProbs: Float32Array
  /** ∂value/∂entropy, shape `[tokens]`; 0 where the mask is 0. */
  readonly gradEntropy: Float32Array
  readonly metrics: Record<string, number>
}

const SURROGATES = { clip: 0, gspo: 1, cispo: 2, reinforce: 3 } as const

/** Whether π fell over the run of trained tokens that starts at `start` (the gate of LLDS), and where the run ends. */
const displacedRun = (input: PolicyLossInput, start: number, end: number): readonly [boolean, number] => {
  const { lossMask, logProbs, oldLogProbs } = input
  let position = start
  let displacement = 0
  for (; position < end && lossMask[position] === 1; position++) {
    displacement += oldLogProbs[position]! - logProbs[position]!
  }
  return [displacement > 0, position]
}

/**
 * The loss of a micro-batch: policy term (weighted by truncated importance sampling) − entropyCoefficient·entropy +
 * klCoefficient·KL + lldsCoefficient·LLDS, each aggregated over trained tokens (spec 4.6 and 8).
 *
 * Where an optional array that the configuration asks for is absent its term is left out; see
 * `LossConfig.requiredSignals`. The arrays of `out` are overwritten and returned, to spare allocations.
 *
 * Metrics carry the reference's names. Those that end in `_max` are maxima, all others are sums of normalised shares.
 *
 * @category getters
 * @since 0.1.0
 */
export const policyLoss = (
  config: LossConfig,
  input: PolicyLossInput,
  normaliser: LossNormaliser,
  out?: { readonly gradLogProbs: Float32Array; readonly gradEntropy: Float32Array } | undefined
): PolicyLoss => {
  const { logProbs, entropy, sequenceOffsets, lossMask, advantages, oldLogProbs } = input
  const tokens = logProbs.length
  const gradLogProbs = out?.gradLogProbs.fill(0) ?? new Float32Array(tokens)
  const gradEntropy = out?.gradEntropy.fill(0) ?? new Float32Array(tokens)
  const { klClamp, klEstimator } = config
  const ref = config.klCoefficient > 0 ? input.refLogProbs : undefined
  const behaviour = input.behaviourLogProbs
  const cap = behaviour === undefined ? null : config.importanceCap
  const surrogate = SURROGATES[config.surrogate]
  const low = 1 - config.clipLow
  const high = 1 + config.clipHigh
  const dualClip = surrogate === SURROGATES.clip ? config.dualClip : null
  const micro = config.aggregation === "microTokenMean"
  let microTokens = 0
  if (micro) { for (let position = 0; position < tokens; position++) microTokens += lossMask[position]! }
  const tokenWeight = 1 / Math.max(1, micro ? normaliser.microBatches * microTokens : normaliser.tokens)

  let [pg, ent, kl, llds] = [0, 0, 0, 0]
  let [clipped, clippedLower, approxKl, ratioMax] = [0, 0, 0, 0]
  let [importance, truncated, mismatch] = [0, 0, 0]

  const sequences = sequenceOffsets.length - 1
  for (let sequence = 0; sequence < sequences; sequence++) {
    const start = sequenceOffsets[sequence]!
    const end = sequenceOffsets[sequence + 1]!
    let trained = 0
    let logRatioSum = 0
    for (let position = start; position < end; position++) {
      if (lossMask[position] === 1) {
        trained += 1
        logRatioSum += logProbs[position]! - oldLogProbs[position]!
      }
    }
    if (trained === 0) continue
    const weight = config.aggregation === "seqMean"
      ? 1 / (normaliser.sequences * trained)
      : config.aggregation === "fixedLength"
      ? 1 / (normaliser.sequences * config.fixedLength)
      : tokenWeight
    const sequenceRatio = Math.exp(logRatioSum / trained)
    let runEnd = start
    let displaced = false
    for (let position = start; position < end; position++) {
      if (lossMask[position] !== 1) continue
      const lp = logProbs[position]!
      const old = oldLogProbs[position]!
      const advantage = advantages[position]!
      const logRatio = lp - old
      const ratio = surrogate === SURROGATES.gspo ? sequenceRatio : Math.exp(logRatio)
      let termWeight = weight
      if (behaviour !== undefined) {
        const drift = old - behaviour[position]!
        mismatch = Math.max(mismatch, Math.abs(drift))
        if (cap !== null) {
          const untruncated = Math.exp(drift)
          const w = Math.min(untruncated, cap)
          if (untruncated > cap) truncated += 1
          importance += w
          termWeight *= w
        }
      }

      let gradient = 0
      if (surrogate === SURROGATES.reinforce) {
        pg -= termWeight * advantage * lp
        gradient = -termWeight * advantage
      } else {
        const bounded = Math.min(high, Math.max(low, ratio))
        if (surrogate === SURROGATES.cispo) {
          pg -= termWeight * bounded * advantage * lp
          gradient = -termWeight * bounded * advantage
          if (bounded !== ratio) clipped += 1
        } else {
          const free = -advantage * ratio
          const held = -advantage * bounded
          let term = Math.max(free, held)
          if (held > free) clipped += 1
          else gradient = termWeight * free
          if (dualClip !== null && advantage < 0 && term > -advantage * dualClip) {
            term = -advantage * dualClip
            gradient = 0
            clippedLower += 1
          }
          pg += termWeight * term
        }
      }

      if (ref !== undefined) {
        const lr = ref[position]!
        kl += weight * KlEstimator.value(klEstimator, klClamp, lp, lr)
        gradient += config.klCoefficient * weight * KlEstimator.derivative(klEstimator, klClamp, lp, lr)
      }
      if (config.lldsCoefficient > 0) {
        if (position >= runEnd) [displaced, runEnd] = displacedRun(input, position, end)
        if (displaced && advantage >= 0 && logRatio < 0) {
          llds -= tokenWeight * logRatio
          gradient -= config.lldsCoefficient * tokenWeight
        }
      }
      ent += weight * entropy[position]!
      if (config.entropyCoefficient !== 0) gradEntropy[position] = -config.entropyCoefficient * weight
      gradLogProbs[position] = gradient
      approxKl -= logRatio
      if (ratio > ratioMax) ratioMax = ratio
    }
  }

  const metrics: Record<string, number> = {
    "actor/pg_loss": pg,
    "actor/entropy_loss": ent,
    "actor/pg_clipfrac": clipped * tokenWeight,
    "actor/ppo_kl": approxKl * tokenWeight,
    "actor/ratio_max": ratioMax
  }
  if (dualClip !== null) metrics["actor/pg_clipfrac_lower"] = clippedLower * tokenWeight
  if (ref !== undefined) {
    metrics["actor/kl_loss"] = kl
  }
  if (config.lldsCoefficient > 0) metrics["actor/llds_loss"] = llds
  if (behaviour !== undefined) metrics["actor/behaviour_log_prob_diff_max"] = mismatch
  if (cap !== null) {
    metrics["actor/importance_weight"] = importance * tokenWeight
    metrics["actor/importance_capfrac"] = truncated * tokenWeight
  }
  return {
    value: pg - config.entropyCoefficient * ent + config.klCoefficient * kl + config.lldsCoefficient * llds,
    gradLogProbs,
    gradEntropy,
    metrics
  }
}

/**
 * Whether a metric is the largest of its parts rather than their sum or mean: its name ends in `_max`.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isMaximum = (name: string): boolean => name.endsWith("_max")

/**
 * Adds the metrics of a micro-batch to `total`: sums, and maxima where the name ends in `_max`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const addMetrics = (total: Record<string, number>, part: Readonly<Record<string, number>>): void => {
  for (const [name, value] of Object.entries(part)) {
    const sum = total[name]
    total[name] = sum === undefined ? value : isMaximum(name) ? Math.max(sum, value) : sum + value
  }
}
