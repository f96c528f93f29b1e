/**
 * Limits how many calls a retriever sees at once.
 *
 * @since 0.1.0
 */
import { Effect, type Layer, Semaphore } from "effect"
import { Retriever } from "../../services/Retriever.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Calls at once; a call of many queries is one. Default 64. */
  readonly limit?: number | undefined
}

/**
 * Lets at most `limit` calls through and makes the others wait in order.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Retriever, never, Retriever> =>
  Retriever.decorate(
    Effect.fnUntraced(function*(inner) {
      const permits = yield* Semaphore.make(Math.max(1, options?.limit ?? 64))
      return Retriever.of({
        name: inner.name,
        search: (query, options) => permits.withPermit(inner.search(query, options)),
        searchMany: (queries, options) => permits.withPermit(inner.searchMany(queries, options))
      })
    })
  )
