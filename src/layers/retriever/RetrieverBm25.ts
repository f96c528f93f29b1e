/**
 * Full-text search inside this process with an inverted index of our own: BM25 as Lucene computes it, thousands of
 * queries a second, for corpora of up to some ten million passages.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Layer, Path, Stream } from "effect"
import type { CorpusUnreadable } from "../../domain/Corpus.ts"
import type { Document } from "../../domain/Document.ts"
import { Retriever } from "../../services/Retriever.ts"
import { incremental } from "../hash.ts"
import * as UserCache from "../userCache.ts"
import { type Bm25Parameters, defaultParameters, PostingsBuilder } from "./bm25/postings.ts"
import * as Reading from "./bm25/read.ts"
import { Searcher } from "./bm25/search.ts"
import * as Writing from "./bm25/write.ts"
import * as CorpusFile from "./CorpusFile.ts"
import type { IndexCorrupt, IndexIo } from "./indexfile/errors.ts"
import type { OpenOptions } from "./indexfile/read.ts"
import * as Turns from "./turns.ts"

export { type Bm25Parameters, defaultParameters, luceneParameters } from "./bm25/postings.ts"
export { open, type OpenIndex } from "./bm25/read.ts"
export { build, type BuildOptions } from "./bm25/write.ts"
export { IndexCorrupt, IndexIo } from "./indexfile/errors.ts"
export type { Description } from "./indexfile/format.ts"
export type { OpenOptions } from "./indexfile/read.ts"

const name = "RetrieverBm25"

/**
 * Searches an index file that `search-r1 index build` or `build` made. The file is checked on opening and stays open
 * until the layer's scope ends.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerIndex = (
  path: string,
  options?: OpenOptions
): Layer.Layer<Retriever, IndexCorrupt | IndexIo> =>
  Layer.effect(
    Retriever,
    Effect.map(Reading.open(path, options), ({ document, postings }) =>
      Turns.make(name, new Searcher(postings), document))
  )

/**
 * Searches passages that are held in memory, through an index that is built now.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <E, R>(
  documents: Stream.Stream<Document, E, R>,
  options?: { readonly parameters?: Bm25Parameters | undefined }
): Layer.Layer<Retriever, E, R> =>
  Layer.effect(
    Retriever,
    Effect.gen(function*() {
      const builder = new PostingsBuilder(options?.parameters ?? defaultParameters)
      const corpus: Array<Document> = []
      yield* Stream.runForEachArray(documents, (batch) =>
        Effect.sync(() => {
          for (const document of batch) {
            builder.add(document.title, document.text)
            corpus.push(document)
          }
        }))
      return Turns.make(name, new Searcher(builder.finish()), (row) => corpus[row] ?? missing)
    })
  )

const missing: Document = { id: "", title: "", text: "" }

/**
 * @category models
 * @since 0.1.0
 */
export interface FileOptions extends OpenOptions, Writing.BuildOptions {
  /** Directory of the index; unless given, `bm25` in the user's cache directory. */
  readonly cacheDirectory?: string | undefined
}

/** Part of the cache key: raise it whenever the same file would give another index. */
const format = "bm25-2"

/** The name of the index of a corpus file: a hash of its bytes and of what else the index depends on. */
const indexPath = Effect.fnUntraced(function*(corpus: string, options: FileOptions | undefined) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const { analyzer, b, k1, roundLengths, titleWeight } = options?.parameters ?? defaultParameters
  const hash = incremental().update(`${format} ${analyzer} ${k1} ${b} ${titleWeight} ${roundLengths}\n`)
  // an unreadable file is reported with its reason by the corpus reader
  yield* Stream.runForEach(fs.stream(corpus), (bytes) => Effect.sync(() => hash.update(bytes))).pipe(Effect.ignore)
  const directory = options?.cacheDirectory ?? paths.join(yield* UserCache.directory, "bm25")
  return paths.join(directory, `${hash.digest("hex")}.idx`)
})

/**
 * Searches a corpus file through an index that is built once and kept under a hash of the file. A damaged index is
 * built again.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFile = (
  corpus: string,
  options?: FileOptions
): Layer.Layer<Retriever, CorpusUnreadable | IndexCorrupt | IndexIo, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    Retriever,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* indexPath(corpus, options)
      const { document, postings } = yield* Reading.open(path, options).pipe(
        Effect.tapErrorTag("IndexCorrupt", (error) =>
          Effect.andThen(
            Effect.logWarning(`${error.message}; it is built again`),
            // it may look like anything by now, which a build would not replace
            Effect.ignore(fs.remove(path))
          )),
        Effect.catch(() =>
          Effect.andThen(Writing.build(CorpusFile.batches(corpus), path, options), Reading.open(path, options))
        )
      )
      return Turns.make(name, new Searcher(postings), document)
    })
  )
