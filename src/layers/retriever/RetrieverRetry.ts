/**
 * Tries failed searches again.
 *
 * @since 0.1.0
 */
import { Duration, Effect, type Layer, Metric, Schedule } from "effect"
import { isRetryable, Retriever, type RetrieverError, searchRetries } from "../../services/Retriever.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Attempts after the first. Default 3. */
  readonly times?: number | undefined
  /** Delay before the first retry; it doubles with each further one. Default 200 milliseconds. */
  readonly base?: Duration.Input | undefined
  /** Longest delay of the backoff. Default 10 seconds. */
  readonly max?: Duration.Input | undefined
  /** Longest `Retry-After` that is waited for; a server that asks for more has its error passed on. Default 1 minute. */
  readonly maxRetryAfter?: Duration.Input | undefined
}

const retryAfter = (error: RetrieverError): number =>
  error._tag === "RetrieverRejected" ? error.retryAfterMillis ?? 0 : 0

/**
 * Repeats what fails with an error that `isRetryable`, as {@link layer} does.
 *
 * @category combinators
 * @since 0.2.0
 */
export const retrying = (options?: Options) => {
  const maxRetryAfter = Duration.toMillis(Duration.fromInputUnsafe(options?.maxRetryAfter ?? "1 minute"))
  const schedule = Schedule.min([
    Schedule.exponential(options?.base ?? "200 millis"),
    Schedule.spaced(options?.max ?? "10 seconds")
  ]).pipe(
    Schedule.jittered,
    Schedule.upTo({ times: options?.times ?? 3 }),
    Schedule.setInputType<RetrieverError>(),
    Schedule.while(({ input }) => isRetryable(input) && retryAfter(input) <= maxRetryAfter),
    Schedule.modifyDelay(({ duration, input }) =>
      Effect.succeed(Duration.max(duration, Duration.millis(retryAfter(input))))
    )
  )
  return <A>(attempt: Effect.Effect<A, RetrieverError>): Effect.Effect<A, RetrieverError> =>
    Effect.suspend(() => {
      let attempts = 0
      const counted = Effect.suspend(() =>
        attempts++ === 0 ? attempt : Effect.andThen(Metric.update(searchRetries, 1), attempt)
      )
      return Effect.retry(counted, schedule)
    })
}

/**
 * Repeats calls whose error `isRetryable`: exponential backoff with jitter (80 to 120 % of the delay), never less than
 * the server's `Retry-After`, a bounded number of times. The last error is passed on. `searchRetries` counts them.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Retriever, never, Retriever> =>
  Retriever.decorate((inner) =>
    Effect.sync(() => {
      const retried = retrying(options)
      return Retriever.of({
        name: inner.name,
        search: (query, options) => retried(inner.search(query, options)),
        searchMany: (queries, options) => retried(inner.searchMany(queries, options))
      })
    })
  )
