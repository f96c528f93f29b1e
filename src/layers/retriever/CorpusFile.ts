/**
 * Reads a corpus from disk: JSON lines, plain or compressed with gzip, in constant memory.
 *
 * @since 0.1.0
 */
// gzip needs Node's zlib, and a file that feeds it is best read by Node too.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, Result, Stream } from "effect"
import { createReadStream } from "node:fs"
import { open } from "node:fs/promises"
import { pipeline } from "node:stream"
import { createGunzip } from "node:zlib"
import { CorpusUnreadable, parseLine } from "../../domain/Corpus.ts"
import type { Document } from "../../domain/Document.ts"

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "this is a directory, a file of JSON lines is needed",
  EACCES: "permission denied",
  Z_BUF_ERROR: "the gzip stream ends too early: the file is cut off",
  Z_DATA_ERROR: "the gzip stream is damaged"
}

const unreadable = (path: string) => (cause: unknown): CorpusUnreadable => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
  return new CorpusUnreadable({
    path,
    reason: reasons[code] ?? (cause instanceof Error ? cause.message : String(cause))
  })
}

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

const parseLines = (path: string) => {
  let line = 0
  return (lines: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Document>, CorpusUnreadable> => {
    const documents: Array<Document> = []
    for (const text of lines) {
      line += 1
      if (text.trim() === "") continue
      const parsed = parseLine(text)
      if (Result.isFailure(parsed)) {
        return Effect.fail(new CorpusUnreadable({ path, line, reason: parsed.failure }))
      }
      documents.push(parsed.success)
    }
    return Effect.succeed(documents)
  }
}

/**
 * The passages of a corpus file in file order, in batches of about 256 KiB of text: what indexing wants. Empty lines are skipped; a
 * line that is no passage ends the stream with its number.
 *
 * @category constructors
 * @since 0.1.0
 */
export const batches = (path: string): Stream.Stream<ReadonlyArray<Document>, CorpusUnreadable> =>
  Stream.suspend(() =>
    Stream.fromAsyncIterable(read(path), unreadable(path)).pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.chunks,
      Stream.mapEffect(parseLines(path))
    )
  )

/**
 * The passages of a corpus file one by one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stream = (path: string): Stream.Stream<Document, CorpusUnreadable> => Stream.flattenIterable(batches(path))
