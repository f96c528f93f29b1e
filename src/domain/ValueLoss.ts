/**
 * The critic's loss and its derivative with respect to the values.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * The loss of the critic. `clip` bounds how far a value may move from its old one before its error is taken at the bound
 * (`cliprange_value`, 0.5 in the reference); null switches it off.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ValueLossConfig = Schema.Struct({
  clip: Schema.NullOr(Schema.Finite.check(Schema.isGreaterThan(0))),
  aggregation: Schema.Literals(["tokenMean", "microTokenMean"])
})

/**
 * @category models
 * @since 0.1.0
 */
export type ValueLossConfig = typeof ValueLossConfig.Type

/**
 * One micro-batch as the critic's loss sees it, all arrays `[tokens]`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ValueLossInput {
  readonly values: Float32Array
  readonly valueMask: Uint8Array
  readonly oldValues: Float32Array
  readonly returns: Float32Array
}

/**
 * A micro-batch's share of the mini-batch's loss.
 *
 * @category models
 * @since 0.1.0
 */
export interface ValueLoss {
  readonly value: number
  /** ∂value/∂values, shape `[tokens]`; 0 where the mask is 0. */
  readonly gradValues: Float32Array
  readonly metrics: Record<string, number>
}

/**
 * ½·masked_mean(max((v − R)², (clip(v, v_old ± clip) − R)²)) (spec 4.7; `core_algos.py`, `compute_value_loss`). `out` is
 * overwritten and returned, to spare an allocation.
 *
 * @category getters
 * @since 0.1.0
 */
export const valueLoss = (
  config: ValueLossConfig,
  input: ValueLossInput,
  normaliser: { readonly valueTokens: number; readonly microBatches: number },
  out?: Float32Array | undefined
): ValueLoss => {
  const { values, valueMask, oldValues, returns } = input
  const gradValues = out?.fill(0) ?? new Float32Array(values.length)
  const clip = config.clip ?? Number.POSITIVE_INFINITY
  const micro = config.aggregation === "microTokenMean"
  let microTokens = 0
  if (micro) { for (let position = 0; position < values.length; position++) microTokens += valueMask[position]! }
  const weight = 1 / Math.max(1, micro ? normaliser.microBatches * microTokens : normaliser.valueTokens)
  let [squares, clipped, mean] = [0, 0, 0]
  for (let position = 0; position < values.length; position++) {
    if (valueMask[position] !== 1) continue
    const v = values[position]!
    const old = oldValues[position]!
    const error = v - returns[position]!
    const heldError = Math.min(old + clip, Math.max(old - clip, v)) - returns[position]!
    const free = error * error
    const held = heldError * heldError
    if (held > free) {
      clipped += 1
      squares += held
    } else {
      squares += free
      gradValues[position] = weight * error
    }
    mean += v
  }
  const value = 0.5 * weight * squares
  return {
    value,
    gradValues,
    metrics: {
      "critic/vf_loss": value,
      "critic/vf_clipfrac": clipped * weight,
      "critic/vpred_mean": mean * weight
    }
  }
}
