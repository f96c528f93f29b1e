/**
 * Which advantage estimator, as data.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { MisalignedTokens } from "./Batch.ts"
import { KlClamp, KlEstimator } from "./KlEstimator.ts"
import { EmptyMask } from "./Statistics.ts"
import { MaskScope } from "./TokenMask.ts"

/**
 * How advantages are made.
 *
 * - `gae`: with a critic (PPO).
 * - `grpo`, `dr-grpo`, `rloo`: against the group's own scores; see `OutcomeAdvantage`.
 * - `reinforce`: the score, with `baseline`.
 * - `reinforce++`: the discounted token-level return, KL included, normalised over the batch (Hu 2025).
 * - `reinforce++-baseline`: the score less its group's mean, normalised over the batch.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Estimator = Schema.Literals([
  "gae",
  "grpo",
  "dr-grpo",
  "rloo",
  "reinforce",
  "reinforce++",
  "reinforce++-baseline"
])

/**
 * @category models
 * @since 0.1.0
 */
export type Estimator = typeof Estimator.Type

const Fraction = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))

/**
 * The configuration of an estimator.
 *
 * @category schemas
 * @since 0.1.0
 */
export const AdvantageConfig = Schema.Struct({
  estimator: Estimator,
  gamma: Fraction,
  lambda: Fraction,
  /** What `reinforce` subtracts. */
  baseline: Schema.Literals(["none", "batchMean"]),
  /** What makes trajectories a group: their prompt, or the number in the question's id, as in the reference (Q30). */
  groupKey: Schema.Literals(["promptInstance", "index"]),
  /** Tokens that are time steps, and so which token carries the reward: the last one (Q31). */
  gaeScope: MaskScope,
  /** Tokens whose moments whiten advantages, and over which metrics are taken (Q31). */
  whitenMask: MaskScope,
  /** Tokens that get an advantage and a KL penalty: `attention` for training without masking (the ablation). */
  lossScope: MaskScope,
  /** KL penalty in the reward (spec 4.3); null where there is none. */
  rewardKl: Schema.NullOr(Schema.Struct({ coefficient: Schema.Finite, estimator: KlEstimator, clamp: KlClamp }))
})

/**
 * @category models
 * @since 0.1.0
 */
export type AdvantageConfig = typeof AdvantageConfig.Type

/**
 * GRPO with nothing in the reward but the score.
 *
 * @category constants
 * @since 0.1.0
 */
export const grpo: AdvantageConfig = {
  estimator: "grpo",
  gamma: 1,
  lambda: 1,
  baseline: "none",
  groupKey: "promptInstance",
  gaeScope: "loss",
  whitenMask: "loss",
  lossScope: "loss",
  rewardKl: null
}

/**
 * The estimator needs per-token numbers that were not given.
 *
 * @category errors
 * @since 0.1.0
 */
export class MissingEstimatorInput extends Schema.TaggedError<MissingEstimatorInput>()("MissingEstimatorInput", {
  estimator: Schema.String,
  field: Schema.String
}) {
  override get message() {
    return `${this.estimator} needs ${this.field} for every trajectory`
  }
}

/**
 * Why advantages could not be estimated.
 *
 * @category errors
 * @since 0.1.0
 */
export const AdvantageError = Schema.Union([MissingEstimatorInput, MisalignedTokens, EmptyMask])

/**
 * @category errors
 * @since 0.1.0
 */
export type AdvantageError = typeof AdvantageError.Type
