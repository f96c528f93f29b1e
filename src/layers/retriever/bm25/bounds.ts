/**
 * Bounds of what postings are worth, from which a search knows what it need not read.
 *
 * @since 0.1.0
 */

import { frequencyAt, type Occurrences } from "./frequencies.ts"

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
 * The bounds of all terms, which are added in any order.
 *
 * @category models
 * @since 0.1.0
 */
export class Bounds {
  /** `[terms + 1]` */
  readonly blockStarts: Float64Array<ArrayBuffer>
  /** Most that a posting of the block adds for each unit of the term's weight, `[blocks]`. */
  readonly blockBounds: Float32Array<ArrayBuffer>
  /** What the 3rd, 10th and 100th best posting of each term are worth, 0 where there are fewer, `[3 terms]`. */
  readonly topBounds: Float32Array<ArrayBuffer>
  private readonly norms: Float32Array<ArrayBuffer>

  /** `starts` [terms + 1] counts postings; `norms` [documents]. */
  constructor(starts: Float64Array<ArrayBuffer>, norms: Float32Array<ArrayBuffer>) {
    const size = starts.length - 1
    this.norms = norms
    this.blockStarts = new Float64Array(size + 1)
    for (let id = 0; id < size; id++) {
      const postings = (starts[id + 1] ?? 0) - (starts[id] ?? 0)
      this.blockStarts[id + 1] = (this.blockStarts[id] ?? 0) + Math.ceil(postings / blockSize)
    }
    this.blockBounds = new Float32Array(this.blockStarts[size] ?? 0)
    this.topBounds = new Float32Array(boundSizes.length * size)
  }

  /** Adds a term, whose postings are `start` to `end` of the arrays. */
  add(id: number, postings: Occurrences, start: number, end: number): void {
    const { blockBounds, norms, topBounds } = this
    const [, , largest] = boundSizes
    const firstBlock = this.blockStarts[id] ?? 0
    const best = new TopValues(Math.min(largest, end - start))
    for (let at = start; at < end; at++) {
      const scaled = frequencyAt(postings, at) * (norms[postings.rows[at] ?? 0] ?? 0)
      const worth = scaled / (1 + scaled)
      const block = firstBlock + Math.floor((at - start) / blockSize)
      if (worth > (blockBounds[block] ?? 0)) blockBounds[block] = roundUp(worth)
      best.add(worth)
    }
    const sorted = best.descending()
    for (const [index, rank] of boundSizes.entries()) {
      topBounds[boundSizes.length * id + index] = (sorted[rank - 1] ?? 0) * (1 - 1e-6)
    }
  }
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
