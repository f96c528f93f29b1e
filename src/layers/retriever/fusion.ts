/**
 * One ranking out of several.
 *
 * @since 0.1.0
 */

/**
 * @category models
 * @since 0.1.0
 */
export interface FusionOptions<A> {
  /** What tells results apart. */
  readonly key: (result: A) => string | number
  readonly topK: number
  /** What each ranking counts, in their order. Default 1 each. */
  readonly weights?: ReadonlyArray<number> | undefined
  /** Default 60, as in Cormack, Clarke and Büttcher 2009. */
  readonly k?: number | undefined
}

/**
 * Ranks results by the sum of `weight / (k + rank)` (reciprocal-rank fusion). Equal ones stay in the order of the first
 * ranking that has them.
 *
 * @category combinators
 * @since 0.1.0
 */
export const reciprocalRank = <A extends { readonly score: number }>(
  rankings: ReadonlyArray<ReadonlyArray<A>>,
  options: FusionOptions<A>
): ReadonlyArray<A> => {
  const k = options.k ?? 60
  const fused = new Map<string | number, A>()
  for (const [index, ranking] of rankings.entries()) {
    for (const [position, result] of ranking.entries()) {
      const key = options.key(result)
      const gain = (options.weights?.[index] ?? 1) / (k + position + 1)
      fused.set(key, { ...result, score: (fused.get(key)?.score ?? 0) + gain })
    }
  }
  return [...fused.values()].toSorted((a, b) => b.score - a.score).slice(0, options.topK)
}
