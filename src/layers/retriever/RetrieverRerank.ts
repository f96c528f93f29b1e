/**
 * Lets a reranker choose among more passages than are wanted.
 *
 * @since 0.1.0
 */
import { Effect, type Layer } from "effect"
import type { ScoredDocument } from "../../domain/Document.ts"
import { Reranker } from "../../services/Reranker.ts"
import { Retriever, RetrieverUnexpectedShape } from "../../services/Retriever.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Passages to choose from; never fewer than are wanted. Default 10, the reference's. */
  readonly candidates?: number | undefined
}

/**
 * Searches for `candidates` passages and returns the best by the reranker's scores; equal ones stay in the retriever's
 * order.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Retriever, never, Retriever | Reranker> =>
  Retriever.decorate(
    Effect.fnUntraced(function*(inner) {
      const reranker = yield* Reranker
      const name = `${inner.name} reranked by ${reranker.name}`
      return Retriever.fromSearchMany(
        name,
        Effect.fn("RetrieverRerank.searchMany")(function*(queries, { topK }) {
          if (queries.length === 0 || topK <= 0) return queries.map(() => [])
          const found = yield* inner.searchMany(queries, { topK: Math.max(topK, options?.candidates ?? 10) })
          const scores = yield* reranker.scores(
            queries.map((query, index) => ({ query, documents: found[index] ?? [] }))
          )
          const results: Array<ReadonlyArray<ScoredDocument>> = []
          for (const [index, documents] of found.entries()) {
            const given = scores[index] ?? []
            if (given.length !== documents.length) {
              const reason = `${given.length} scores for ${documents.length} passages`
              return yield* new RetrieverUnexpectedShape({ retriever: reranker.name, reason })
            }
            results.push(
              documents
                .map((document, at) => ({ ...document, score: given[at] ?? 0 }))
                .toSorted((a, b) => b.score - a.score)
                .slice(0, topK)
            )
          }
          return results
        })
      )
    })
  )
