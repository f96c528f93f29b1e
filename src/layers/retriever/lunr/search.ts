/**
 * Searches as lunr does, over nothing but the postings of the query's terms: the text of a query has no operators.
 *
 * @since 0.2.0
 */
import { analyze } from "../../../domain/MultilingualAnalyzer.ts"
import * as SearchQuery from "../../../domain/SearchQuery.ts"
import { Best } from "../best.ts"
import type { Weights } from "./weights.ts"

const noScores = new Float64Array()

/** More searches are rarely under way. */
const mostFree = 4

/** Postings of a step. */
const stepSize = 1 << 16

/**
 * A search that is under way.
 *
 * @category models
 * @since 0.2.0
 */
export interface Search {
  /** The numbers of the query's terms, and how often it has them. */
  readonly terms: ReadonlyArray<readonly [term: number, count: number]>
  readonly best: Best
  /** The term that comes next. */
  next: number
  /** Of each passage what was found so far, and the passages with something; taken back when all is read. */
  readonly scores: Float64Array
  readonly candidates: Array<number>
}

/**
 * Searches an index: the score of a passage is the product of its vector and the query's, which has length 1.
 *
 * @category models
 * @since 0.2.0
 */
export class Searcher {
  private readonly weights: Weights
  private readonly numbers: ReadonlyMap<string, number>
  /** Arrays of zeros that searches have left: to make one a query would cost more than most searches. */
  private readonly free: Array<Float64Array> = []
  readonly countTerms: SearchQuery.CountTerms
  /** Postings that were read since the start. */
  postingsScored = 0

  constructor(weights: Weights) {
    this.weights = weights
    const numbers = new Map(weights.terms.map((term, number) => [term, number]))
    this.numbers = numbers
    this.countTerms = SearchQuery.countTerms(analyze, (term) => numbers.has(term))
  }

  begin(query: string, topK: number): Search {
    const counts = new Map<number, number>()
    for (const term of topK <= 0 ? [] : analyze(SearchQuery.beginning(query))) {
      const number = this.numbers.get(term)
      if (number === undefined) continue
      const count = counts.get(number)
      if (count !== undefined || counts.size < SearchQuery.mostTerms) counts.set(number, (count ?? 0) + 1)
    }
    const { documents } = this.weights
    return {
      terms: [...counts],
      best: new Best(Math.max(0, Math.min(topK, documents))),
      next: 0,
      scores: counts.size === 0 ? noScores : this.free.pop() ?? new Float64Array(documents),
      candidates: []
    }
  }

  /** Reads the postings of some terms; true when all are read. */
  step(search: Search): boolean {
    const { rows, starts, weights } = this.weights
    const { best, candidates, scores, terms } = search
    let read = 0
    for (; search.next < terms.length && read < stepSize; search.next++) {
      const [term = 0, count = 0] = terms[search.next] ?? []
      const end = starts[term + 1] ?? 0
      const start = starts[term] ?? 0
      for (let at = start; at < end; at++) {
        const row = rows[at] ?? 0
        const before = scores[row] ?? 0
        if (before === 0) candidates.push(row)
        // 0 tells what is no candidate yet, and a weight may be rounded to 0
        scores[row] = before + count * (weights[at] ?? 0) || Number.MIN_VALUE
      }
      read += end - start
    }
    this.postingsScored += read
    if (search.next < terms.length) return false
    const length = 1000 * Math.sqrt(terms.reduce((sum, [, count]) => sum + count * count, 0))
    for (const row of candidates) {
      best.offer(row, Math.fround((scores[row] ?? 0) / length))
      scores[row] = 0
    }
    candidates.length = 0
    if (scores.length > 0 && this.free.length < mostFree) this.free.push(scores)
    return true
  }
}
