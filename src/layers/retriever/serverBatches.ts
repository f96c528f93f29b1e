/**
 * What embedding and reranking servers have in common: they take so many texts a request and no more, are silent now and
 * then, and answer when they are asked again.
 *
 * @since 0.2.0
 */
import { type Duration, Effect, Option } from "effect"
import { type HttpClient, HttpClientRequest } from "effect/http"
import type { RetrieverError } from "../../services/Retriever.ts"
import * as JsonHttp from "./jsonHttp.ts"
import * as RetrieverRetry from "./RetrieverRetry.ts"
import * as RetrieverTimeLimit from "./RetrieverTimeLimit.ts"

/**
 * @category models
 * @since 0.2.0
 */
export interface ServerOptions {
  /**
   * Texts in one request at most. Unless given, text-embeddings-inference is asked for its limit; a server that refuses a
   * request for its size gets smaller ones from then on, given or not.
   */
  readonly batchSize?: number | undefined
  /** Time for one request. Default 2 minutes; `false` for none. */
  readonly timeLimit?: Duration.Input | false | undefined
  /** Default as `RetrieverRetry`; `false` for none. */
  readonly retry?: RetrieverRetry.Options | false | undefined
}

/**
 * Puts a time limit around a request, and further attempts around that.
 *
 * @category combinators
 * @since 0.2.0
 */
export const resilient = (name: string, { retry, timeLimit }: ServerOptions) => {
  const limited = timeLimit === false
    ? undefined
    : RetrieverTimeLimit.limiting(name, { duration: timeLimit ?? "2 minutes" })
  const retried = retry === false ? undefined : RetrieverRetry.retrying(retry)
  return <A>(request: Effect.Effect<A, RetrieverError>): Effect.Effect<A, RetrieverError> => {
    const attempt = limited === undefined ? request : limited(request)
    return retried === undefined ? attempt : retried(attempt)
  }
}

/**
 * Asks text-embeddings-inference how many texts it takes in a request. A server that does not say is no failure.
 *
 * @category requests
 * @since 0.2.0
 */
export const teiBatchSize = (
  client: HttpClient.HttpClient,
  name: string,
  endpoint: HttpClientRequest.HttpClientRequest
): Effect.Effect<number | undefined> => {
  const request = HttpClientRequest.setMethod(endpoint, "GET").pipe(
    HttpClientRequest.setUrl(new URL("info", endpoint.url))
  )
  return JsonHttp.execute(client, name, request).pipe(
    Effect.timeoutOption("5 seconds"),
    Effect.map(Option.getOrUndefined),
    Effect.orElseSucceed(() => undefined),
    Effect.map((info) => {
      const size = typeof info === "object" && info !== null && "max_client_batch_size" in info
        ? info.max_client_batch_size
        : undefined
      return typeof size === "number" && Number.isInteger(size) && size > 0 ? size : undefined
    })
  )
}

/** What text-embeddings-inference takes by default: fewer texts are not worth a question. */
const usualLimit = 32

const namedLimit = /(?:max(?:imum)?|at most|limit)\D{0,60}?(\d+)/i

/**
 * How many of `count` texts a server that refused them may take, which is `known` where that is less; undefined where it
 * refused for another reason.
 */
const allowed = (error: RetrieverError, count: number, known: number): number | undefined => {
  if (error._tag !== "RetrieverRejected" || count <= 1) return undefined
  const named = Number(namedLimit.exec(error.body)?.[1] ?? Number.NaN)
  if (error.status === 413 || error.status === 422 || (error.status === 400 && named < count)) {
    return named >= 1 && named < count ? named : known < count ? known : Math.floor(count / 2)
  }
  return undefined
}

/**
 * Sends texts in as many requests as a server wants, `concurrency` of them at once, and puts what belongs to each text
 * together.
 *
 * @category models
 * @since 0.2.0
 */
export type Send = <A, B>(
  texts: ReadonlyArray<A>,
  concurrency: number,
  request: (texts: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, RetrieverError>
) => Effect.Effect<ReadonlyArray<B>, RetrieverError>

/**
 * How many texts a server takes, as far as that is known by now: `size` unless `find`, which is asked before the first
 * request that may be too large, or a refusal says less.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (
  { find, size }: { readonly size: number; readonly find?: Effect.Effect<number | undefined> | undefined }
): Send => {
  let limit = size
  let asked = find === undefined

  const pieces: Send = (texts, concurrency, request) => {
    const step = Math.min(limit, texts.length)
    const batches = Array.from(
      { length: step === 0 ? 0 : Math.ceil(texts.length / step) },
      (_, index) => texts.slice(index * step, (index + 1) * step)
    )
    const one = (batch: typeof texts) =>
      Effect.catch(request(batch), (error) => {
        const fewer = allowed(error, batch.length, limit)
        if (fewer === undefined) return Effect.fail(error)
        limit = Math.min(limit, fewer)
        return pieces(batch, 1, request)
      })
    return Effect.map(Effect.forEach(batches, one, { concurrency }), (results) => results.flat())
  }

  return (texts, concurrency, request) =>
    Effect.gen(function*() {
      if (!asked && find !== undefined && texts.length > usualLimit) {
        asked = true
        limit = Math.min(limit, (yield* find) ?? limit)
      }
      return yield* pieces(texts, concurrency, request)
    })
}
