/**
 * The forms of a server's answers.
 *
 * @since 0.2.0
 */
import { Effect, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import * as Wire from "../../domain/RetrievalWire.ts"
import type { RetrieverError } from "../../services/Retriever.ts"

/**
 * @category constructors
 * @since 0.2.0
 */
export const json = (
  body: string,
  status = 200,
  headers: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(body, { status, contentType: "application/json", headers })

const encoder = new TextEncoder()

/** Larger answers are sent piece by piece. */
const largestWhole = 1 << 20

/**
 * The answer to several queries. Other requests have their turn between two of them.
 *
 * @category constructors
 * @since 0.2.0
 */
export const inParts = <A>(encode: (hits: A) => string) =>
  Effect.fnUntraced(function*(results: ReadonlyArray<A>) {
    const parts = yield* Effect.forEach(results, (hits) => Effect.sync(() => encode(hits)))
    const pieces = Wire.encodeResult(parts)
    return pieces.reduce((sum, { length }) => sum + length, 0) <= largestWhole
      ? json(pieces.join(""))
      : HttpServerResponse.stream(
        Stream.fromIterable(pieces).pipe(
          Stream.rechunk(64),
          Stream.mapArray((texts) => [encoder.encode(texts.join(""))])
        ),
        { contentType: "application/json" }
      )
  })

/**
 * An error without a field, in FastAPI's form.
 *
 * @category constructors
 * @since 0.2.0
 */
export const refusal = (
  detail: string,
  status: number,
  headers?: Readonly<Record<string, string>>
): HttpServerResponse.HttpServerResponse => json(Wire.encodeDetail(detail), status, headers)

/**
 * The status that tells a client what to do: 503 and 504 are worth another attempt.
 *
 * @category getters
 * @since 0.2.0
 */
export const statusOf = (error: RetrieverError): number => {
  switch (error._tag) {
    case "RetrieverTimeout":
      return 504
    case "RetrieverUnavailable":
    case "RetrieverQuotaExceeded":
      return 503
    case "RetrieverRejected":
    case "RetrieverMalformedJson":
    case "RetrieverUnexpectedShape":
      return 502
    case "RetrieverFailed":
      return 500
  }
}
