/**
 * BM25 in the arithmetic of Lucene's `BM25Similarity`: every step is rounded to 32 bits, so that scores, and with them the
 * order of passages that are equally good, are Lucene's to the last bit.
 *
 * @since 0.2.0
 */

const { fround } = Math

/**
 * What a term is worth where `containing` of `documents` passages hold it, `count` times what one occurrence in a query
 * makes: `count ln(1 + (N - n + 1/2) / (n + 1/2))`.
 *
 * @category scoring
 * @since 0.2.0
 */
export const weight = (documents: number, containing: number, count: number): number =>
  fround(count * fround(Math.log(1 + (documents - containing + 0.5) / (containing + 0.5))))

/**
 * The inverse of `k1 (1 - b + b length / average)` for passages of an average length.
 *
 * @category scoring
 * @since 0.2.0
 */
export const norm = (
  options: { readonly k1: number; readonly b: number; readonly average: number }
): (length: number) => number => {
  const k1 = fround(options.k1)
  const b = fround(options.b)
  const average = fround(options.average)
  const shortest = fround(1 - b)
  return (length) => fround(1 / fround(k1 * fround(shortest + fround(fround(b * length) / average))))
}

/**
 * What a term adds that occurs `frequency` times in a passage: `weight frequency / (frequency + 1 / norm)`.
 *
 * @category scoring
 * @since 0.2.0
 */
export const score = (weight: number, frequency: number, norm: number): number =>
  fround(weight - fround(weight / fround(1 + fround(frequency * norm))))

/**
 * How far a score may be from its formula, for each unit of the weight: two roundings to 24 bits.
 *
 * @category scoring
 * @since 0.2.0
 */
export const rounding = 2 ** -22

/**
 * The length that Lucene keeps of one: four significant bits of what is above 24, rounded down (`SmallFloat.intToByte4`).
 *
 * @category scoring
 * @since 0.2.0
 */
export const roundLength = (length: number): number => {
  if (length < 24) return length
  const rest = length - 24
  const shift = Math.max(0, 28 - Math.clz32(rest))
  return 24 + ((rest >>> shift) << shift)
}
