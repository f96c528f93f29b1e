/**
 * Reads a corpus from disk in constant memory: JSON lines, plain or compressed with gzip, or Parquet with the columns
 * `id` and `contents`, or `id`, `title` and `text`.
 *
 * @since 0.1.0
 */
import { Effect, Result, Stream } from "effect"
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects
} from "hyparquet"
import { CorpusUnreadable, fromJson, parseLine } from "../../domain/Corpus.ts"
import type { Document } from "../../domain/Document.ts"
import * as TextFile from "../textFile.ts"

/** Parses a batch of lines or rows, which are numbered from 1 over all batches. */
const parseAll = <A>(
  path: string,
  isEmpty: (value: A) => boolean,
  parse: (value: A) => Result.Result<Document, string>
) => {
  let line = 0
  return (values: ReadonlyArray<A>): Effect.Effect<ReadonlyArray<Document>, CorpusUnreadable> => {
    const documents: Array<Document> = []
    for (const value of values) {
      line += 1
      if (isEmpty(value)) continue
      const parsed = parse(value)
      if (Result.isFailure(parsed)) {
        return Effect.fail(new CorpusUnreadable({ path, line, reason: parsed.failure }))
      }
      documents.push(parsed.success)
    }
    return Effect.succeed(documents)
  }
}

const lineBatches = (path: string): Stream.Stream<ReadonlyArray<Document>, CorpusUnreadable> =>
  TextFile.stream(path).pipe(
    Stream.mapError(({ path, reason }) => new CorpusUnreadable({ path, reason })),
    Stream.splitLines,
    Stream.chunks,
    Stream.mapEffect(parseAll(path, (line) => line.trim() === "", parseLine))
  )

/** Rows read at once. */
const rowsPerBatch = 4096

const fromRow = (row: unknown): Result.Result<Document, string> => {
  const id = typeof row === "object" && row !== null && "id" in row ? row.id : undefined
  return fromJson(typeof id === "bigint" ? { ...Object(row), id: String(id) } : row)
}

const parquetBatches = (path: string): Stream.Stream<ReadonlyArray<Document>, CorpusUnreadable> => {
  const unreadable = (cause: unknown) =>
    new CorpusUnreadable({ path, reason: cause instanceof Error ? cause.message : String(cause) })
  const readRows = (file: AsyncBuffer, metadata: FileMetaData, rowStart: number) =>
    Effect.tryPromise({
      try: () =>
        parquetReadObjects({
          file,
          metadata,
          rowStart,
          rowEnd: Math.min(Number(metadata.num_rows), rowStart + rowsPerBatch)
        }),
      catch: unreadable
    })
  return Stream.unwrap(Effect.gen(function*() {
    const file = yield* Effect.tryPromise({ try: () => asyncBufferFromFile(path), catch: unreadable })
    const metadata = yield* Effect.tryPromise({ try: () => parquetMetadataAsync(file), catch: unreadable })
    const starts = Array.from(
      { length: Math.ceil(Number(metadata.num_rows) / rowsPerBatch) },
      (_, batch) => batch * rowsPerBatch
    )
    return Stream.fromArray(starts).pipe(
      Stream.mapEffect((start) => readRows(file, metadata, start)),
      Stream.mapEffect(parseAll<unknown>(path, () => false, fromRow))
    )
  }))
}

/**
 * The passages of a corpus file in file order, in batches: what indexing wants. Empty lines are skipped; a line or row
 * that is no passage ends the stream with its number. A name that ends in `.parquet` means Parquet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const batches = (path: string): Stream.Stream<ReadonlyArray<Document>, CorpusUnreadable> =>
  Stream.suspend(() => path.toLowerCase().endsWith(".parquet") ? parquetBatches(path) : lineBatches(path))

/**
 * The passages of a corpus file one by one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stream = (path: string): Stream.Stream<Document, CorpusUnreadable> => Stream.flattenIterable(batches(path))
