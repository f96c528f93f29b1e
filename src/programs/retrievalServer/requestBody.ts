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

/** Values that the JSON of a body holds at most: they take time to read, and a text of any length next to none. */
const mostValues = 1 << 17

/** Bytes that are looked at before others have their turn. */
const stride = 1 << 20

/** Whether there are more values than may be: each begins behind a bracket or a comma outside of texts. */
const holdsTooMany = Effect.fnUntraced(function*(body: ArrayBuffer) {
  // fewer bytes cannot hold them
  if (body.byteLength <= mostValues) return false
  const bytes = new Uint8Array(body)
  let values = 0
  let inText = false
  let at = 0
  for (;;) {
    const isOver = yield* Effect.sync(() => {
      const end = Math.min(bytes.length, at + stride)
      for (; at < end; at++) {
        const byte = bytes[at]
        if (inText) {
          if (byte === 0x5C) at += 1
          else if (byte === 0x22) inText = false
        } else if (byte === 0x22) inText = true
        else if (byte === 0x2C || byte === 0x5B || byte === 0x7B) values += 1
      }
      return at >= bytes.length || values > mostValues
    })
    if (isOver) return values > mostValues
    yield* Effect.yieldNow
  }
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
  const tooMany = refusal(`The body holds more than ${mostValues} values: send fewer at once`, 413)
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
    if (yield* holdsTooMany(bytes)) return yield* Effect.fail(tooMany)
    return yield* Effect.fromResult(decode(bytes))
  })
}
