/**
 * JSON over HTTP for retrievers: one request, one decoded value, and an error for each way in which that can go wrong.
 *
 * @since 0.1.0
 */
import { Clock, Effect, type Redacted } from "effect"
import { type HttpClient, type HttpClientError, HttpClientRequest, type HttpClientResponse } from "effect/http"
import * as Json from "../../domain/Json.ts"
import * as PercentEncoding from "../../domain/PercentEncoding.ts"
import {
  type RetrieverError,
  RetrieverMalformedJson,
  RetrieverRejected,
  RetrieverUnavailable,
  RetrieverUnexpectedShape
} from "../../services/Retriever.ts"
import * as AnswerBody from "./answerBody.ts"
import * as Redirects from "./redirects.ts"

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
 * The beginning of a value of JSON, for error messages; numbers that JSON does not have are shown as they are.
 *
 * @category formatting
 * @since 0.2.0
 */
export const shown = (value: unknown): string =>
  typeof value === "number" || value === undefined ? String(value) : excerpt(Json.show(value))

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

/**
 * The texts of a `Warning` header (RFC 7234, §5.5); nothing where it has another form.
 *
 * @category decoding
 * @since 0.2.0
 */
export const warningsOf = (header: string | undefined): ReadonlyArray<string> =>
  Array.from(
    (header ?? "").matchAll(/\b\d{3} [^\s"]+ "((?:[^"\\]|\\.)*)"/g),
    ([, text = ""]) => excerpt(text.replaceAll(/\\(.)/g, "$1"))
  )

/**
 * An address as messages may show it.
 *
 * @category formatting
 * @since 0.2.0
 */
export const withoutCredentials = (url: string | URL): string => {
  const parsed = new URL(url)
  parsed.username = ""
  parsed.password = ""
  return parsed.toString()
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

const readText = (
  retriever: string,
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<string, RetrieverError> =>
  AnswerBody.text(response).pipe(
    Effect.catchTags({
      BodyTooLarge: ({ maxBytes }) =>
        Effect.fail(
          new RetrieverUnexpectedShape({ retriever, reason: `its answer is larger than ${maxBytes} bytes` })
        ),
      BodyUnreadable: ({ reason }) => Effect.fail(new RetrieverMalformedJson({ retriever, body: "", reason })),
      HttpClientError: (error) => Effect.fail(unavailable(retriever)(error))
    })
  )

/**
 * A request that posts to an address, with a key or else the name and the password that the address holds.
 *
 * @category requests
 * @since 0.2.0
 */
export const post = (url: string | URL, key?: Redacted.Redacted | string): HttpClientRequest.HttpClientRequest => {
  const { password, username } = new URL(url)
  const request = HttpClientRequest.post(new URL(withoutCredentials(url))).pipe(HttpClientRequest.acceptJson)
  return key !== undefined
    ? HttpClientRequest.bearerToken(request, key)
    : username !== "" || password !== ""
    ? HttpClientRequest.basicAuth(request, PercentEncoding.decode(username), PercentEncoding.decode(password))
    : request
}

/**
 * Sends a request and reads its JSON. Redirects on the same host are followed. A lost connection is
 * `RetrieverUnavailable`, a status that is no success `RetrieverRejected`, a body that is no JSON
 * `RetrieverMalformedJson` and one beyond `HttpIncomingMessage.MaxBodySize` `RetrieverUnexpectedShape`. `NaN` and
 * `Infinity`, which Python writes, are read as the numbers that they are. What a `Warning` header says is logged.
 * Interruption closes the connection.
 *
 * @category requests
 * @since 0.1.0
 */
export const execute = Effect.fnUntraced(function*(
  client: HttpClient.HttpClient,
  retriever: string,
  request: HttpClientRequest.HttpClientRequest
): Effect.fn.Return<unknown, RetrieverError> {
  const response = yield* Redirects.execute(client, request).pipe(
    Effect.catchTags({
      HttpClientError: (error) => Effect.fail(unavailable(retriever)(error)),
      NotFollowed: ({ reason, status }) => Effect.fail(new RetrieverRejected({ retriever, status, body: reason }))
    })
  )
  if (response.status < 200 || response.status >= 300) {
    // the refusal itself is the news, even when its body cannot be read
    const body = yield* readText(retriever, response).pipe(Effect.orElseSucceed(() => ""))
    const retryAfterMillis = parseRetryAfter(response.headers["retry-after"], yield* Clock.currentTimeMillis)
    return yield* new RetrieverRejected({
      retriever,
      status: response.status,
      body: excerpt(body),
      ...(retryAfterMillis === undefined ? {} : { retryAfterMillis })
    })
  }
  const warnings = warningsOf(response.headers["warning"])
  if (warnings.length > 0) yield* Effect.logWarning(`${retriever} warns: ${warnings.join("; ")}`)
  const body = yield* readText(retriever, response)
  return yield* Effect.mapError(Effect.fromResult(Json.parse(body)), (reason) => {
    const type = response.headers["content-type"] ?? ""
    const called = type === "" || /json/i.test(type) ? "" : `, sent as ${type}`
    return new RetrieverMalformedJson({ retriever, body: excerpt(body), reason: `${reason}${called}` })
  })
})
