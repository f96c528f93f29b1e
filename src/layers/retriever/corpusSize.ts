/**
 * What a corpus file holds, as far as its memory goes.
 *
 * @since 0.2.0
 */
import { Effect, FileSystem, References, Stream } from "effect"
import * as IndexMemory from "../../domain/IndexMemory.ts"
import * as CorpusFile from "./CorpusFile.ts"

/** Passages from which the number of all is estimated. */
const sampled = 2048

/** Bytes of a file for each byte of its passages. */
const packed = (path: string): number => /\.gz$/i.test(path) ? 0.4 : /\.parquet$/i.test(path) ? 0.6 : 1

/** What JSON writes around a passage. */
const perPassage = 30

/**
 * Reads a corpus to its end with `whole`; else its beginning, and estimates the rest by the size of the file.
 *
 * @category readers
 * @since 0.2.0
 */
export const of = Effect.fnUntraced(function*(path: string, { whole }: { readonly whole: boolean }) {
  const fs = yield* FileSystem.FileSystem
  const gatherer = new IndexMemory.Gatherer()
  const passages = CorpusFile.stream(path)
  yield* Stream.runForEachArray(whole ? passages : Stream.take(passages, sampled), (batch) =>
    Effect.sync(() => {
      for (const document of batch) gatherer.add(document)
    })).pipe(
      // whoever searches it reads it again, and says then what is wrong
      Effect.provideService(References.MinimumLogLevel, whole ? yield* References.MinimumLogLevel : "Error")
    )
  const read = gatherer.corpus()
  if (whole || read.passages < sampled) return read
  const size = yield* Effect.option(fs.stat(path))
  const bytes = size._tag === "Some" ? Number(size.value.size) : 0
  const each = packed(path) * (read.utf8Bytes / read.passages + perPassage)
  return gatherer.corpus(Math.max(read.passages, Math.round(bytes / each)))
})
