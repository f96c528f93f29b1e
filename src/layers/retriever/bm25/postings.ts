/**
 * The inverted index in typed arrays, and how it is built.
 *
 * @since 0.1.0
 */
import * as Bm25 from "../../../domain/Bm25.ts"
import * as EnglishAnalyzer from "../../../domain/EnglishAnalyzer.ts"
import * as MultilingualAnalyzer from "../../../domain/MultilingualAnalyzer.ts"
import { Bounds } from "./bounds.ts"
import * as Frequencies from "./frequencies.ts"
import { Growing } from "./growing.ts"
import { type TermTable, TermTableBuilder } from "./terms.ts"

/**
 * What makes terms of texts: `lucene` exactly what Lucene's `EnglishAnalyzer` does, `multilingual` the same of English
 * and more of other languages.
 *
 * @category models
 * @since 0.2.0
 */
export type Analyzer = "lucene" | "multilingual"

/**
 * @category analysis
 * @since 0.2.0
 */
export const analyzers: Readonly<Record<Analyzer, (text: string) => Array<string>>> = {
  lucene: EnglishAnalyzer.analyze,
  multilingual: MultilingualAnalyzer.analyze
}

/**
 * Parameters of BM25: `analyzer` makes the terms, `k1` bounds what repeated words are worth, `b` how much long passages
 * are worth less, `titleWeight` is how many times the words of the title count, and `roundLengths` whether lengths are
 * rounded to the 256 values that Lucene keeps (`SmallFloat.intToByte4`).
 *
 * @category models
 * @since 0.1.0
 */
export interface Bm25Parameters {
  readonly analyzer: Analyzer
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
export const luceneParameters: Bm25Parameters = {
  analyzer: "lucene",
  k1: 0.9,
  b: 0.4,
  titleWeight: 1,
  roundLengths: true
}

/**
 * Lucene's with exact lengths and a title that counts three times, which was chosen on training questions: it finds more
 * gold passages (see `docs/performance.md`).
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultParameters: Bm25Parameters = {
  analyzer: "multilingual",
  k1: 0.9,
  b: 0.4,
  titleWeight: 3,
  roundLengths: false
}

/**
 * An inverted index. Postings of term `t` are `starts[t]` to `starts[t + 1]`, ascending by row; its blocks start at
 * `blockStarts[t]`. What a posting is worth is `Bm25.score` of its frequency and the passage's norm.
 *
 * @category models
 * @since 0.1.0
 */
export interface Postings {
  readonly parameters: Bm25Parameters
  readonly documents: number
  /** Passages that hold any term: those that Lucene counts. */
  readonly documentsWithTerms: number
  readonly tokens: number
  readonly terms: TermTable
  /** `[terms + 1]` */
  readonly starts: Float64Array<ArrayBuffer>
  /** `[postings]` */
  readonly rows: Int32Array<ArrayBuffer>
  /** Occurrences, `[postings]`; {@link Frequencies.many} where they are in `large`. */
  readonly frequencies: Uint8Array<ArrayBuffer>
  /** Occurrences that a byte does not hold, by the index of their posting. */
  readonly large: ReadonlyMap<number, number>
  /** `Bm25.norm` of the length, `[documents]`. */
  readonly norms: Float32Array<ArrayBuffer>
  /** `[terms + 1]` */
  readonly blockStarts: Float64Array<ArrayBuffer>
  /** Most that a posting of the block is worth, `[blocks]`. */
  readonly blockBounds: Float32Array<ArrayBuffer>
  /** What the 3rd, 10th and 100th best posting of each term are worth, 0 where there are fewer, `[3 terms]`. */
  readonly topBounds: Float32Array<ArrayBuffer>
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
  private readonly analyze: (text: string) => Array<string>
  /** Frequencies that a byte does not hold, of all passages. */
  readonly large = new Frequencies.Large()
  private firstRow = 0
  private withTerms = 0
  private total = 0

  constructor(parameters: Bm25Parameters) {
    this.parameters = parameters
    this.analyze = analyzers[parameters.analyzer]
  }

  get documents(): number {
    return this.lengths.length
  }

  get tokens(): number {
    return this.total
  }

  get documentsWithTerms(): number {
    return this.withTerms
  }

  /** Postings that no piece has taken. */
  get pending(): number {
    return this.forwardTerms.length
  }

  add(title: string, text: string): void {
    const counts = this.counts
    const { titleWeight } = this.parameters
    counts.clear()
    // words that count for nothing are in no posting
    const titleTerms = titleWeight === 0 ? [] : this.analyze(title)
    const textTerms = this.analyze(text)
    for (const term of titleTerms) this.count(term, titleWeight)
    for (const term of textTerms) this.count(term, 1)
    for (const [id, count] of counts) {
      this.forwardTerms.push(id)
      this.forwardFrequencies.push(Math.min(Frequencies.many, count))
      if (count >= Frequencies.many) this.large.add(id, this.documents, count)
    }
    const length = titleWeight * titleTerms.length + textTerms.length
    this.distinct.push(counts.size)
    this.lengths.push(length)
    this.total += length
    if (length > 0) this.withTerms += 1
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
    const norm = Bm25.norm({ k1, b, average: this.withTerms === 0 ? 1 : this.total / this.withTerms })
    const norms = new Float32Array(this.documents)
    this.lengths.forEach((length, row) => {
      norms[row] = norm(roundLengths ? Bm25.roundLength(length) : length)
    })
    return norms
  }

  /** The index of all passages; no piece must have been taken. */
  finish(): Postings {
    const { counts, frequencies, rows } = this.takePiece()
    const starts = startsOf(counts)
    const norms = this.norms()
    const bounds = new Bounds(starts, norms)
    const large = this.large.among({ first: 0, starts, rows })
    for (let id = 0; id < counts.length; id++) {
      bounds.add(id, { rows, frequencies, large }, starts[id] ?? 0, starts[id + 1] ?? 0)
    }
    const { blockBounds, blockStarts, topBounds } = bounds
    return {
      parameters: this.parameters,
      documents: this.documents,
      documentsWithTerms: this.withTerms,
      tokens: this.total,
      terms: this.finishTerms(),
      starts,
      rows,
      frequencies,
      large,
      norms,
      blockStarts,
      blockBounds,
      topBounds
    }
  }
}
