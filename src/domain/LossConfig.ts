/**
 * Which loss an update minimises, as data: it crosses the boundary to the engine.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { KlClamp, KlEstimator } from "./KlEstimator.ts"

/**
 * The policy term of a token, with ρ = π/π_old and A its advantage.
 *
 * - `clip`: max(−Aρ, −A·clip(ρ, 1 − clipLow, 1 + clipHigh)) (PPO; DAPO with a higher upper bound).
 * - `gspo`: the same with the sequence's geometric mean ratio instead of ρ (GSPO; in its token form, which lets
 *   advantages differ within a sequence).
 * - `cispo`: −sg(clip(ρ, 1 − clipLow, 1 + clipHigh))·A·log π (CISPO, MiniMax-M1): clipped tokens keep a gradient.
 * - `reinforce`: −A·log π. With advantages 1 it is the negative log-likelihood.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Surrogate = Schema.Literals(["clip", "gspo", "cispo", "reinforce"])

/**
 * @category models
 * @since 0.1.0
 */
export type Surrogate = typeof Surrogate.Type

/**
 * The mean that makes one loss of many tokens.
 *
 * - `tokenMean`: every trained token of the mini-batch weighs the same.
 * - `seqMean`: the mean over a sequence's trained tokens, then over sequences (the paper, Eq. 2 and 3).
 * - `fixedLength`: the sum over a sequence's trained tokens divided by `fixedLength`, then the mean over sequences (Dr.
 *   GRPO).
 * - `microTokenMean`: the reference: the token mean of each micro-batch, then the mean over micro-batches (quirk Q32).
 *
 * @category schemas
 * @since 0.1.0
 */
export const Aggregation = Schema.Literals(["tokenMean", "seqMean", "fixedLength", "microTokenMean"])

/**
 * @category models
 * @since 0.1.0
 */
export type Aggregation = typeof Aggregation.Type

const NonNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * The loss of the policy.
 *
 * @category schemas
 * @since 0.1.0
 */
export const LossConfig = Schema.Struct({
  surrogate: Surrogate,
  clipLow: NonNegative,
  clipHigh: NonNegative,
  /** Bounds the `clip` term of a negative advantage at −A times this (Dual-Clip PPO); null switches it off. */
  dualClip: Schema.NullOr(Schema.Finite.check(Schema.isGreaterThan(1))),
  aggregation: Aggregation,
  /** The divisor of `fixedLength`, in tokens. */
  fixedLength: Schema.Int.check(Schema.isGreaterThan(0)),
  entropyCoefficient: Schema.Finite,
  /** Weight of the KL term in the loss; 0 switches it off. */
  klCoefficient: NonNegative,
  klEstimator: KlEstimator,
  klClamp: KlClamp,
  /**
   * Truncated importance sampling: the policy term is weighted by min(π_old/π_behaviour, this), for tokens sampled by an
   * older policy or another engine; null switches it off.
   */
  importanceCap: Schema.NullOr(Schema.Finite.check(Schema.isGreaterThan(0))),
  /** Weight of the likelihood-displacement term (LLDS, spec 8; 0.2 in its released script); 0 switches it off. */
  lldsCoefficient: NonNegative
})

/**
 * @category models
 * @since 0.1.0
 */
export type LossConfig = typeof LossConfig.Type

/**
 * PPO's clipped surrogate with the reference's coefficients and no extra term.
 *
 * @category constants
 * @since 0.1.0
 */
export const ppo: LossConfig = {
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
}

/**
 * The negative log-likelihood of {@link Batch.demonstration}s.
 *
 * @category constants
 * @since 0.1.0
 */
export const negativeLogLikelihood: LossConfig = { ...ppo, surrogate: "reinforce", entropyCoefficient: 0 }

/**
 * The per-token arrays that a loss needs beyond the ones every sequence has.
 *
 * @category getters
 * @since 0.1.0
 */
export const requiredSignals = (config: LossConfig): ReadonlyArray<"refLogProbs" | "behaviourLogProbs"> => [
  ...(config.klCoefficient > 0 ? ["refLogProbs" as const] : []),
  ...(config.importanceCap !== null ? ["behaviourLogProbs" as const] : [])
]
