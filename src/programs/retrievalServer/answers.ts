/**
 * The forms of a server's answers.
 *
 * @since 0.2.0
 */
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
