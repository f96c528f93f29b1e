/**
 * How often terms occur: a byte for each posting, and a list of the few that a byte does not hold.
 *
 * @since 0.2.0
 */
import { Growing } from "./growing.ts"

/**
 * The byte of a posting whose frequency is in the list.
 *
 * @category constants
 * @since 0.2.0
 */
export const many = 255

/**
 * Postings of consecutive terms, those of term `first + t` from `starts[t]` to `starts[t + 1]`, ascending by row.
 *
 * @category models
 * @since 0.2.0
 */
export interface Range {
  readonly first: number
  readonly starts: Float64Array<ArrayBuffer>
  readonly rows: Int32Array<ArrayBuffer>
}

/**
 * Postings with their frequencies.
 *
 * @category models
 * @since 0.2.0
 */
export interface Occurrences {
  readonly rows: Int32Array<ArrayBuffer>
  /** {@link many} where `large` has it. */
  readonly frequencies: Uint8Array<ArrayBuffer>
  readonly large: ReadonlyMap<number, number>
}

/**
 * The frequency of a posting.
 *
 * @category getters
 * @since 0.2.0
 */
export const frequencyAt = ({ frequencies, large }: Occurrences, at: number): number => {
  const byte = frequencies[at] ?? 0
  return byte === many ? large.get(at) ?? byte : byte
}

/**
 * The first index in `[low, high)` whose row is not below `row`, or `high`.
 *
 * @category operations
 * @since 0.2.0
 */
export const lowerBound = (rows: Int32Array, low: number, high: number, row: number): number => {
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if ((rows[middle] ?? 0) < row) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Frequencies of {@link many} and more, as they are found.
 *
 * @category models
 * @since 0.2.0
 */
export class Large {
  private readonly terms = new Growing((size) => new Int32Array(size))
  private readonly rows = new Growing((size) => new Int32Array(size))
  private readonly frequencies = new Growing((size) => new Int32Array(size))

  add(term: number, row: number, frequency: number): void {
    this.terms.push(term)
    this.rows.push(row)
    this.frequencies.push(frequency)
  }

  /** Those of some terms, by the index of their posting among the postings of these terms. */
  among({ first, rows, starts }: Range): ReadonlyMap<number, number> {
    const found: Array<readonly [at: number, frequency: number]> = []
    const end = first + starts.length - 1
    this.terms.forEach((term, index) => {
      if (term < first || term >= end) return
      const at = lowerBound(rows, starts[term - first] ?? 0, starts[term - first + 1] ?? 0, this.rows.get(index))
      found.push([at, this.frequencies.get(index)])
    })
    return new Map(found.sort(([a], [b]) => a - b))
  }
}
