/**
 * Several retrievers as one: their rankings are fused.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer } from "effect"
import * as SearchQuery from "../../domain/SearchQuery.ts"
import { Retriever } from "../../services/Retriever.ts"
import * as Fusion from "./fusion.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** What each retriever's ranking counts, in their order. Default 1 each. */
  readonly weights?: ReadonlyArray<number> | undefined
  /** Passages that each retriever is asked for. Default 100, and never fewer than are wanted. */
  readonly candidates?: number | undefined
  /** Reciprocal-rank fusion's constant. Default 60, as in Cormack, Clarke and Büttcher 2009. */
  readonly k?: number | undefined
}

/**
 * Asks all retrievers at once and ranks the passages by the sum of `weight / (k + rank)` (reciprocal-rank fusion):
 * scores of different engines need not be comparable. Passages are told apart by their ids. When one retriever fails,
 * the search does.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <E, R>(
  retrievers: ReadonlyArray<Layer.Layer<Retriever, E, R>>,
  options?: Options
): Layer.Layer<Retriever, E, R> =>
  Layer.effect(
    Retriever,
    Effect.gen(function*() {
      const inner = yield* Effect.forEach(retrievers, (retriever) =>
        Effect.map(Layer.build(Layer.fresh(retriever)), (context) => Context.get(context, Retriever)))
      const fused = Retriever.fromSearchMany(
        `RetrieverHybrid(${
          inner.map(({ name }) => name).join(", ")
        })`,
        Effect.fn("RetrieverHybrid.searchMany")(function*(queries, { topK }) {
          if (queries.length === 0 || topK <= 0) return queries.map(() => [])
          const candidates = Math.max(topK, options?.candidates ?? 100)
          const rankings = yield* Effect.forEach(
            inner,
            (retriever) => retriever.searchMany(queries, { topK: candidates }),
            { concurrency: "unbounded" }
          )
          return queries.map((_, index) =>
            Fusion.reciprocalRank(rankings.map((lists) => lists[index] ?? []), {
              key: ({ id }) => id,
              weights: options?.weights,
              k: options?.k,
              topK
            })
          )
        })
      )
      // what they leave out each of them says
      const counts = inner.flatMap(({ countTerms }) => countTerms === undefined ? [] : [countTerms])
      return Retriever.of({ ...fused, countTerms: counts.length === 0 ? undefined : SearchQuery.worstCount(counts) })
    })
  )
