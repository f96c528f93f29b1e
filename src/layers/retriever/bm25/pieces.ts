/**
 * Postings of more passages than memory holds: gathered in pieces, each sorted by term, and merged.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import type { IndexIo } from "../indexfile/errors.ts"
import type { Aside } from "../indexfile/writer.ts"
import type { Range } from "./frequencies.ts"
import { type Piece, startsOf } from "./postings.ts"

/** Where a piece lies in the file. */
interface Place {
  /** Terms that were known when it was written. */
  readonly terms: number
  readonly counts: number
  readonly rows: number
  readonly frequencies: number
}

/**
 * The postings of consecutive terms.
 *
 * @category models
 * @since 0.1.0
 */
export interface Merged extends Range {
  readonly frequencies: Uint8Array<ArrayBuffer>
}

/** Postings that are merged at a time, unless a single term has more. */
const mergedAtOnce = 1 << 22

/** Terms whose counts are read at a time. */
const countedAtOnce = 1 << 20

/**
 * Pieces in a file beside the index.
 *
 * @category models
 * @since 0.1.0
 */
export class Pieces {
  private readonly file: Aside
  private readonly places: Array<Place> = []

  constructor(file: Aside) {
    this.file = file
  }

  get size(): number {
    return this.places.length
  }

  add({ counts, frequencies, rows }: Piece): Effect.Effect<void, IndexIo> {
    const start = this.file.size()
    this.places.push({
      terms: counts.length,
      counts: start,
      rows: start + counts.byteLength,
      frequencies: start + counts.byteLength + rows.byteLength
    })
    return Effect.forEach([counts, rows, frequencies], this.file.append, { discard: true })
  }

  /** The counts of the terms from `first` to `end` in a piece, 0 for those that came later. */
  private counts(place: Place, first: number, end: number): Effect.Effect<Int32Array<ArrayBuffer>, IndexIo> {
    const known = Math.min(end, place.terms) - first
    return known <= 0
      ? Effect.succeed(new Int32Array())
      : Effect.map(this.file.read(place.counts + 4 * first, 4 * known), (bytes) => new Int32Array(bytes))
  }

  /** Where the postings of each of so many terms begin when all pieces are merged. */
  starts(terms: number): Effect.Effect<Float64Array<ArrayBuffer>, IndexIo> {
    return Effect.gen({ self: this }, function*() {
      const totals = new Float64Array(terms)
      for (const place of this.places) {
        for (let first = 0; first < place.terms; first += countedAtOnce) {
          const counts = yield* this.counts(place, first, Math.min(place.terms, first + countedAtOnce))
          for (let at = 0; at < counts.length; at++) totals[first + at] = (totals[first + at] ?? 0) + (counts[at] ?? 0)
        }
      }
      return startsOf(totals)
    })
  }

  /** Visits the postings of all terms in their order; those of a term ascend by row, as the pieces do. */
  merge<E>(
    starts: Float64Array<ArrayBuffer>,
    visit: (merged: Merged) => Effect.Effect<void, E>
  ): Effect.Effect<void, E | IndexIo> {
    return Effect.gen({ self: this }, function*() {
      const terms = starts.length - 1
      const read = this.places.map(() => 0)
      for (let first = 0; first < terms;) {
        const begin = starts[first] ?? 0
        let end = first + 1
        while (end < terms && end - first < countedAtOnce && (starts[end + 1] ?? 0) - begin <= mergedAtOnce) end += 1
        const size = (starts[end] ?? 0) - begin
        const rows = new Int32Array(size)
        const frequencies = new Uint8Array(size)
        const local = starts.slice(first, end + 1).map((start) => start - begin)
        const cursors = local.slice()
        for (const [index, place] of this.places.entries()) {
          const counts = yield* this.counts(place, first, end)
          const taken = counts.reduce((sum, count) => sum + count, 0)
          const before = read[index] ?? 0
          const pieceRows = new Int32Array(yield* this.file.read(place.rows + 4 * before, 4 * taken))
          const pieceFrequencies = new Uint8Array(yield* this.file.read(place.frequencies + before, taken))
          scatter(counts, cursors, pieceRows, rows)
          scatter(counts, cursors, pieceFrequencies, frequencies)
          for (let at = 0; at < counts.length; at++) cursors[at] = (cursors[at] ?? 0) + (counts[at] ?? 0)
          read[index] = before + taken
        }
        yield* visit({ first, starts: local, rows, frequencies })
        first = end
      }
    })
  }
}

/** Puts the numbers of each term where the cursors point. */
const scatter = (
  counts: Int32Array,
  cursors: Float64Array,
  from: Int32Array | Uint8Array,
  to: Int32Array | Uint8Array
): void => {
  let at = 0
  for (let term = 0; term < counts.length; term++) {
    const count = counts[term] ?? 0
    const cursor = cursors[term] ?? 0
    for (let offset = 0; offset < count; offset++) to[cursor + offset] = from[at + offset] ?? 0
    at += count
  }
}
