/**
 * Which checkpoints stay.
 *
 * @since 0.1.0
 */

/**
 * What to keep.
 *
 * @category models
 * @since 0.1.0
 */
export interface Retention {
  /** Newest checkpoints to keep, at least 1. Default 2. */
  readonly keepLast?: number | undefined
  /** Whether the one with the highest metric is kept besides. Default true. */
  readonly keepBest?: boolean | undefined
}

interface Entry {
  readonly step: number
  readonly metric: number | null
}

/**
 * The entry with the highest metric, the newest of equals; nothing where none has a metric. `entries` are oldest first.
 *
 * @category getters
 * @since 0.1.0
 */
export const bestOf = <A extends Entry>(entries: ReadonlyArray<A>): A | undefined => {
  let best: A | undefined
  for (const entry of entries) {
    if (entry.metric !== null && entry.metric >= (best?.metric ?? Number.NEGATIVE_INFINITY)) best = entry
  }
  return best
}

/**
 * The entries to remove. `entries` are oldest first.
 *
 * @category getters
 * @since 0.1.0
 */
export const superfluous = <A extends Entry>(entries: ReadonlyArray<A>, retention?: Retention): ReadonlyArray<A> => {
  const { keepBest = true, keepLast = 2 } = retention ?? {}
  const best = keepBest ? bestOf(entries) : undefined
  return entries.slice(0, Math.max(0, entries.length - Math.max(1, keepLast))).filter((entry) => entry !== best)
}
