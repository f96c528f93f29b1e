/**
 * The best passages of an inverted index, without reading postings that cannot belong to them.
 *
 * Passages are visited in windows of rows. Before a window, each term of the query has an upper bound for it, from its
 * blocks. Terms whose bounds together cannot reach the last place of the result are not essential: their postings are
 * looked up only for passages that an essential term brought up and that can still make it (MaxScore of Turtle and
 * Flood 1995 with the block bounds of Ding and Suel 2011), unless reading them is cheaper: so no query takes more steps
 * than its terms have postings, times a constant. A window whose bounds cannot reach it is not read at all.
 *
 * @since 0.1.0
 */
import * as Bm25 from "../../../domain/Bm25.ts"
import * as SearchQuery from "../../../domain/SearchQuery.ts"
import { Best, type Hit } from "../best.ts"
import { blockSize, boundSizes } from "./bounds.ts"
import { frequencyAt, lowerBound } from "./frequencies.ts"
import { analyzers, type Postings } from "./postings.ts"

/** Rows of one window: their scores stay in the processor's second cache. */
const windowSize = 1 << 15

/** Bounds are compared with room for the rounding of sums. */
const slack = 1 + 1e-6

/** A posting that is looked up costs as much as so many that are read in their order. */
const lookupCost = 4

interface QueryTerm {
  readonly id: number
  /** Inverse document frequency times occurrences in the query. */
  readonly weight: number
  readonly start: number
  readonly end: number
  readonly firstBlock: number
  /** The first posting that is not behind the window. */
  cursor: number
  /** The first posting behind the window. */
  limit: number
  /** The most that the term adds in the window. */
  bound: number
}

/**
 * A search that is under way: {@link Searcher.step} goes on with it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Search {
  readonly terms: Array<QueryTerm>
  readonly best: Best
  /** The first row that was not visited. */
  next: number
}

/**
 * Searches an index. Buffers are shared by the searches of an instance and used within a step only, so any number of
 * searches may be under way.
 *
 * @category models
 * @since 0.1.0
 */
export class Searcher {
  private readonly postings: Postings
  private readonly analyze: (text: string) => Array<string>
  private readonly scores = new Float64Array(windowSize)
  private readonly candidates = new Int32Array(windowSize)
  readonly countTerms: SearchQuery.CountTerms
  /** Postings whose worth was computed since the start. */
  postingsScored = 0
  /** Postings that were looked up since the start. */
  lookups = 0

  constructor(postings: Postings) {
    this.postings = postings
    this.analyze = analyzers[postings.parameters.analyzer]
    this.countTerms = SearchQuery.countTerms(this.analyze, (term) => postings.terms.lookup(term) >= 0)
  }

  /** The `topK` best rows, best first, equal scores by row. Scores are float32, as Lucene's. */
  search(query: string, topK: number): ReadonlyArray<Hit> {
    const search = this.begin(query, topK)
    while (!this.step(search));
    return search.best.hits()
  }

  /** A search for the `topK` best rows. */
  begin(query: string, topK: number): Search {
    const { documents } = this.postings
    const terms = topK <= 0 ? [] : this.termsOf(query)
    const capacity = Math.max(0, Math.min(topK, documents))
    return {
      terms,
      best: new Best(capacity, this.guaranteed(terms, topK)),
      next: terms.length === 0 ? documents : 0
    }
  }

  /** Visits a window of rows; true when there are no more. */
  step(search: Search): boolean {
    const { documents } = this.postings
    if (search.next < documents) {
      const last = Math.min(documents, search.next + windowSize)
      this.searchWindow(search.terms, search.next, last, search.best)
      search.next = last
    }
    return search.next >= documents
  }

  private termsOf(query: string): Array<QueryTerm> {
    const { blockStarts, documentsWithTerms, starts, terms } = this.postings
    const counts = new Map<number, number>()
    for (const term of this.analyze(SearchQuery.beginning(query))) {
      const id = terms.lookup(term)
      const count = counts.get(id)
      if (id >= 0 && (count !== undefined || counts.size < SearchQuery.mostTerms)) counts.set(id, (count ?? 0) + 1)
    }
    const found: Array<QueryTerm> = []
    for (const [id, count] of counts) {
      const start = starts[id] ?? 0
      const end = starts[id + 1] ?? 0
      found.push({
        weight: Bm25.weight(documentsWithTerms, end - start, count),
        start,
        end,
        firstBlock: blockStarts[id] ?? 0,
        cursor: start,
        limit: start,
        bound: 0,
        id
      })
    }
    return found
  }

  /** A score that at least `topK` passages reach by one of the terms alone. */
  private guaranteed(terms: ReadonlyArray<QueryTerm>, topK: number): number {
    const index = boundSizes.findIndex((size) => size >= topK)
    if (index === -1) return 0
    let score = 0
    for (const { id, weight } of terms) {
      const bound = this.postings.topBounds[boundSizes.length * id + index] ?? 0
      score = Math.max(score, weight * (bound - Bm25.rounding))
    }
    return score
  }

  private searchWindow(terms: Array<QueryTerm>, first: number, last: number, best: Best): void {
    let sum = 0
    for (const term of terms) {
      this.enter(term, last)
      sum += term.bound
    }
    if (sum * slack < best.threshold) {
      leave(terms)
      return
    }
    terms.sort((a, b) => a.bound - b.bound)
    let inessential = 0
    let behind = 0
    while (inessential < terms.length - 1) {
      const next = behind + (terms[inessential]?.bound ?? 0)
      if (next * slack >= best.threshold) break
      behind = next
      inessential += 1
    }
    let found = 0
    for (let index = terms.length - 1; index >= inessential; index--) {
      const term = terms[index]
      if (term !== undefined) found = this.score(term, first, found)
    }
    this.collect(terms, inessential, behind, first, found, best)
    leave(terms)
  }

  /** Finds the end of the window in the term's postings, block by block, and the bound of the blocks in it. */
  private enter(term: QueryTerm, last: number): void {
    const { blockBounds, rows } = this.postings
    const { cursor, end, firstBlock, start } = term
    let bound = 0
    let limit = cursor
    if (cursor < end && (rows[cursor] ?? 0) < last) {
      for (let block = Math.floor((cursor - start) / blockSize);; block++) {
        bound = Math.max(bound, blockBounds[firstBlock + block] ?? 0)
        const blockEnd = Math.min(end, start + (block + 1) * blockSize)
        if (blockEnd === end || (rows[blockEnd] ?? 0) >= last) {
          limit = lowerBound(rows, Math.max(cursor, start + block * blockSize), blockEnd, last)
          break
        }
      }
    }
    term.limit = limit
    term.bound = bound === 0 ? 0 : term.weight * (bound + Bm25.rounding)
  }

  private score(term: QueryTerm | undefined, first: number, found: number): number {
    if (term === undefined) return found
    const { cursor, limit, weight } = term
    const { postings } = this
    const { norms, rows } = postings
    const { candidates, scores } = this
    let count = found
    for (let at = cursor; at < limit; at++) {
      const row = rows[at] ?? 0
      const slot = row - first
      const before = scores[slot] ?? 0
      if (before === 0) candidates[count++] = slot
      const added = Bm25.score(weight, frequencyAt(postings, at), norms[row] ?? 0)
      // 0 tells what is no candidate yet
      scores[slot] = added > 0 ? before + added : before || Number.MIN_VALUE
    }
    this.postingsScored += limit - cursor
    return count
  }

  /**
   * Completes the scores of the candidates and offers the best. Once the postings that were looked up have cost as much as
   * reading all of the inessential terms', those are read.
   */
  private collect(
    terms: ReadonlyArray<QueryTerm>,
    inessential: number,
    behind: number,
    first: number,
    found: number,
    best: Best
  ): void {
    const { postings } = this
    const { norms, rows } = postings
    const { candidates, scores } = this
    let lookups = 0
    for (let term = 0; term < inessential; term++) lookups += sizeOf(terms[term]) / lookupCost
    let left = found
    for (let index = 0; index < left; index++) {
      if (inessential > 0 && lookups <= 0) {
        // passages that only inessential terms bring up, or that were dealt with, cannot make it
        candidates.copyWithin(0, index, left)
        left -= index
        index = 0
        for (let next = inessential - 1; next >= 0; next--) left = this.score(terms[next], first, left)
        inessential = 0
        behind = 0
      }
      const slot = candidates[index] ?? 0
      const row = first + slot
      let score = scores[slot] ?? 0
      scores[slot] = 0
      let possible = behind
      for (let next = inessential - 1; next >= 0; next--) {
        if ((score + possible) * slack < best.threshold) break
        const term = terms[next]
        if (term === undefined) break
        possible -= term.bound
        lookups -= 1
        this.lookups += 1
        const at = lowerBound(rows, term.cursor, term.limit, row)
        if (at < term.limit && rows[at] === row) {
          score += Bm25.score(term.weight, frequencyAt(postings, at), norms[row] ?? 0)
          this.postingsScored += 1
        }
      }
      if (score * slack >= best.threshold) best.offer(row, Math.fround(score))
    }
  }
}

const sizeOf = (term: QueryTerm | undefined): number => term === undefined ? 0 : term.limit - term.cursor

const leave = (terms: ReadonlyArray<QueryTerm>): void => {
  for (const term of terms) term.cursor = term.limit
}
