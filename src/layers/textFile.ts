/**
 * Reads text files as streams, plain or compressed with gzip, in constant memory.
 *
 * @since 0.1.0
 */
// gzip needs Node's zlib, and a file that feeds it is best read by Node too.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, type PlatformError, Result, Schema, Stream } from "effect"
import { createReadStream } from "node:fs"
import { open } from "node:fs/promises"
import { pipeline } from "node:stream"
import { createGunzip } from "node:zlib"
import * as SystemReason from "./systemReason.ts"
import * as Utf8 from "./utf8.ts"

/**
 * A file could not be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class FileUnreadable extends Schema.TaggedError<FileUnreadable>()("FileUnreadable", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}: ${this.reason}`
  }
}

const unreadable = (path: string) => (cause: unknown): FileUnreadable =>
  new FileUnreadable({ path, reason: SystemReason.of(cause) })

/** Whether the file begins with gzip's magic bytes, whatever its name is. */
const isGzip = async (path: string): Promise<boolean> => {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(2), 0, 2, 0)
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b
  } finally {
    await file.close()
  }
}

async function* read(path: string): AsyncGenerator<Uint8Array> {
  const gzip = await isGzip(path)
  const file = createReadStream(path, { highWaterMark: 1 << 18 })
  // the callback keeps Node from reporting an error twice: the iteration raises it
  yield* gzip ? pipeline(file, createGunzip({ chunkSize: 1 << 18 }), () => {}) : file
}

/**
 * The bytes of a file, decompressed where it is gzip, in pieces of about 256 KiB.
 *
 * @category constructors
 * @since 0.2.0
 */
export const bytes = (path: string): Stream.Stream<Uint8Array, FileUnreadable> =>
  Stream.suspend(() => Stream.fromAsyncIterable(read(path), unreadable(path)))

const hint = "Is the file in another encoding? iconv -f ENCODING -t UTF-8 OLD > NEW"

/**
 * Decodes bytes as UTF-8. What is none is read as U+FFFD, told in a warning with the line of the first such byte, and
 * counted in another one at the end. Bytes that are no text at all, or UTF-16, are a failure. `name` stands in messages.
 *
 * @category combinators
 * @since 0.2.0
 */
export const decode =
  (name: string) => <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<string, E | FileUnreadable, R> =>
    Stream.suspend(() => {
      const utf8 = Utf8.decoder()
      /** The beginning, until there is enough of it to tell what it is. */
      let head: Uint8Array | undefined = new Uint8Array()
      let lines = 0
      const tell = Effect.fnUntraced(function*({ broken, text }: Utf8.Piece) {
        const [line] = broken
        if (lines === 0 && line !== undefined) {
          yield* Effect.logWarning(`${name}:${line}: bytes that are no UTF-8 are read as \uFFFD. ${hint}`)
        }
        lines += broken.length
        return text
      })
      const begin = (bytes: Uint8Array) => {
        head = undefined
        const reason = Utf8.noText(bytes)
        return reason === undefined
          ? tell(utf8.push(bytes))
          : Effect.fail(new FileUnreadable({ path: name, reason }))
      }
      const push = (piece: Uint8Array) => {
        if (head === undefined) return tell(utf8.push(piece))
        head = Buffer.concat([head, piece])
        return head.length < Utf8.headLength ? Effect.succeed("") : begin(head)
      }
      const end = Effect.gen(function*() {
        const text = (head === undefined ? "" : yield* begin(head)) + (yield* tell(utf8.end()))
        if (lines > 1) yield* Effect.logWarning(`${name}: ${lines} lines hold bytes that are no UTF-8`)
        return text
      })
      return bytes.pipe(
        Stream.mapEffect(push),
        Stream.concat(Stream.fromEffect(end)),
        Stream.filter((text) => text !== "")
      )
    })

/**
 * The text of a file in pieces of about 256 KiB, decoded by {@link decode}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stream = (path: string): Stream.Stream<string, FileUnreadable> =>
  Stream.suspend(() => bytes(path).pipe(decode(path)))

/**
 * The text of a small file, such as a configuration, which must be UTF-8 from its first byte to its last.
 *
 * @category constructors
 * @since 0.2.0
 */
export const whole = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<string, FileUnreadable | PlatformError.PlatformError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const text = Utf8.whole(yield* fs.readFile(path))
  return Result.isSuccess(text) ? text.success : yield* new FileUnreadable({ path, reason: text.failure })
})
