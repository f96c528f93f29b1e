/**
 * Search in a LanceDB on disk: words by BM25, meanings by vectors, or both, for corpora that memory does not hold.
 * `@lancedb/lancedb` is an optional package.
 *
 * @since 0.1.0
 */
// How many processors there are has no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, type FileSystem, Layer, type Path, Semaphore } from "effect"
import { availableParallelism } from "node:os"
import type { ScoredDocument } from "../../domain/Document.ts"
import { analyze } from "../../domain/MultilingualAnalyzer.ts"
import * as SearchQuery from "../../domain/SearchQuery.ts"
import { Embedder } from "../../services/Embedder.ts"
import { Retriever, type RetrieverError, RetrieverFailed, RetrieverUnexpectedShape } from "../../services/Retriever.ts"
import type { PackageUnavailable } from "../optional/PackageUnavailable.ts"
import type { Hit } from "./best.ts"
import * as Fusion from "./fusion.ts"
import { type EmbedderMismatch, IndexCorrupt, type IndexIo } from "./indexfile/errors.ts"
import type { Description } from "./lance/description.ts"
import * as Opening from "./lance/open.ts"
import * as StoredVectors from "./storedVectors.ts"

export { PackageUnavailable } from "../optional/PackageUnavailable.ts"
export { EmbedderMismatch, IndexCorrupt, IndexIo } from "./indexfile/errors.ts"
export { build, type BuildOptions } from "./lance/build.ts"
export { type Description, read, VectorIndex } from "./lance/description.ts"
export { open, type OpenIndex, type OpenOptions, verify } from "./lance/open.ts"

const name = "RetrieverLance"

/**
 * How an index is searched: by words (BM25, k1 1.2, b 0.75), by all vectors, by the index over them, or by words and
 * vectors with their rankings fused.
 *
 * @category models
 * @since 0.1.0
 */
export type Mode = "words" | "flat" | "ann" | "hybrid"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options extends Opening.OpenOptions {
  /** Unless given, `hybrid` where the index can, otherwise `words` or `ann`. */
  readonly mode?: Mode | undefined
  /** Passages that `hybrid` takes of each ranking. Default 100, and never fewer than are wanted. */
  readonly candidates?: number | undefined
  /** What the ranking of the words, and that of the vectors, counts in `hybrid`. Default 1 each. */
  readonly weights?: readonly [words: number, vectors: number] | undefined
}

/** Why an index cannot be searched in a mode; undefined where it can. */
const refusal = ({ fullText, vectors }: Description, mode: Mode): string | undefined =>
  mode !== "words" && vectors === null
    ? `it holds no vectors, which mode ${mode} needs; build it with an embedder`
    : (mode === "words" || mode === "hybrid") && fullText === null
    ? `it holds no index of words, which mode ${mode} needs; build it with one`
    : undefined

const defaultMode = ({ fullText, vectors }: Description): Mode =>
  vectors === null ? "words" : fullText === null ? "ann" : "hybrid"

/**
 * LanceDB has its own threads: so many searches are under way at once, and the others wait for their turn. Given more,
 * LanceDB leaves the first of them until the last.
 */
const concurrency = Math.max(16, 8 * availableParallelism())

const make = (
  { byVector, byWords, description, passages }: Opening.OpenIndex,
  mode: Mode,
  embedder: Embedder["Service"] | undefined,
  options: Options | undefined
): Retriever["Service"] => {
  const turns = Semaphore.makeUnsafe(concurrency)
  const attempt = <A>(evaluate: () => Promise<A>) =>
    Effect.tryPromise({ try: evaluate, catch: (cause) => new RetrieverFailed({ retriever: name, cause }) })

  const vectorsOf = (
    queries: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<Float32Array>, RetrieverError> =>
    embedder === undefined || mode === "words" || description.documents === 0
      ? Effect.succeed([])
      : Effect.flatMap(embedder.queries(queries), (vectors) => {
        const wrong = vectors.find(({ length }) => length !== description.dimensions)
        return wrong === undefined
          ? Effect.succeed(vectors)
          : Effect.fail(
            new RetrieverUnexpectedShape({
              retriever: embedder.name,
              reason: `a vector of ${wrong.length} dimensions for an index of ${description.dimensions}`
            })
          )
      })

  const hits = async (query: string, vector: Float32Array | undefined, topK: number): Promise<ReadonlyArray<Hit>> => {
    if (mode === "words") return byWords(query, topK)
    if (vector === undefined) return []
    if (mode !== "hybrid") return byVector(vector, topK, mode === "flat")
    const candidates = Math.max(topK, options?.candidates ?? 100)
    const rankings = await Promise.all([byWords(query, candidates), byVector(vector, candidates, false)])
    return Fusion.reciprocalRank(rankings, { key: ({ row }) => row, weights: options?.weights, topK })
  }

  return Retriever.fromSearchMany(
    name,
    Effect.fn("RetrieverLance.searchMany")(function*(queries, { topK }) {
      if (queries.length === 0 || topK <= 0) return queries.map(() => [])
      const vectors = yield* vectorsOf(queries)
      const found = yield* Effect.forEach(
        queries,
        (query, index) => turns.withPermit(attempt(() => hits(query, vectors[index], topK))),
        { concurrency }
      )
      const documents = yield* attempt(() => passages.get(found.flatMap((rows) => rows.map(({ row }) => row))))
      return found.map((rows) =>
        rows.flatMap(({ row, score }): ReadonlyArray<ScoredDocument> => {
          const document = documents.get(row)
          return document === undefined ? [] : [{ ...document, score }]
        })
      )
    }),
    { countTerms: mode === "words" || mode === "hybrid" ? SearchQuery.countTerms(analyze) : undefined }
  )
}

const expectMode = Effect.fnUntraced(function*(path: string, description: Description, mode: Mode) {
  const reason = refusal(description, mode)
  if (reason !== undefined) return yield* new IndexCorrupt({ path, reason })
})

const openedWords = Effect.fnUntraced(function*(path: string, options: Options | undefined) {
  const index = yield* Opening.open(path, options)
  yield* expectMode(path, index.description, "words")
  return make(index, "words", undefined, options)
})

const opened = Effect.fnUntraced(function*(
  path: string,
  options: Options | undefined,
  embedder: Embedder["Service"]
) {
  const index = yield* Opening.open(path, options)
  const { dimensions, vectors } = index.description
  const mode = options?.mode ?? defaultMode(index.description)
  yield* expectMode(path, index.description, mode)
  if (mode !== "words" && vectors !== null) {
    yield* StoredVectors.expectEmbedder(
      StoredVectors.recorded(path, "lance", { dimensions, embedder: vectors.embedder }),
      embedder,
      yield* index.probes
    )
  }
  return make(index, mode, embedder, options)
})

/**
 * Searches the words of an index that `search-r1 index build --engine lance` or `build` made.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWords = (
  path: string,
  options?: Omit<Options, "mode" | "weights" | "candidates">
): Layer.Layer<Retriever, IndexCorrupt | IndexIo | PackageUnavailable, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(Retriever, openedWords(path, options))

/**
 * Searches an index in any mode. The embedder must be that of the passages: it embeds some of them again on opening, and
 * another one is refused. Scores are cosines in `flat` and `ann`, and
 * sums of reciprocal ranks in `hybrid`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  path: string,
  options?: Options
): Layer.Layer<
  Retriever,
  IndexCorrupt | IndexIo | PackageUnavailable | EmbedderMismatch | RetrieverError,
  Embedder | FileSystem.FileSystem | Path.Path
> => Layer.effect(Retriever, Effect.flatMap(Embedder, (embedder) => opened(path, options, embedder)))
