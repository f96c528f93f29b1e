/**
 * Stops a run before it spends more on searches than it may.
 *
 * @since 0.1.0
 */
import { Effect, type Layer } from "effect"
import { Retriever, RetrieverQuotaExceeded } from "../../services/Retriever.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** What may be spent, in any currency. */
  readonly budget: number
  /** What one query costs in it. Default 1: the budget is a number of queries. */
  readonly costPerQuery?: number | undefined
}

/**
 * Fails with `RetrieverQuotaExceeded`, and asks nobody, when a call would exceed the budget. A call costs as many queries
 * as it holds, whether it succeeds or not. Below a cache only what is really asked is paid for; below `RetrieverRetry`
 * each attempt is.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = ({ budget, costPerQuery = 1 }: Options): Layer.Layer<Retriever, never, Retriever> =>
  Retriever.decorate((inner) =>
    Effect.sync(() => {
      let queries = 0
      const pay = (count: number): Effect.Effect<void, RetrieverQuotaExceeded> =>
        Effect.suspend(() => {
          // sums of many small costs would gather rounding errors
          if ((queries + count) * costPerQuery > budget) {
            const reason =
              `${queries} queries at ${costPerQuery} each leave too little of the budget of ${budget} for ${count} more`
            return Effect.fail(new RetrieverQuotaExceeded({ retriever: inner.name, reason }))
          }
          queries += count
          return Effect.void
        })
      return Retriever.of({
        name: inner.name,
        search: (query, options) => Effect.andThen(pay(1), inner.search(query, options)),
        searchMany: (queries, options) => Effect.andThen(pay(queries.length), inner.searchMany(queries, options))
      })
    })
  )
