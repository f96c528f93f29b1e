/**
 * Masked statistics (`torch_functional.py`, spec 4.2), accumulated in 64 bits.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"

/**
 * A mask selects fewer values than a statistic needs. The reference computes NaN there.
 *
 * @category errors
 * @since 0.1.0
 */
export class EmptyMask extends Schema.TaggedError<EmptyMask>()("EmptyMask", {
  statistic: Schema.String,
  selected: Schema.Natural,
  needed: Schema.Natural
}) {
  override get message() {
    return `the ${this.statistic} needs at least ${this.needed} selected values, the mask selects ${this.selected}`
  }
}

/**
 * The mean of the selected values. `values` and `mask` have the same shape.
 *
 * @category getters
 * @since 0.1.0
 */
export const maskedMean = (values: ArrayLike<number>, mask: Uint8Array): Result.Result<number, EmptyMask> => {
  let [sum, selected] = [0, 0]
  for (let index = 0; index < mask.length; index++) {
    if (mask[index] !== 1) continue
    sum += values[index]!
    selected += 1
  }
  return selected === 0
    ? Result.fail(new EmptyMask({ statistic: "mean", selected, needed: 1 }))
    : Result.succeed(sum / selected)
}

/**
 * Mean and sample variance (divisor n − 1).
 *
 * @category models
 * @since 0.1.0
 */
export interface Moments {
  readonly mean: number
  readonly variance: number
}

/**
 * The moments of the selected values of all rows together; `masks` are aligned with `rows`.
 *
 * @category getters
 * @since 0.1.0
 */
export const moments = (
  rows: ReadonlyArray<ArrayLike<number>>,
  masks: ReadonlyArray<Uint8Array>
): Result.Result<Moments, EmptyMask> => {
  let [sum, selected] = [0, 0]
  rows.forEach((values, row) => {
    const mask = masks[row]!
    for (let index = 0; index < mask.length; index++) {
      if (mask[index] !== 1) continue
      sum += values[index]!
      selected += 1
    }
  })
  if (selected < 2) return Result.fail(new EmptyMask({ statistic: "variance", selected, needed: 2 }))
  const mean = sum / selected
  let squares = 0
  rows.forEach((values, row) => {
    const mask = masks[row]!
    for (let index = 0; index < mask.length; index++) {
      if (mask[index] !== 1) continue
      const deviation = values[index]! - mean
      squares += deviation * deviation
    }
  })
  return Result.succeed({ mean, variance: squares / (selected - 1) })
}

/**
 * (x − mean)/√(variance + 1e-8) for every value of a row.
 *
 * @category combinators
 * @since 0.1.0
 */
export const standardise = (values: ArrayLike<number>, { mean, variance }: Moments): Float32Array => {
  const scale = 1 / Math.sqrt(variance + 1e-8)
  const standardised = new Float32Array(values.length)
  for (let index = 0; index < standardised.length; index++) standardised[index] = (values[index]! - mean) * scale
  return standardised
}

/**
 * Standardises by the moments of the selected values, selected or not (`masked_whiten`).
 *
 * @category combinators
 * @since 0.1.0
 */
export const whiten = (values: ArrayLike<number>, mask: Uint8Array): Result.Result<Float32Array, EmptyMask> =>
  Result.map(moments([values], [mask]), (found) => standardise(values, found))

/**
 * Mean, maximum and minimum of the selected values of all rows under `name/mean`, `name/max` and `name/min`; nothing when
 * none is selected. Without masks all values count.
 *
 * @category getters
 * @since 0.1.0
 */
export const summaryOfRows = (
  name: string,
  rows: ReadonlyArray<ArrayLike<number>>,
  masks?: ReadonlyArray<Uint8Array> | undefined
): Readonly<Record<string, number>> => {
  let [sum, selected, max, min] = [0, 0, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
  rows.forEach((values, row) => {
    const mask = masks?.[row]
    for (let index = 0; index < values.length; index++) {
      if (mask !== undefined && mask[index] !== 1) continue
      const value = values[index]!
      sum += value
      selected += 1
      if (value > max) max = value
      if (value < min) min = value
    }
  })
  return selected === 0 ? {} : { [`${name}/mean`]: sum / selected, [`${name}/max`]: max, [`${name}/min`]: min }
}

/**
 * {@link summaryOfRows} of one row.
 *
 * @category getters
 * @since 0.1.0
 */
export const summary = (
  name: string,
  values: ArrayLike<number>,
  mask?: Uint8Array | undefined
): Readonly<Record<string, number>> => summaryOfRows(name, [values], mask === undefined ? undefined : [mask])
