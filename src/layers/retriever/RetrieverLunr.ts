/**
 * Full-text search inside this process with lunr: nothing to set up, for corpora of up to some ten thousand passages.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Layer, Path, Stream } from "effect"
import type { CorpusUnreadable } from "../../domain/Corpus.ts"
import type { Document } from "../../domain/Document.ts"
import { Retriever } from "../../services/Retriever.ts"
import * as AtomicFile from "../atomicFile.ts"
import { incremental, sha256 } from "../hash.ts"
import * as SystemReason from "../systemReason.ts"
import * as UserCache from "../userCache.ts"
import * as CorpusFile from "./CorpusFile.ts"
import { Searcher } from "./lunr/search.ts"
import * as Weights from "./lunr/weights.ts"
import * as Turns from "./turns.ts"

/**
 * How far the building of an index is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly indexed: number
  readonly total: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Directory of the stored index; unless given, `lunr` in the user's cache directory. `false` stores nothing.
   */
  readonly cacheDirectory?: string | false | undefined
  /** Called after each batch of a build, not when a stored index is used. Unless given, progress is logged. */
  readonly onProgress?: ((progress: Progress) => Effect.Effect<void>) | undefined
}

const name = "RetrieverLunr"

/** A hash of everything that the index is made from. */
const contentHash = (documents: ReadonlyArray<Document>): string => {
  const hash = incremental().update(Weights.format)
  for (const { id, text, title } of documents) {
    hash.update(`\n${id.length} ${title.length} ${text.length}\n${id}${title}${text}`)
  }
  return hash.digest("hex")
}

/** The stored form: the checksum of the index on the first line, the index as JSON on the second. */
const load = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const content = yield* fs.readFileString(path)
  const newline = content.indexOf("\n")
  const json = content.slice(newline + 1)
  if (sha256(json) !== content.slice(0, newline)) {
    return yield* Effect.fail("its checksum does not match")
  }
  return yield* Effect.try({ try: () => Weights.decode(json), catch: String })
})

const store = Effect.fnUntraced(function*(path: string, index: Weights.Weights) {
  const json = yield* Effect.try({ try: () => Weights.encode(index), catch: String })
  yield* AtomicFile.writeString(path, `${sha256(json)}\n${json}`, { durable: false })
})

const loadOrBuild = Effect.fnUntraced(function*(documents: ReadonlyArray<Document>, options: Options) {
  let reported = 0
  const onProgress = options.onProgress ?? (({ indexed, total }: Progress) => {
    const tenth = Math.floor(10 * indexed / total)
    if (total < 2_000 || tenth === reported) return Effect.void
    reported = tenth
    return Effect.logInfo(`lunr: ${indexed} of ${total} passages indexed`)
  })
  const build = Weights.build(documents, (indexed) => onProgress({ indexed, total: documents.length }))
  if (options.cacheDirectory === false) return yield* build
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const directory = options.cacheDirectory ?? paths.join(yield* UserCache.directory, "lunr")
  const path = paths.join(directory, `${contentHash(documents)}.json`)
  if (yield* fs.exists(path).pipe(Effect.orElseSucceed(() => false))) {
    const stored = yield* load(path).pipe(
      Effect.tapError((reason) => Effect.logWarning(`the index ${path} is built again: ${String(reason)}`)),
      Effect.option
    )
    if (stored._tag === "Some") return stored.value
  }
  const index = yield* build
  yield* store(path, index).pipe(
    Effect.catch((reason) => Effect.logWarning(`the index cannot be kept in ${path}: ${SystemReason.of(reason)}`))
  )
  return index
})

/**
 * Searches the passages of `documents` as lunr scores them (BM25 with k1 1.2 and b 0.75 over title and text, the lengths of
 * which count apart), in any language: see `MultilingualAnalyzer`. Passages with equal scores come in corpus order. All
 * passages are held in memory. The index is stored under a hash of its passages and used again by the next run; a damaged
 * file is built again. Nothing in a query is an operator.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <E, R>(
  documents: Stream.Stream<Document, E, R>,
  options?: Options
): Layer.Layer<Retriever, E, R | FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    Retriever,
    Effect.gen(function*() {
      const corpus = yield* Stream.runCollect(documents)
      const index = yield* loadOrBuild(corpus, options ?? {})
      return Turns.make(name, new Searcher(index), (row) => corpus[row] ?? missing)
    })
  )

const missing: Document = { id: "", title: "", text: "" }

/**
 * Searches a corpus file, see {@link layer} and the module `CorpusFile`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFile = (
  path: string,
  options?: Options
): Layer.Layer<Retriever, CorpusUnreadable, FileSystem.FileSystem | Path.Path> =>
  layer(CorpusFile.stream(path), options)
