/**
 * Full-text search inside this process with lunr: nothing to set up, for corpora of up to some ten thousand passages.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Layer, Path, Stream } from "effect"
import lunr from "lunr"
import type { CorpusUnreadable } from "../../domain/Corpus.ts"
import type { Document, ScoredDocument } from "../../domain/Document.ts"
import { Retriever, RetrieverFailed } from "../../services/Retriever.ts"
import * as AtomicFile from "../atomicFile.ts"
import { incremental, sha256 } from "../hash.ts"
import * as SystemReason from "../systemReason.ts"
import * as UserCache from "../userCache.ts"
import * as CorpusFile from "./CorpusFile.ts"

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

/** Part of the cache key: raise it whenever the same passages would give another index. */
const format = `1-lunr-${lunr.version}`

/** Passages indexed between two chances for other fibers. */
const batchSize = 128

const edges = /^[^\p{L}\p{N}_]+|[^\p{L}\p{N}_]+$/gu

// lunr's own trimmer knows ASCII letters only: it empties "Москва" and cuts "Élan" to "lan"
const trimmer = (token: lunr.Token): lunr.Token => token.update((text) => text.replaceAll(edges, ""))
lunr.Pipeline.registerFunction(trimmer, "effect-search-r1/trimmer")

const build = Effect.fnUntraced(function*(
  documents: ReadonlyArray<Document>,
  onProgress: (progress: Progress) => Effect.Effect<void>
) {
  const builder = new lunr.Builder()
  builder.pipeline.add(trimmer, lunr.stopWordFilter, lunr.stemmer)
  builder.searchPipeline.add(trimmer, lunr.stemmer)
  builder.ref("row")
  builder.field("title")
  builder.field("text")
  for (let start = 0; start < documents.length; start += batchSize) {
    const end = Math.min(documents.length, start + batchSize)
    for (let row = start; row < end; row++) {
      const document = documents[row]
      // rows, not ids, are the references: a corpus may repeat an id
      if (document !== undefined) builder.add({ row, title: document.title, text: document.text })
    }
    yield* onProgress({ indexed: end, total: documents.length })
    yield* Effect.yieldNow
  }
  return builder.build()
})

/** A hash of everything that the index is made from. */
const contentHash = (documents: ReadonlyArray<Document>): string => {
  const hash = incremental().update(format)
  for (const { id, text, title } of documents) {
    hash.update(`\n${id.length} ${title.length} ${text.length}\n${id}${title}${text}`)
  }
  return hash.digest("hex")
}

const deserialize = (json: string): lunr.Index => lunr.Index.load(JSON.parse(json))

const serialize = (index: lunr.Index): string => JSON.stringify(index)

/** The stored form: the checksum of the index on the first line, the index as JSON on the second. */
const load = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const content = yield* fs.readFileString(path)
  const newline = content.indexOf("\n")
  const json = content.slice(newline + 1)
  if (sha256(json) !== content.slice(0, newline)) {
    return yield* Effect.fail("its checksum does not match")
  }
  return yield* Effect.try({ try: () => deserialize(json), catch: String })
})

const store = Effect.fnUntraced(function*(path: string, index: lunr.Index) {
  const json = yield* Effect.try({ try: () => serialize(index), catch: String })
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
  if (options.cacheDirectory === false) return yield* build(documents, onProgress)
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
  const index = yield* build(documents, onProgress)
  yield* store(path, index).pipe(
    Effect.catch((reason) => Effect.logWarning(`the index cannot be kept in ${path}: ${SystemReason.of(reason)}`))
  )
  return index
})

/** Best first; passages with equal scores in corpus order, whatever order lunr happens to visit them in. */
const lookup = (
  index: lunr.Index,
  documents: ReadonlyArray<Document>,
  query: string,
  topK: number
): ReadonlyArray<ScoredDocument> => {
  // terms are added one by one because `search` would read + - ~ ^ : * in the text as operators
  const counts = new Map<string, number>()
  for (const token of lunr.tokenizer(query.replaceAll(/\p{C}+/gu, " "))) {
    const term = token.toString()
    counts.set(term, (counts.get(term) ?? 0) + 1)
  }
  if (counts.size === 0 || topK <= 0) return []
  const hits = index.query((builder) => {
    // a term's boost is its weight in the query vector: n times the term once is the term n times, in less time
    for (const [term, boost] of counts) builder.term(term, { boost })
  })
  return hits
    .map(({ ref, score }) => ({ row: Number(ref), score }))
    .sort((a, b) => b.score - a.score || a.row - b.row)
    .slice(0, topK)
    .flatMap(({ row, score }) => {
      const document = documents[row]
      return document === undefined ? [] : [{ ...document, score }]
    })
}

/**
 * Searches the passages of `documents` by BM25 with lunr's defaults (k1 1.2, b 0.75, English stemming and stop words)
 * over title and text. All passages are held in memory. The index is stored under a hash of its passages and used again
 * by the next run; a damaged file is built again.
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
      return Retriever.fromSearch(
        name,
        Effect.fn("RetrieverLunr.search")((query, { topK }) =>
          Effect.try({
            try: () => lookup(index, corpus, query, topK),
            catch: (cause) => new RetrieverFailed({ retriever: name, cause })
          })
        )
      )
    })
  )

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
