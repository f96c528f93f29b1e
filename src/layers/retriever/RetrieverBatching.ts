/**
 * Gathers the searches of many fibers into calls of many queries.
 *
 * @since 0.1.0
 */
import { type Duration, Effect, type Layer } from "effect"
import { Retriever } from "../../services/Retriever.ts"
import * as Flights from "./flights.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How long a search waits for others. Default 2 milliseconds. */
  readonly window?: Duration.Input | undefined
  /** Queries of one call at most; a full batch is sent at once. Default 64. */
  readonly maxBatch?: number | undefined
}

/**
 * Searches of one time window become one `searchMany`, and equal ones (same query, same `topK`) one query of it.
 * Interrupting one search leaves the others alone; a failed call fails exactly the searches that wait for it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Retriever, never, Retriever> =>
  Retriever.decorate(
    Effect.fnUntraced(function*(inner) {
      return Retriever.fromSearchMany(
        inner.name,
        Flights.make({
          inner,
          scope: yield* Effect.scope,
          window: options?.window ?? "2 millis",
          maxBatch: Math.max(1, options?.maxBatch ?? 64)
        })
      )
    })
  )
