/**
 * Opens a Lance index and searches it.
 *
 * @since 0.1.0
 */
import { Effect, type FileSystem, Path, type Scope } from "effect"
import type { PackageUnavailable } from "../../optional/PackageUnavailable.ts"
import type { Hit } from "../best.ts"
import { IndexCorrupt, type IndexIo } from "../indexfile/errors.ts"
import type * as StoredVectors from "../storedVectors.ts"
import { type Description, read, tableName, type VectorIndex } from "./description.ts"
import * as Files from "./files.ts"
import { searchedText } from "./indices.ts"
import { load, type Query, type Table, type VectorQuery } from "./library.ts"
import { Passages } from "./passages.ts"
import * as Stored from "./stored.ts"

/**
 * How the nearest vectors are looked for: more of each finds more and takes longer.
 *
 * @category models
 * @since 0.1.0
 */
export interface VectorSearchOptions {
  /** Clusters that are looked into (`ivfPq`, `ivfRq`). Default 20. */
  readonly probes?: number | undefined
  /** Neighbours that are followed (`hnsw`). Default 150. */
  readonly ef?: number | undefined
  /**
   * So many times the wanted passages are compared exactly. Unless given, always the same number of them for up to 85 wanted
   * ones (`hnsw` 64), so that the first ones do not depend on how many are wanted.
   */
  readonly refine?: number | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface OpenOptions extends VectorSearchOptions {
  /** Passages that were found are held in memory up to this many bytes. Default 256 MiB. */
  readonly passageBytesInMemory?: number | undefined
  /** Indexes of at most this many bytes are read on opening, larger ones as searches need them. Default 256 MiB. */
  readonly indexBytesOnOpening?: number | undefined
}

/** Reads the indexes into LanceDB's memory: the first searches are four times as fast. It is no failure to have none. */
const warm = (table: Table, { files, fullText, vectors }: Description, most: number): Effect.Effect<void> => {
  const bytes = Object.entries(files).reduce(
    (sum, [name, file]) => name.includes("/_indices/") ? sum + file.bytes : sum,
    0
  )
  const names = [
    ...(fullText === null ? [] : ["indexed_idx"]),
    ...(vectors === null || vectors.index === "flat" ? [] : ["vector_idx"])
  ]
  return bytes > most
    ? Effect.void
    : Effect.forEach(
      names,
      (name) => Effect.ignore(Effect.tryPromise({ try: () => table.prewarmIndex(name), catch: String })),
      { discard: true }
    )
}

/**
 * An open index. Hits are best first; promises fail when the database does.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenIndex {
  readonly description: Description
  readonly byWords: (query: string, topK: number) => Promise<ReadonlyArray<Hit>>
  /** The nearest by cosine; `exact` compares all. */
  readonly byVector: (query: Float32Array, topK: number, exact: boolean) => Promise<ReadonlyArray<Hit>>
  readonly passages: Passages
  /** Passages with their vectors, by which the embedder is known again; none without vectors. */
  readonly probes: Effect.Effect<ReadonlyArray<StoredVectors.Stored>, IndexCorrupt>
}

const hitsOf = async (
  query: Query,
  limit: number,
  column: string,
  score: (value: number) => number
): Promise<ReadonlyArray<Hit>> => {
  const rows = await query.select(["_rowid", column]).limit(limit).toArrow()
  const ids = rows?.getChild("_rowid")
  const values = rows?.getChild(column)
  const hits: Array<Hit> = []
  for (let at = 0; at < (rows?.numRows ?? 0); at++) {
    hits.push({ row: Number(ids?.get(at)), score: score(Number(values?.get(at))) })
  }
  return hits.sort((a, b) => b.score - a.score || a.row - b.row)
}

/** Passages that are asked for at most to tell which of equally good ones come first. */
const mostTied = 2048

/**
 * The best `topK`, equally good ones by row. LanceDB gives any of those that are equally good at the end of its list: as
 * long as they reach up to the last one wanted, more are asked for.
 *
 * @category combinators
 * @since 0.2.0
 */
export const untied = async (
  ask: (limit: number) => Promise<ReadonlyArray<Hit>>,
  topK: number
): Promise<ReadonlyArray<Hit>> => {
  for (let limit = topK + 1;; limit = Math.min(4 * limit, Math.max(topK + 1, mostTied))) {
    const hits = await ask(limit)
    const last = hits.at(-1)
    const isClear = last === undefined || hits.length < limit || last.score < (hits[topK - 1]?.score ?? 0)
    if (isClear || limit >= mostTied) return hits.slice(0, topK)
  }
}

type Approximate = Exclude<VectorIndex, "flat">

const exactly = (table: Table, vector: Float32Array): VectorQuery =>
  table.query().nearestTo(vector).column("vector").distanceType("cosine").bypassVectorIndex()

/** The passages that an index over vectors brings up to be compared exactly. */
const candidatesFor = (index: Approximate, topK: number, refine: number | undefined): number => {
  if (refine !== undefined) return topK * Math.max(1, Math.ceil(refine))
  let candidates = index === "hnsw" ? 64 : 128
  while (candidates < (index === "hnsw" ? topK : 1.5 * topK)) candidates *= 2
  return candidates
}

const nearly = (
  table: Table,
  vector: Float32Array,
  index: Approximate,
  candidates: number,
  options: OpenOptions | undefined
): VectorQuery => {
  const query = table.query().nearestTo(vector).column("vector").distanceType("cosine").refineFactor(1)
  return index === "hnsw"
    // fewer than it gives back are refused
    ? query.ef(Math.max(options?.ef ?? 150, candidates))
    : query.nprobes(options?.probes ?? 20)
}

const similarity = (distance: number): number => 1 - distance

const noHits: ReadonlyArray<Hit> = []

/**
 * Opens an index that `search-r1 index build --engine lance` made. Files are read as searches need them; nothing is
 * written, so that any number of processes may have it open.
 *
 * @category reading
 * @since 0.1.0
 */
export const open = Effect.fn("LanceIndex.open")(function*(
  directory: string,
  options?: OpenOptions
): Effect.fn.Return<
  OpenIndex,
  IndexCorrupt | IndexIo | PackageUnavailable,
  FileSystem.FileSystem | Path.Path | Scope.Scope
> {
  const path = yield* Path.Path
  const description = yield* read(directory)
  const lance = yield* load
  const attempt = <A>(evaluate: () => Promise<A>) =>
    Effect.tryPromise({
      try: evaluate,
      catch: (cause) =>
        new IndexCorrupt({ path: directory, reason: cause instanceof Error ? cause.message : String(cause) })
    })
  const database = yield* Effect.acquireRelease(
    // a name without a slash would be one of LanceDB's cloud
    attempt(() => lance.connect(path.resolve(directory))),
    (connection) => Effect.sync(() => connection.close())
  )
  const { documents, fullText } = description
  const table = documents === 0 ? undefined : yield* Effect.acquireRelease(
    attempt(() => database.openTable(tableName)),
    (table) => Effect.sync(() => table.close())
  )
  if (table === undefined) {
    return {
      description,
      byWords: () => Promise.resolve(noHits),
      byVector: () => Promise.resolve(noHits),
      passages: new Passages({
        takeRowIds: () => {
          throw new Error("the index is empty")
        }
      }, 0),
      probes: Effect.succeed([])
    }
  }
  const rows = yield* attempt(() => table.countRows())
  if (rows !== documents) {
    return yield* new IndexCorrupt({
      path: directory,
      reason: `it holds ${rows} passages instead of ${documents}`
    })
  }
  yield* warm(table, description, options?.indexBytesOnOpening ?? 1 << 28)
  return {
    description,
    byWords: (query, topK) => {
      const terms = fullText === null || topK <= 0 ? "" : searchedText(query)
      return terms === ""
        ? Promise.resolve(noHits)
        : untied((limit) =>
          hitsOf(
            table.query().fullTextSearch(new lance.MatchQuery(terms, "indexed")).fastSearch(),
            limit,
            "_score",
            (score) => score
          ), topK)
    },
    byVector: async (query, topK, exact) => {
      if (topK <= 0 || query.every((value) => value === 0)) return noHits
      const index = description.vectors?.index ?? "flat"
      if (exact || index === "flat") {
        return await untied((limit) => hitsOf(exactly(table, query), limit, "_distance", similarity), topK)
      }
      const candidates = candidatesFor(index, topK, options?.refine)
      const hits = await hitsOf(nearly(table, query, index, candidates, options), candidates, "_distance", similarity)
      return hits.slice(0, topK)
    },
    passages: new Passages(table, options?.passageBytesInMemory ?? 1 << 28),
    probes: description.vectors === null
      ? Effect.succeed([])
      : attempt(() => description.probes === undefined ? Stored.chosen(table) : Stored.at(table, description.probes))
  }
})

/**
 * Reads every file of an index and compares the checksums.
 *
 * @category reading
 * @since 0.1.0
 */
export const verify = Effect.fn("LanceIndex.verify")(function*(
  directory: string
): Effect.fn.Return<Description, IndexCorrupt | IndexIo, FileSystem.FileSystem | Path.Path> {
  const description = yield* read(directory)
  yield* Files.verify(directory, description)
  return description
})
