/**
 * Everything that a retriever on the other side of a network needs, in the right order.
 *
 * @since 0.1.0
 */
import { Effect, Layer } from "effect"
import { Retriever } from "../../services/Retriever.ts"
import * as RetrieverBatching from "./RetrieverBatching.ts"
import * as RetrieverCache from "./RetrieverCache.ts"
import * as RetrieverConcurrency from "./RetrieverConcurrency.ts"
import * as RetrieverRateLimit from "./RetrieverRateLimit.ts"
import * as RetrieverRetry from "./RetrieverRetry.ts"
import * as RetrieverTimeLimit from "./RetrieverTimeLimit.ts"

/**
 * What to wrap around a retriever. `false` leaves a part out, nothing given means the part's defaults, but a rate limit
 * is used only where one is given.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly timeLimit?: RetrieverTimeLimit.Options | false | undefined
  readonly concurrency?: RetrieverConcurrency.Options | false | undefined
  readonly rateLimit?: RetrieverRateLimit.Options | false | undefined
  readonly retry?: RetrieverRetry.Options | false | undefined
  readonly batching?: RetrieverBatching.Options | false | undefined
  readonly cache?: RetrieverCache.Options | false | undefined
}

/**
 * From the engine outwards: time limit of an attempt, concurrency, rate limit, retry, batching, cache. So a search that
 * waits for its turn or for its next attempt neither runs out of time nor holds a place, and a cached answer costs none.
 *
 * Used as `RetrieverResilient.layer().pipe(Layer.provide(RetrieverRemote.layer({ url })))`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Retriever, never, Retriever> => {
  const parts: Array<Layer.Layer<Retriever, never, Retriever>> = []
  if (options.timeLimit !== false) parts.push(RetrieverTimeLimit.layer(options.timeLimit))
  if (options.concurrency !== false) parts.push(RetrieverConcurrency.layer(options.concurrency))
  if (options.rateLimit !== false && options.rateLimit !== undefined) {
    parts.push(RetrieverRateLimit.layer(options.rateLimit))
  }
  if (options.retry !== false) parts.push(RetrieverRetry.layer(options.retry))
  if (options.batching !== false) parts.push(RetrieverBatching.layer(options.batching))
  if (options.cache !== false) parts.push(RetrieverCache.layer(options.cache))
  const unchanged = Retriever.decorate(Effect.succeed)
  // what `Layer.provide` makes would be shared by all engines that it stands around
  return Layer.fresh(parts.reduce((inner, outer) => Layer.provide(outer, inner), unchanged))
}
