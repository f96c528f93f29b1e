/**
 * Reads a corpus from disk in constant memory: JSON lines or one array, plain or compressed with gzip, or Parquet with the
 * columns `id` and `contents`, or `id`, `title` and `text`.
 *
 * @since 0.1.0
 */
import { Effect, Result, Stream } from "effect"
import { CorpusUnreadable, fromJson } from "../../domain/Corpus.ts"
import { type Document, losesFields } from "../../domain/Document.ts"
import { plural } from "../../domain/Plural.ts"
import { isFields } from "../../domain/RecordFields.ts"
import * as RecordFile from "../recordFile.ts"

/** Warns of the first passage whose `title` and `text` are not read, and counts the others. */
const makeLosses = (path: string) => {
  let count = 0
  return {
    see: (line: number) => {
      count += 1
      return count === 1
        ? Effect.logWarning(
          `${path}:${line}: "contents" is read, as the reference does it, and its "title" and "text" say something else`
        )
        : Effect.void
    },
    end: Effect.suspend(() =>
      count > 1
        ? Effect.logWarning(
          `${path}: ${plural(count, "passage")} ${
            count === 1 ? "has" : "have"
          } a "title" and "text" that say something else`
        )
        : Effect.void
    )
  }
}

/**
 * The passages of a corpus file in file order, in batches: what indexing wants. Empty lines are skipped; a line or row
 * that is no passage ends the stream with its number. Whether it is Parquet, gzip or text is told from its first bytes.
 * Passages with a title and text other than the contents that are read are told in a warning.
 *
 * @category constructors
 * @since 0.1.0
 */
export const batches = (path: string): Stream.Stream<ReadonlyArray<Document>, CorpusUnreadable> =>
  Stream.suspend(() => {
    const losses = makeLosses(path)
    return RecordFile.batches(path, ["id", "contents", "title", "text"]).pipe(
      Stream.mapError(({ reason }) => new CorpusUnreadable({ path, reason })),
      Stream.mapEffect(Effect.fnUntraced(function*(records) {
        const documents: Array<Document> = []
        for (const { line, value } of records) {
          const parsed = Result.flatMap(value, fromJson)
          if (Result.isFailure(parsed)) {
            return yield* new CorpusUnreadable({ path, line, reason: parsed.failure })
          }
          if (Result.isSuccess(value) && isFields(value.success) && losesFields(value.success)) {
            yield* losses.see(line)
          }
          documents.push(parsed.success)
        }
        return documents
      })),
      Stream.concat(Stream.fromEffectDrain(losses.end))
    )
  })

/**
 * The passages of a corpus file one by one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stream = (path: string): Stream.Stream<Document, CorpusUnreadable> => Stream.flattenIterable(batches(path))
