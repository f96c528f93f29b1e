/**
 * A small exact retriever in memory: for tests, benchmarks and examples.
 *
 * @since 0.1.0
 */
import { Effect, Layer } from "effect"
import type { Document, ScoredDocument } from "../../domain/Document.ts"
import { analyze } from "../../domain/MultilingualAnalyzer.ts"
import * as SearchQuery from "../../domain/SearchQuery.ts"
import { Retriever } from "../../services/Retriever.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Passages that are found by the words they share with a query. */
  readonly documents?: ReadonlyArray<Document> | undefined
  /** Fixed answers, best first, for exactly these queries. */
  readonly answers?: Readonly<Record<string, ReadonlyArray<Document>>> | undefined
}

const words = (text: string): ReadonlySet<string> => new Set(analyze(text))

/**
 * A query with a fixed answer gets it, with the reciprocals of the ranks as scores. Any other is answered with the
 * passages that hold the largest share of its words (ties in the order given); a passage without any is no hit.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Retriever["Service"] => {
  const answers = new Map(Object.entries(options.answers ?? {}))
  const documents = options.documents ?? []
  const postings = new Map<string, Array<number>>()
  for (const [row, { text, title }] of documents.entries()) {
    for (const word of words(`${title} ${text}`)) {
      const rows = postings.get(word)
      if (rows === undefined) postings.set(word, [row])
      else rows.push(row)
    }
  }
  const overlap = (query: string, topK: number): ReadonlyArray<ScoredDocument> => {
    const asked = words(query)
    const shared = new Map<number, number>()
    let searched = 0
    for (const word of asked) {
      const rows = postings.get(word)
      if (rows === undefined) continue
      if (++searched > SearchQuery.mostTerms) break
      for (const row of rows) shared.set(row, (shared.get(row) ?? 0) + 1)
    }
    return [...shared]
      .sort(([rowA, a], [rowB, b]) => b - a || rowA - rowB)
      .slice(0, topK)
      .flatMap(([row, count]) => {
        const document = documents[row]
        return document === undefined ? [] : [{ ...document, score: count / asked.size }]
      })
  }
  return Retriever.fromSearch("RetrieverMemory", (query, { topK }) =>
    Effect.sync(() => {
      const fixed = answers.get(query)
      return fixed === undefined
        ? overlap(query, Math.max(0, topK))
        : fixed.slice(0, Math.max(0, topK)).map((document, index) => ({ ...document, score: 1 / (index + 1) }))
    }), { countTerms: SearchQuery.countTerms(analyze, (term) => postings.has(term)) })
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Retriever> => Layer.sync(Retriever, () => make(options))
