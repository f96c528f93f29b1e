/**
 * Keeps the calls to a retriever below a rate.
 *
 * @since 0.1.0
 */
import { Clock, Duration, Effect, type Layer } from "effect"
import { Retriever } from "../../services/Retriever.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Calls per `interval`. */
  readonly limit: number
  /** Default 1 second. */
  readonly interval?: Duration.Input | undefined
  /** Calls that may start at once after a pause. Default 1: calls are spaced evenly. */
  readonly burst?: number | undefined
  /** Whether a call of many queries costs as much as that many calls, as hosted engines count. Default false. */
  readonly countQueries?: boolean | undefined
}

/**
 * Delays calls so that no more than `limit` start in an interval (the generic cell rate algorithm), first come, first
 * served. Nothing is refused: put `RetrieverTimeLimit` above it to bound the wait.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Retriever, never, Retriever> =>
  Retriever.decorate((inner) =>
    Effect.sync(() => {
      const spacing = Duration.toMillis(Duration.fromInputUnsafe(options.interval ?? "1 second")) / options.limit
      const allowance = spacing * (Math.max(1, options.burst ?? 1) - 1)
      let nextStart = 0
      const admit = (cost: number) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const start = Math.max(nextStart, now)
          nextStart = start + spacing * cost
          const wait = start - allowance - now
          return wait > 0 ? Effect.sleep(wait) : Effect.void
        })
      return Retriever.of({
        name: inner.name,
        search: (query, searchOptions) => Effect.andThen(admit(1), inner.search(query, searchOptions)),
        searchMany: (queries, searchOptions) =>
          queries.length === 0
            ? inner.searchMany(queries, searchOptions)
            : Effect.andThen(
              admit(options.countQueries === true ? queries.length : 1),
              inner.searchMany(queries, searchOptions)
            )
      })
    })
  )
