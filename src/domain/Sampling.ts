/**
 * How tokens are drawn from a policy.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { described } from "./described.ts"

/**
 * Parameters of the sampling distribution. `temperature` 0 is greedy decoding, `topK` 0 and `topP` 1 switch the
 * truncation off. Training wants `topP` 1 and `topK` 0, or the log-probabilities that the loss uses are not those of
 * the distribution that was sampled (quirk Q34).
 *
 * @category schemas
 * @since 0.1.0
 */
export const Sampling = Schema.Struct({
  temperature: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)).pipe(
    described("What logits are divided by; 0 always takes the likeliest token.")
  ),
  topK: Schema.Natural.pipe(described("Likeliest tokens that may be drawn; 0 is all.")),
  topP: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })).pipe(
    described("Probability mass of the likeliest tokens that may be drawn; 1 is all.")
  )
})

/**
 * @category models
 * @since 0.1.0
 */
export type Sampling = typeof Sampling.Type

/**
 * Always the likeliest token. The default of evaluation.
 *
 * @category constants
 * @since 0.1.0
 */
export const greedy: Sampling = { temperature: 0, topK: 0, topP: 1 }

/**
 * The policy's own distribution. The default of training rollouts.
 *
 * @category constants
 * @since 0.1.0
 */
export const onPolicy: Sampling = { temperature: 1, topK: 0, topP: 1 }
