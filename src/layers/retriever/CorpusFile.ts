/**
 * Reads a corpus from disk: JSON lines, plain or compressed with gzip, in constant memory.
 *
 * @since 0.1.0
 */
import { Effect, Result, Stream } from "effect"
import { CorpusUnreadable, parseLine } from "../../domain/Corpus.ts"
import type { Document } from "../../domain/Document.ts"
import * as TextFile from "../textFile.ts"

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
    TextFile.stream(path).pipe(
      Stream.mapError(({ reason }) => new CorpusUnreadable({ path, reason })),
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
