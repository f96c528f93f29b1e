/**
 * The body of a request: bounded in bytes, in time, and in what all bodies hold together.
 *
 * @since 0.2.0
 */
import { ByteSize, Clock, Duration, Effect, Fiber, Result } from "effect"
import { HttpIncomingMessage, type HttpServerRequest, type HttpServerResponse } from "effect/http"
import { Admission } from "./Admission.ts"
import { refusal } from "./answers.ts"

/**
 * @category models
 * @since 0.2.0
 */
export interface Limits {
  /** Bytes of one request. */
  readonly maxBytes: number
  /** Bytes of all requests that are being read at once. */
  readonly maxBytesAtOnce: number
  /** Time for a request to arrive. */
  readonly timeLimit: Duration.Input
}

const close = { connection: "close" }

const decode = (bytes: ArrayBuffer): Result.Result<string, HttpServerResponse.HttpServerResponse> =>
  Result.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    catch: () => refusal("The body is not UTF-8", 400)
  })

/**
 * Reads bodies as text, or gives the answer for one that cannot be taken.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = ({ maxBytes, maxBytesAtOnce, timeLimit }: Limits) => {
  const room = new Admission(maxBytesAtOnce)
  const tooLarge = refusal(`The body is larger than ${maxBytes} bytes`, 413, close)
  const tooSlow = refusal(
    `The body did not arrive within ${Duration.format(Duration.fromInputUnsafe(timeLimit))}`,
    408,
    close
  )

  return Effect.fnUntraced(function*(
    request: HttpServerRequest.HttpServerRequest
  ): Effect.fn.Return<string, HttpServerResponse.HttpServerResponse> {
    const encoding = request.headers["content-encoding"] ?? "identity"
    if (encoding.toLowerCase() !== "identity") {
      return yield* Effect.fail(
        refusal(`The body is packed with ${encoding}: send it as it is`, 415, {
          ...close,
          "accept-encoding": "identity"
        })
      )
    }
    const length = Number(request.headers["content-length"] ?? Number.NaN)
    if (length > maxBytes) return yield* Effect.fail(tooLarge)
    // chunks may become as much as is allowed
    const reserved = Number.isNaN(length) ? maxBytes : length
    if (!room.admit(reserved)) {
      return yield* Effect.fail(
        refusal("Too many bytes are being read", 429, { ...close, "retry-after": String(room.retryAfterSeconds()) })
      )
    }
    const started = yield* Clock.currentTimeMillis
    // to interrupt the reading is to close the connection, which has an answer to carry yet: it goes on until that is sent
    const reading = yield* request.arrayBuffer.pipe(
      Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBytes)),
      Effect.mapError(() => tooLarge),
      Effect.forkChild({ startImmediately: true })
    )
    const bytes = yield* Fiber.join(reading).pipe(
      Effect.timeoutOrElse({ duration: timeLimit, orElse: () => Effect.fail(tooSlow) }),
      Effect.ensuring(Effect.map(Clock.currentTimeMillis, (now) => room.release(reserved, (now - started) / 1000)))
    )
    return yield* Effect.fromResult(decode(bytes))
  })
}
