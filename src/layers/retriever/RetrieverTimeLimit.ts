/**
 * Limits the time of each call to a retriever.
 *
 * @since 0.1.0
 */
import { Duration, Effect, Layer } from "effect"
import { Retriever, RetrieverTimeout } from "../../services/Retriever.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Time for one call, be it of one query or of many. Default 30 seconds. */
  readonly duration?: Duration.Input | undefined
}

/**
 * Fails a call that takes longer with `RetrieverTimeout` and interrupts it. Below `RetrieverRetry` the limit holds for
 * each attempt, above it for all attempts together.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Retriever, never, Retriever> =>
  Layer.effect(
    Retriever,
    Effect.map(Retriever, (inner) => {
      const duration = Duration.fromInputUnsafe(options?.duration ?? "30 seconds")
      const limit = Effect.timeoutOrElse({
        duration,
        orElse: () =>
          Effect.fail(new RetrieverTimeout({ retriever: inner.name, milliseconds: Duration.toMillis(duration) }))
      })
      return Retriever.of({
        name: inner.name,
        search: (query, options) => limit(inner.search(query, options)),
        searchMany: (queries, options) => limit(inner.searchMany(queries, options))
      })
    })
  )
