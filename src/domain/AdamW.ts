/**
 * The optimizer's rule, as data.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { described } from "./described.ts"

const Decay = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))

/**
 * AdamW (Loshchilov and Hutter): decoupled weight decay, bias-corrected moments.
 *
 * @category schemas
 * @since 0.1.0
 */
export const AdamW = Schema.Struct({
  beta1: Decay.pipe(described("Decay of the mean of gradients.")),
  beta2: Decay.pipe(described("Decay of the mean of their squares.")),
  epsilon: Schema.Finite.check(Schema.isGreaterThan(0)).pipe(described("Added to the root of the latter.")),
  weightDecay: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)).pipe(described("Decoupled weight decay.")),
  maxGradNorm: Schema.NullOr(Schema.Finite.check(Schema.isGreaterThan(0))).pipe(
    described("Global norm that gradients are scaled down to; null leaves them as they are.")
  )
})

/**
 * @category models
 * @since 0.1.0
 */
export type AdamW = typeof AdamW.Type

/**
 * The reference's values (spec 4.6).
 *
 * @category constants
 * @since 0.1.0
 */
export const reference: AdamW = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, maxGradNorm: 1 }
