/**
 * The body of an HTTP answer as text: bounded, unpacked, and decoded without a replacement character.
 *
 * @since 0.2.0
 */
// Node's own decompression is what servers' encodings are written for.
// @effect-diagnostics nodeBuiltinImport:off
import { Data, Effect, Result, Stream } from "effect"
import { type HttpClientError, type HttpClientResponse, HttpIncomingMessage } from "effect/http"
import { brotliDecompress, gunzip, inflate, inflateRaw, zstdDecompress } from "node:zlib"

/**
 * The body is larger than it may be.
 *
 * @category errors
 * @since 0.2.0
 */
export class BodyTooLarge extends Data.TaggedError("BodyTooLarge")<{ readonly maxBytes: number }> {}

/**
 * The body cannot be unpacked or is no text.
 *
 * @category errors
 * @since 0.2.0
 */
export class BodyUnreadable extends Data.TaggedError("BodyUnreadable")<{ readonly reason: string }> {}

/** What an answer may hold unless `HttpIncomingMessage.MaxBodySize` says otherwise: 256 MiB. */
const defaultMaxBytes = 2 ** 28

/** The pieces of a body as they arrive, up to the limit; the connection is closed where there is more. */
const readPieces = (response: HttpClientResponse.HttpClientResponse, maxBytes: number) =>
  Effect.suspend(() => {
    const pieces: Array<Uint8Array> = []
    let size = 0
    return response.stream.pipe(
      Stream.runForEach((piece): Effect.Effect<void, BodyTooLarge> => {
        size += piece.length
        if (size > maxBytes) return Effect.fail(new BodyTooLarge({ maxBytes }))
        pieces.push(piece)
        return Effect.void
      }),
      // what `fetch` says of an answer without a body
      Effect.catchIf((error) => error._tag === "HttpClientError" && error.reason._tag === "EmptyBodyError", () =>
        Effect.void),
      Effect.map(() => {
        const whole = new Uint8Array(size)
        let at = 0
        for (const piece of pieces) {
          whole.set(piece, at)
          at += piece.length
        }
        return whole
      })
    )
  })

/** Closes the connection of an answer that nobody wants. */
const abandon = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.raceFirst(Effect.ignore(Stream.runDrain(response.stream)), Effect.yieldNow)

const readBytes = (
  response: HttpClientResponse.HttpClientResponse,
  maxBytes: number
): Effect.Effect<Uint8Array, BodyTooLarge | HttpClientError.HttpClientError> => {
  const length = response.headers["content-length"]
  // a client that unpacks by itself reports the length before
  if (length === undefined || response.headers["content-encoding"] !== undefined) return readPieces(response, maxBytes)
  return Number(length) > maxBytes
    ? Effect.andThen(abandon(response), Effect.fail(new BodyTooLarge({ maxBytes })))
    : Effect.map(response.arrayBuffer, (buffer) => new Uint8Array(buffer))
}

type Unpack = (
  bytes: Uint8Array,
  options: { readonly maxOutputLength: number },
  callback: (error: Error | null, result: Uint8Array) => void
) => void

const unpackers: Readonly<Record<string, ReadonlyArray<Unpack>>> = {
  gzip: [gunzip],
  "x-gzip": [gunzip],
  // some servers leave out the header that the name promises
  deflate: [inflate, inflateRaw],
  br: [brotliDecompress],
  zstd: [zstdDecompress]
}

const attempt = (
  unpack: Unpack,
  bytes: Uint8Array,
  maxBytes: number
): Effect.Effect<Uint8Array, BodyTooLarge | BodyUnreadable> =>
  Effect.callback((resume) =>
    unpack(bytes, { maxOutputLength: maxBytes }, (error, result) => {
      if (error === null) return resume(Effect.succeed(result))
      const tooLarge = "code" in error && error.code === "ERR_BUFFER_TOO_LARGE"
      resume(Effect.fail(tooLarge ? new BodyTooLarge({ maxBytes }) : new BodyUnreadable({ reason: error.message })))
    })
  )

/** What JSON may begin with, and no packed body does: some clients unpack and leave the header as it was. */
const beginsLikeJson = (bytes: Uint8Array): boolean => /^[\s[{"]/.test(String.fromCharCode(bytes[0] ?? 0x20))

const unpack = Effect.fnUntraced(function*(
  bytes: Uint8Array,
  encoding: string,
  maxBytes: number
): Effect.fn.Return<Uint8Array, BodyTooLarge | BodyUnreadable> {
  const [first, second] = unpackers[encoding] ?? []
  if (first === undefined) {
    return beginsLikeJson(bytes)
      ? bytes
      : yield* new BodyUnreadable({ reason: `its body is packed with "${encoding}", which nobody asked for` })
  }
  return yield* attempt(first, bytes, maxBytes).pipe(
    Effect.catchTag(
      "BodyUnreadable",
      (error) =>
        second === undefined ? Effect.fail(error) : Effect.mapError(attempt(second, bytes, maxBytes), () => error)
    ),
    Effect.catchTag("BodyUnreadable", ({ reason }) =>
      beginsLikeJson(bytes)
        ? Effect.succeed(bytes)
        : Effect.fail(new BodyUnreadable({ reason: `its ${encoding} body cannot be unpacked: ${reason}` })))
  )
})

/** The first byte that is not part of a character of UTF-8. */
const firstInvalid = (bytes: Uint8Array): number => {
  const decoder = new TextDecoder()
  const encoder = new TextEncoder()
  const again = encoder.encode(decoder.decode(bytes))
  const mark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
  let at = mark
  while (at < bytes.length && bytes[at] === again[at - mark]) at += 1
  return at
}

const decodeWith = (label: string, bytes: Uint8Array): Result.Result<string, unknown> =>
  Result.try(() => new TextDecoder(label, { fatal: true }).decode(bytes))

/** JSON is UTF-8 whatever a header says (RFC 8259, §8.1); where it is not, the header knows. */
const decode = (bytes: Uint8Array, contentType: string): Result.Result<string, BodyUnreadable> => {
  const text = decodeWith("utf-8", bytes)
  if (Result.isSuccess(text)) return Result.succeed(text.success)
  const charset = /charset\s*=\s*"?([^\s;"]+)/i.exec(contentType)?.[1]
  const named = charset === undefined ? text : decodeWith(charset, bytes)
  if (Result.isSuccess(named)) return Result.succeed(named.success)
  const at = firstInvalid(bytes)
  const byte = (bytes[at] ?? 0).toString(16).padStart(2, "0")
  return Result.fail(new BodyUnreadable({ reason: `byte 0x${byte} at ${at} is no UTF-8` }))
}

/**
 * Reads the whole body. What is larger than `HttpIncomingMessage.MaxBodySize` (256 MiB unless set), packed or not, is
 * not read to its end. `gzip`, `deflate`, `br` and `zstd` are unpacked; a byte order mark is left out.
 *
 * @category decoding
 * @since 0.2.0
 */
export const text = Effect.fnUntraced(function*(
  response: HttpClientResponse.HttpClientResponse
): Effect.fn.Return<string, BodyTooLarge | BodyUnreadable | HttpClientError.HttpClientError> {
  const maxBytes = Number((yield* HttpIncomingMessage.MaxBodySize) ?? defaultMaxBytes)
  let bytes = yield* readBytes(response, maxBytes)
  const encodings = (response.headers["content-encoding"] ?? "").toLowerCase().split(",").map((name) => name.trim())
  for (const encoding of encodings.toReversed()) {
    if (encoding !== "" && encoding !== "identity") bytes = yield* unpack(bytes, encoding, maxBytes)
  }
  return yield* Effect.fromResult(decode(bytes, response.headers["content-type"] ?? ""))
})
