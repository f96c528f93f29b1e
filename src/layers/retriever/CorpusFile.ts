/**
 * Reads a corpus from disk in constant memory: JSON lines, plain or compressed with gzip, or Parquet with the columns
 * `id` and `contents`, or `id`, `title` and `text`.
 *
 * @since 0.1.0
 */
import { Effect, Result, Stream } from "effect"
import { CorpusUnreadable, fromJson, parseLine } from "../../domain/Corpus.ts"
import type { Document } from "../../domain/Document.ts"
import * as ParquetFile from "../parquetFile.ts"
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

const unreadable = ({ path, reason }: TextFile.FileUnreadable) => new CorpusUnreadable({ path, reason })

const lineBatches = (path: string): Stream.Stream<ReadonlyArray<Document>, CorpusUnreadable> =>
  TextFile.stream(path).pipe(
    Stream.mapError(unreadable),
    Stream.splitLines,
    Stream.chunks,
    Stream.mapEffect(parseAll(path, (line) => line.trim() === "", parseLine))
  )

const parquetBatches = (path: string): Stream.Stream<ReadonlyArray<Document>, CorpusUnreadable> =>
  ParquetFile.batches(path, ["id", "contents", "title", "text"]).pipe(
    Stream.mapError(unreadable),
    Stream.mapEffect(parseAll<unknown>(path, () => false, fromJson))
  )

/**
 * The passages of a corpus file in file order, in batches: what indexing wants. Empty lines are skipped; a line or row
 * that is no passage ends the stream with its number. Whether it is Parquet, gzip or text is told from its first bytes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const batches = (path: string): Stream.Stream<ReadonlyArray<Document>, CorpusUnreadable> =>
  Stream.unwrap(
    Effect.map(
      Effect.mapError(ParquetFile.isParquet(path), unreadable),
      (parquet) => parquet ? parquetBatches(path) : lineBatches(path)
    )
  )

/**
 * The passages of a corpus file one by one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stream = (path: string): Stream.Stream<Document, CorpusUnreadable> => Stream.flattenIterable(batches(path))
