/**
 * Reads a corpus from disk in constant memory: JSON lines or one array, plain or compressed with gzip, or Parquet with the
 * columns `id` and `contents`, or `id`, `title` and `text`.
 *
 * @since 0.1.0
 */
import { Effect, Result, Stream } from "effect"
import { CorpusUnreadable, fromJson } from "../../domain/Corpus.ts"
import type { Document } from "../../domain/Document.ts"
import * as RecordFile from "../recordFile.ts"

/**
 * The passages of a corpus file in file order, in batches: what indexing wants. Empty lines are skipped; a line or row
 * that is no passage ends the stream with its number. Whether it is Parquet, gzip or text is told from its first bytes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const batches = (path: string): Stream.Stream<ReadonlyArray<Document>, CorpusUnreadable> =>
  RecordFile.batches(path, ["id", "contents", "title", "text"]).pipe(
    Stream.mapError(({ reason }) => new CorpusUnreadable({ path, reason })),
    Stream.mapEffect((records): Effect.Effect<ReadonlyArray<Document>, CorpusUnreadable> => {
      const documents: Array<Document> = []
      for (const { line, value } of records) {
        const parsed = Result.flatMap(value, fromJson)
        if (Result.isFailure(parsed)) {
          return Effect.fail(new CorpusUnreadable({ path, line, reason: parsed.failure }))
        }
        documents.push(parsed.success)
      }
      return Effect.succeed(documents)
    })
  )

/**
 * The passages of a corpus file one by one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stream = (path: string): Stream.Stream<Document, CorpusUnreadable> => Stream.flattenIterable(batches(path))
