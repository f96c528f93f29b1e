/**
 * Reads text files as streams, plain or compressed with gzip, in constant memory.
 *
 * @since 0.1.0
 */
// gzip needs Node's zlib, and a file that feeds it is best read by Node too.
// @effect-diagnostics nodeBuiltinImport:off
import { Schema, Stream } from "effect"
import { createReadStream } from "node:fs"
import { open } from "node:fs/promises"
import { pipeline } from "node:stream"
import { createGunzip } from "node:zlib"

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

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "this is a directory, a file is needed",
  EACCES: "permission denied",
  Z_BUF_ERROR: "the gzip stream ends too early: the file is cut off",
  Z_DATA_ERROR: "the gzip stream is damaged"
}

/**
 * Why a file could not be opened or read, in words, where the cause is one of the usual ones.
 *
 * @category getters
 * @since 0.1.0
 */
export const reasonOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause ? reasons[String(cause.code)] : undefined

const unreadable = (path: string) => (cause: unknown): FileUnreadable =>
  new FileUnreadable({
    path,
    reason: reasonOf(cause) ?? (cause instanceof Error ? cause.message : String(cause))
  })

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
 * The text of a file in pieces of about 256 KiB.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stream = (path: string): Stream.Stream<string, FileUnreadable> =>
  Stream.suspend(() => Stream.fromAsyncIterable(read(path), unreadable(path)).pipe(Stream.decodeText()))
