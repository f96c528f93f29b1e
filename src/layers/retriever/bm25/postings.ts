/**
 * The inverted index in typed arrays, and how it is built.
 *
 * @since 0.1.0
 */
import { analyze } from "../../../domain/EnglishAnalyzer.ts"
import { Bounds } from "./bounds.ts"
import { Growing } from "./growing.ts"
import { type TermTable, TermTableBuilder } from "./terms.ts"

/**
 * Parameters of BM25: `k1` bounds what repeated words are worth, `b` how much long passages are worth less,
 * `titleWeight` is how many times the words of the title count, and `roundLengths` whether lengths are rounded to the 256
 * values that Lucene keeps (`SmallFloat.intToByte4`).
 *
 * @category models
 * @since 0.1.0
 */
export interface Bm25Parameters {
  readonly k1: number
  readonly b: number
  readonly titleWeight: number
  readonly roundLengths: boolean
}

/**
 * The parameters of Search-R1's BM25 server (Pyserini): scores equal Lucene's.
 *
 * @category constants
 * @since 0.1.0
 */
export const luceneParameters: Bm25Parameters = { k1: 0.9, b: 0.4, titleWeight: 1, roundLengths: true }

/**
 * Lucene's with exact lengths and a title that counts three times, which was chosen on training questions: it finds more
 * gold passages (see `docs/performance.md`).
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultParameters: Bm25Parameters = { k1: 0.9, b: 0.4, titleWeight: 3, roundLengths: false }

/**
 * An inverted index. Postings of term `t` are `starts[t]` to `starts[t + 1]`, ascending by row; its blocks start at
 * `blockStarts[t]`. What a posting is worth, without the term's weight, is `tf / (tf + norms[row])` (Lucene's
 * `BM25Similarity`).
 *
 * @category models
 * @since 0.1.0
 */
export interface Postings {
  readonly parameters: Bm25Parameters
  readonly documents: number
  readonly tokens: number
  readonly terms: TermTable
  /** `[terms + 1]` */
  readonly starts: Float64Array<ArrayBuffer>
  /** `[postings]` */
  readonly rows: Int32Array<ArrayBuffer>
  /** Occurrences, 255 at most, `[postings]`. */
  readonly frequencies: Uint8Array<ArrayBuffer>
  /** `k1 (1 - b + b length / average length)`, `[documents]`. */
  readonly norms: Float32Array<ArrayBuffer>
  /** `[terms + 1]` */
  readonly blockStarts: Float64Array<ArrayBuffer>
  /** Most that a posting of the block is worth, `[blocks]`. */
  readonly blockBounds: Float32Array<ArrayBuffer>
  /** What the 3rd, 10th and 100th best posting of each term are worth, 0 where there are fewer, `[3 terms]`. */
  readonly topBounds: Float32Array<ArrayBuffer>
}

/** Four significant bits of a length above 24, rounded down. */
const roundLength = (length: number): number => {
  if (length < 24) return length
  const rest = length - 24
  const shift = Math.max(0, 28 - Math.clz32(rest))
  return 24 + ((rest >>> shift) << shift)
}

/**
 * The postings of some consecutive passages: those of the first term, ascending by row, then those of the next.
 *
 * @category models
 * @since 0.1.0
 */
export interface Piece {
  /** Postings of each term that was known by then, `[terms]`. */
  readonly counts: Int32Array<ArrayBuffer>
  readonly rows: Int32Array<ArrayBuffer>
  readonly frequencies: Uint8Array<ArrayBuffer>
}

/**
 * Where the postings of each term begin.
 *
 * @category constructors
 * @since 0.1.0
 */
export const startsOf = (counts: ArrayLike<number>): Float64Array<ArrayBuffer> => {
  const starts = new Float64Array(counts.length + 1)
  for (let id = 0; id < counts.length; id++) starts[id + 1] = (starts[id] ?? 0) + (counts[id] ?? 0)
  return starts
}

/**
 * Builds an index passage by passage. Holds terms and postings in memory, but no text; {@link takePiece} hands out the
 * postings that were gathered, so that they can be put elsewhere.
 *
 * @category constructors
 * @since 0.1.0
 */
export class PostingsBuilder {
  readonly parameters: Bm25Parameters
  private readonly terms = new TermTableBuilder()
  /** The forward index: per passage its distinct terms and their frequencies. */
  private readonly forwardTerms = new Growing((size) => new Int32Array(size))
  private readonly forwardFrequencies = new Growing((size) => new Uint8Array(size))
  private readonly distinct = new Growing((size) => new Int32Array(size))
  private readonly lengths = new Growing((size) => new Int32Array(size))
  private readonly counts = new Map<number, number>()
  private firstRow = 0
  private total = 0

  constructor(parameters: Bm25Parameters) {
    this.parameters = parameters
  }

  get documents(): number {
    return this.lengths.length
  }

  get tokens(): number {
    return this.total
  }

  /** Postings that no piece has taken. */
  get pending(): number {
    return this.forwardTerms.length
  }

  add(title: string, text: string): void {
    const counts = this.counts
    const { titleWeight } = this.parameters
    counts.clear()
    const titleTerms = analyze(title)
    const textTerms = analyze(text)
    for (const term of titleTerms) this.count(term, titleWeight)
    for (const term of textTerms) this.count(term, 1)
    for (const [id, count] of counts) {
      this.forwardTerms.push(id)
      this.forwardFrequencies.push(Math.min(255, count))
    }
    const length = titleWeight * titleTerms.length + textTerms.length
    this.distinct.push(counts.size)
    this.lengths.push(length)
    this.total += length
  }

  private count(term: string, occurrences: number): void {
    const id = this.terms.idOf(term)
    this.counts.set(id, (this.counts.get(id) ?? 0) + occurrences)
  }

  /** The postings since the last piece, by term. Passages are visited in order, so each term's come out ascending. */
  takePiece(): Piece {
    const counts = new Int32Array(this.terms.size)
    this.forwardTerms.forEach((id) => {
      counts[id] = (counts[id] ?? 0) + 1
    })
    const cursors = startsOf(counts)
    const rows = new Int32Array(this.pending)
    const frequencies = new Uint8Array(this.pending)
    let row = this.firstRow - 1
    let left = 0
    const nextRow = () => {
      while (left === 0) {
        row += 1
        left = this.distinct.get(row - this.firstRow)
      }
    }
    for (const [piece, ids] of this.forwardTerms.pieces.entries()) {
      const counted = this.forwardFrequencies.pieces[piece]
      const length = this.forwardTerms.lengthOf(piece)
      for (let index = 0; index < length; index++) {
        nextRow()
        left -= 1
        const id = ids[index] ?? 0
        const at = cursors[id] ?? 0
        cursors[id] = at + 1
        rows[at] = row
        frequencies[at] = counted?.[index] ?? 0
      }
    }
    for (const gathered of [this.forwardTerms, this.forwardFrequencies, this.distinct]) gathered.clear()
    this.firstRow = this.documents
    return { counts, rows, frequencies }
  }

  /** The terms of all passages. */
  finishTerms(): TermTable {
    return this.terms.finish()
  }

  /** How much each passage's length counts against it, `[documents]`. */
  norms(): Float32Array<ArrayBuffer> {
    const { b, k1, roundLengths } = this.parameters
    const average = this.total === 0 ? 1 : this.total / this.documents
    const norms = new Float32Array(this.documents)
    this.lengths.forEach((length, row) => {
      norms[row] = k1 * (1 - b + b * (roundLengths ? roundLength(length) : length) / average)
    })
    return norms
  }

  /** The index of all passages; no piece must have been taken. */
  finish(): Postings {
    const { counts, frequencies, rows } = this.takePiece()
    const starts = startsOf(counts)
    const norms = this.norms()
    const bounds = new Bounds(starts, norms)
    for (let id = 0; id < counts.length; id++) bounds.add(id, rows, frequencies, starts[id] ?? 0, starts[id + 1] ?? 0)
    const { blockBounds, blockStarts, topBounds } = bounds
    return {
      parameters: this.parameters,
      documents: this.documents,
      tokens: this.total,
      terms: this.finishTerms(),
      starts,
      rows,
      frequencies,
      norms,
      blockStarts,
      blockBounds,
      topBounds
    }
  }
}
