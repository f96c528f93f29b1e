/**
 * JSON over HTTP for retrievers: one request, one decoded value, and an error for each way in which that can go wrong.
 *
 * @since 0.1.0
 */
import { Clock, Effect } from "effect"
import { type HttpClient, type HttpClientError, type HttpClientRequest } from "effect/http"
import {
  type RetrieverError,
  RetrieverMalformedJson,
  RetrieverRejected,
  RetrieverUnavailable
} from "../../services/Retriever.ts"

/** As much of a strange answer as an error message can hold. */
const excerptLength = 200

/**
 * The beginning of a text, for error messages.
 *
 * @category formatting
 * @since 0.1.0
 */
export const excerpt = (text: string): string => {
  const line = text.replaceAll(/\s+/g, " ").trim()
  return line.length > excerptLength ? `${line.slice(0, excerptLength)}…` : line
}

/**
 * The delay that a `Retry-After` header asks for: seconds or an HTTP date (RFC 9110, §10.2.3). Never negative.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseRetryAfter = (header: string | undefined, nowMillis: number): number | undefined => {
  const text = header?.trim() ?? ""
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000
  if (!/^[A-Za-z]{3,9},? /.test(text)) return undefined
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMillis)
}

/** Innermost message: Node wraps "ECONNREFUSED" twice. */
const rootMessage = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if (error.cause !== undefined) return rootMessage(error.cause)
  if (error instanceof AggregateError && error.errors.length > 0) return rootMessage(error.errors[0])
  const code = "code" in error && typeof error.code === "string" ? error.code : ""
  return error.message === "" || error.message === code ? code || error.name : error.message
}

const unavailable = (retriever: string) => (error: HttpClientError.HttpClientError): RetrieverUnavailable =>
  new RetrieverUnavailable({
    retriever,
    reason: `${error.request.method} ${error.request.url}: ${
      rootMessage("cause" in error.reason && error.reason.cause !== undefined ? error.reason.cause : error)
    }`
  })

/**
 * Sends a request and reads its JSON. A lost connection is `RetrieverUnavailable`, a status that is no success
 * `RetrieverRejected` and a body that is no JSON `RetrieverMalformedJson`. Interruption closes the connection.
 *
 * @category requests
 * @since 0.1.0
 */
export const execute = Effect.fnUntraced(function*(
  client: HttpClient.HttpClient,
  retriever: string,
  request: HttpClientRequest.HttpClientRequest
): Effect.fn.Return<unknown, RetrieverError> {
  const response = yield* client.execute(request).pipe(Effect.mapError(unavailable(retriever)))
  if (response.status < 200 || response.status >= 300) {
    // the refusal itself is the news, even when its body cannot be read
    const body = yield* response.text.pipe(Effect.orElseSucceed(() => ""))
    const retryAfterMillis = parseRetryAfter(response.headers["retry-after"], yield* Clock.currentTimeMillis)
    return yield* new RetrieverRejected({
      retriever,
      status: response.status,
      body: excerpt(body),
      ...(retryAfterMillis === undefined ? {} : { retryAfterMillis })
    })
  }
  const body = yield* response.text.pipe(Effect.mapError(unavailable(retriever)))
  return yield* Effect.try({
    try: () => parse(body),
    catch: (error) =>
      new RetrieverMalformedJson({
        retriever,
        body: excerpt(body),
        reason: error instanceof Error ? error.message : String(error)
      })
  })
})

const parse = (body: string): unknown => JSON.parse(body)
