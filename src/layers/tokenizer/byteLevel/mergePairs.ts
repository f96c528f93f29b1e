/**
 * The merging of byte pair encoding: of all neighbouring parts whose union is a token, those whose union has the lowest
 * rank are merged first, of several the leftmost.
 *
 * @since 0.1.0
 */

/**
 * The rank of a union that is no token.
 *
 * @category constants
 * @since 0.1.0
 */
export const noRank = 0x7fffffff

/** Up to this many parts are merged by looking at all pairs each time, more with a heap. */
const scanLimit = 48

/**
 * The rank of the union of two neighbouring parts: from `start` to `middle`, and from there to `end`.
 *
 * @category models
 * @since 0.1.0
 */
export type RankOf = (start: number, middle: number, end: number) => number

/** Merges by scanning all pairs for the best one: quadratic, and the fastest for words. */
const mergeFew = (starts: Array<number>, rankOf: RankOf): Array<number> => {
  // ranks[i] is that of the union of the parts i and i + 1.
  const ranks = Array.from({ length: starts.length - 2 }, (_, i) => rankOf(starts[i]!, starts[i + 1]!, starts[i + 2]!))
  for (;;) {
    let best = noRank
    let at = -1
    for (let i = 0; i < ranks.length; i++) {
      if (ranks[i]! < best) {
        best = ranks[i]!
        at = i
      }
    }
    if (at === -1) return starts
    starts.splice(at + 1, 1)
    ranks.splice(at, 1)
    if (at < ranks.length) ranks[at] = rankOf(starts[at]!, starts[at + 1]!, starts[at + 2]!)
    if (at > 0) ranks[at - 1] = rankOf(starts[at - 1]!, starts[at]!, starts[at + 1]!)
  }
}

/** Numbers in order, the smallest first. */
const makeHeap = () => {
  const heap: Array<number> = []
  const push = (entry: number) => {
    let child = heap.length
    heap.push(entry)
    while (child > 0) {
      const parent = (child - 1) >> 1
      if (heap[parent]! <= entry) break
      heap[child] = heap[parent]!
      child = parent
    }
    heap[child] = entry
  }
  const pop = (): number | undefined => {
    const top = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return top
    let parent = 0
    for (;;) {
      let child = 2 * parent + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child += 1
      if (heap[child]! >= last) break
      heap[parent] = heap[child]!
      parent = child
    }
    heap[parent] = last
    return top
  }
  return { push, pop }
}

/** Merges with a linked list of parts and a heap of pairs: n log n, for texts without a space in them. */
const mergeMany = (starts: ReadonlyArray<number>, rankOf: RankOf): Array<number> => {
  const parts = starts.length - 1
  const next = Int32Array.from({ length: parts + 1 }, (_, i) => i + 1)
  const previous = Int32Array.from({ length: parts + 1 }, (_, i) => i - 1)
  /** The rank of the union of a part and the one behind it, to tell outdated entries of the heap. */
  const ranks = new Int32Array(parts + 1).fill(noRank)
  // Rank and part in one number.
  const heap = makeHeap()
  const enter = (part: number) => {
    const behind = next[part]!
    const rank = behind < parts ? rankOf(starts[part]!, starts[behind]!, starts[next[behind]!]!) : noRank
    ranks[part] = rank
    if (rank !== noRank) heap.push(rank * parts + part)
  }
  for (let part = 0; part < parts; part++) enter(part)
  for (let entry = heap.pop(); entry !== undefined; entry = heap.pop()) {
    const part = entry % parts
    if (ranks[part] !== Math.floor(entry / parts)) continue
    const gone = next[part]!
    next[part] = next[gone]!
    previous[next[gone]!] = part
    ranks[gone] = noRank
    enter(part)
    if (part > 0) enter(previous[part]!)
  }
  const merged: Array<number> = []
  for (let part = 0; part < parts; part = next[part]!) merged.push(starts[part]!)
  merged.push(starts[parts]!)
  return merged
}

/**
 * Where the parts of a text begin after all merges, and its end. `starts` are those before them, and the end.
 *
 * @category constructors
 * @since 0.1.0
 */
export const mergePairs = (starts: ReadonlyArray<number>, rankOf: RankOf): ReadonlyArray<number> =>
  starts.length < 3 ? starts : starts.length <= scanLimit ? mergeFew([...starts], rankOf) : mergeMany(starts, rankOf)
