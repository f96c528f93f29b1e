/**
 * The inverted index in typed arrays, and how it is built.
 *
 * @since 0.1.0
 */
import { analyze } from "../../../domain/EnglishAnalyzer.ts"
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
 * Postings in a block, which has an upper bound of its scores.
 *
 * @category constants
 * @since 0.1.0
 */
export const blockSize = 128

/**
 * The sizes of a result for which each term knows a lower bound of the last score.
 *
 * @category constants
 * @since 0.1.0
 */
export const boundSizes: readonly [3, 10, 100] = [3, 10, 100]

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

/** A typed array that grows by pieces, so that growing never copies. */
class Growing<A extends Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>> {
  readonly pieces: Array<A> = []
  length = 0
  private current: A
  private filled = 0

  private readonly allocate: (size: number) => A
  private readonly size: number

  constructor(allocate: (size: number) => A, size: number) {
    this.allocate = allocate
    this.size = size
    this.current = allocate(size)
    this.pieces.push(this.current)
  }

  push(value: number): void {
    if (this.filled === this.size) {
      this.current = this.allocate(this.size)
      this.pieces.push(this.current)
      this.filled = 0
    }
    this.current[this.filled++] = value
    this.length += 1
  }
}

const pieceSize = 1 << 20

/**
 * Builds an index passage by passage. Holds terms and postings in memory, but no text.
 *
 * @category constructors
 * @since 0.1.0
 */
export class PostingsBuilder {
  private readonly parameters: Bm25Parameters
  private readonly terms = new TermTableBuilder()
  /** The forward index: per passage its distinct terms and their frequencies. */
  private readonly forwardTerms = new Growing((size) => new Int32Array(size), pieceSize)
  private readonly forwardFrequencies = new Growing((size) => new Uint8Array(size), pieceSize)
  private readonly distinct = new Growing((size) => new Int32Array(size), pieceSize)
  private readonly lengths = new Growing((size) => new Int32Array(size), pieceSize)
  private readonly counts = new Map<number, number>()
  private tokens = 0

  constructor(parameters: Bm25Parameters) {
    this.parameters = parameters
  }

  get documents(): number {
    return this.lengths.length
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
    this.tokens += length
  }

  private count(term: string, occurrences: number): void {
    const id = this.terms.idOf(term)
    this.counts.set(id, (this.counts.get(id) ?? 0) + occurrences)
  }

  finish(): Postings {
    const { b, k1, roundLengths } = this.parameters
    const documents = this.documents
    const average = this.tokens === 0 ? 1 : this.tokens / documents
    const norms = new Float32Array(documents)
    forEach(this.lengths, (length, row) => {
      norms[row] = k1 * (1 - b + b * (roundLengths ? roundLength(length) : length) / average)
    })
    const terms = this.terms.finish()
    const starts = this.countTerms(terms.size)
    const { frequencies, rows } = this.invert(starts)
    return {
      parameters: this.parameters,
      documents,
      tokens: this.tokens,
      terms,
      starts,
      rows,
      frequencies,
      norms,
      ...bounds(starts, rows, frequencies, norms)
    }
  }

  private countTerms(size: number): Float64Array<ArrayBuffer> {
    const starts = new Float64Array(size + 1)
    forEach(this.forwardTerms, (id) => {
      starts[id + 1] = (starts[id + 1] ?? 0) + 1
    })
    for (let id = 0; id < size; id++) starts[id + 1] = (starts[id + 1] ?? 0) + (starts[id] ?? 0)
    return starts
  }

  /** Passages are visited in order, so each term's postings come out ascending. */
  private invert(starts: Float64Array<ArrayBuffer>) {
    const cursors = starts.slice()
    const rows = new Int32Array(this.forwardTerms.length)
    const frequencies = new Uint8Array(this.forwardTerms.length)
    let row = -1
    let left = 0
    let piece = 0
    const nextRow = () => {
      while (left === 0) {
        row += 1
        left = this.distinct.pieces[Math.floor(row / pieceSize)]?.[row % pieceSize] ?? 0
      }
    }
    for (const ids of this.forwardTerms.pieces) {
      const counted = this.forwardFrequencies.pieces[piece]
      const length = Math.min(pieceSize, this.forwardTerms.length - piece * pieceSize)
      for (let index = 0; index < length; index++) {
        nextRow()
        left -= 1
        const id = ids[index] ?? 0
        const at = cursors[id] ?? 0
        cursors[id] = at + 1
        rows[at] = row
        frequencies[at] = counted?.[index] ?? 0
      }
      piece += 1
    }
    return { rows, frequencies }
  }
}

const forEach = (
  growing: Growing<Int32Array<ArrayBuffer>>,
  visit: (value: number, index: number) => void
): void => {
  let index = 0
  for (const piece of growing.pieces) {
    const length = Math.min(pieceSize, growing.length - index)
    for (let offset = 0; offset < length; offset++) visit(piece[offset] ?? 0, index++)
  }
}

const bounds = (
  starts: Float64Array<ArrayBuffer>,
  rows: Int32Array<ArrayBuffer>,
  frequencies: Uint8Array<ArrayBuffer>,
  norms: Float32Array<ArrayBuffer>
) => {
  const size = starts.length - 1
  const blockStarts = new Float64Array(size + 1)
  for (let id = 0; id < size; id++) {
    const postings = (starts[id + 1] ?? 0) - (starts[id] ?? 0)
    blockStarts[id + 1] = (blockStarts[id] ?? 0) + Math.ceil(postings / blockSize)
  }
  const blockBounds = new Float32Array(blockStarts[size] ?? 0)
  const topBounds = new Float32Array(boundSizes.length * size)
  const [, , largest] = boundSizes
  for (let id = 0; id < size; id++) {
    const start = starts[id] ?? 0
    const end = starts[id + 1] ?? 0
    const best = new TopValues(Math.min(largest, end - start))
    for (let at = start; at < end; at++) {
      const frequency = frequencies[at] ?? 0
      const worth = frequency / (frequency + (norms[rows[at] ?? 0] ?? 0))
      const block = (blockStarts[id] ?? 0) + Math.floor((at - start) / blockSize)
      if (worth > (blockBounds[block] ?? 0)) blockBounds[block] = roundUp(worth)
      best.add(worth)
    }
    const sorted = best.descending()
    for (const [index, rank] of boundSizes.entries()) {
      topBounds[boundSizes.length * id + index] = (sorted[rank - 1] ?? 0) * (1 - 1e-6)
    }
  }
  return { blockStarts, blockBounds, topBounds }
}

/** The next float32 above: an upper bound must not be rounded down. */
const roundUp = (value: number): number =>
  Math.fround(value) >= value ? Math.fround(value) : Math.fround(value * (1 + 1e-7))

/** The largest values seen, in a binary heap with the smallest of them on top. */
class TopValues {
  private readonly heap: Float64Array
  private size = 0

  constructor(capacity: number) {
    this.heap = new Float64Array(capacity)
  }

  add(value: number): void {
    const heap = this.heap
    if (this.size < heap.length) {
      let child = this.size++
      while (child > 0) {
        const parent = (child - 1) >> 1
        if ((heap[parent] ?? 0) <= value) break
        heap[child] = heap[parent] ?? 0
        child = parent
      }
      heap[child] = value
      return
    }
    if (value <= (heap[0] ?? 0)) return
    let parent = 0
    while (true) {
      let child = 2 * parent + 1
      if (child >= this.size) break
      if (child + 1 < this.size && (heap[child + 1] ?? 0) < (heap[child] ?? 0)) child += 1
      if ((heap[child] ?? 0) >= value) break
      heap[parent] = heap[child] ?? 0
      parent = child
    }
    heap[parent] = value
  }

  descending(): Float64Array {
    return this.heap.slice(0, this.size).sort().toReversed()
  }
}
