/**
 * Limits the time of each call to a retriever.
 *
 * @since 0.1.0
 */
import { Duration, Effect, type Layer } from "effect"
import { Retriever, type RetrieverError, RetrieverTimeout } from "../../services/Retriever.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Time for one call, be it of one query or of many. Default 30 seconds. */
  readonly duration?: Duration.Input | undefined
}

/**
 * Fails what takes longer with `RetrieverTimeout` and interrupts it.
 *
 * @category combinators
 * @since 0.2.0
 */
export const limiting = (retriever: string, options?: Options) => {
  const duration = Duration.fromInputUnsafe(options?.duration ?? "30 seconds")
  return <A>(attempt: Effect.Effect<A, RetrieverError>): Effect.Effect<A, RetrieverError> =>
    Effect.timeoutOrElse(attempt, {
      duration,
      orElse: () => Effect.fail(new RetrieverTimeout({ retriever, milliseconds: Duration.toMillis(duration) }))
    })
}

/**
 * Fails a call that takes longer with `RetrieverTimeout` and interrupts it. Below `RetrieverRetry` the limit holds for
 * each attempt, above it for all attempts together.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Retriever, never, Retriever> =>
  Retriever.decorate((inner) =>
    Effect.sync(() => {
      const limit = limiting(inner.name, options)
      return Retriever.of({
        name: inner.name,
        search: (query, options) => limit(inner.search(query, options)),
        searchMany: (queries, options) => limit(inner.searchMany(queries, options))
      })
    })
  )
