/**
 * LanceDB as far as it is used here, and loading it.
 *
 * @since 0.1.0
 */
import { Effect, type Path } from "effect"
import { availableParallelism } from "node:os"
import { locate } from "../../optional/load.ts"
import { lance } from "../../optional/packages.ts"
import { PackageUnavailable } from "../../optional/PackageUnavailable.ts"

/**
 * A column of an Arrow table.
 *
 * @category models
 * @since 0.1.0
 */
export interface Column {
  readonly get: (row: number) => unknown
}

/**
 * An Arrow table or record batch.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rows {
  readonly numRows: number
  readonly getChild: (name: string) => Column | null
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Query extends AsyncIterable<Rows> {
  readonly fullTextSearch: (query: object) => Query
  readonly nearestTo: (vector: Float32Array) => VectorQuery
  readonly select: (columns: ReadonlyArray<string>) => Query
  readonly limit: (rows: number) => Query
  readonly where: (predicate: string) => Query
  readonly withRowId: () => Query
  readonly fastSearch: () => Query
  readonly toArrow: () => Promise<Rows | null>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface VectorQuery extends Query {
  readonly column: (name: string) => VectorQuery
  readonly distanceType: (type: "cosine") => VectorQuery
  readonly bypassVectorIndex: () => VectorQuery
  readonly nprobes: (partitions: number) => VectorQuery
  readonly refineFactor: (factor: number) => VectorQuery
  readonly ef: (candidates: number) => VectorQuery
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Table {
  readonly add: (rows: ReadonlyArray<object>) => Promise<unknown>
  readonly countRows: () => Promise<number>
  readonly createIndex: (
    column: string,
    options: { readonly config: object; readonly replace: boolean }
  ) => Promise<void>
  readonly query: () => Query
  readonly takeRowIds: (ids: ReadonlyArray<number>) => Query
  readonly takeOffsets: (offsets: ReadonlyArray<number>) => Query
  readonly optimize: (
    options: { readonly cleanupOlderThan: Date; readonly deleteUnverified: boolean }
  ) => Promise<unknown>
  readonly prewarmIndex: (name: string) => Promise<void>
  readonly close: () => void
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Connection {
  readonly createTable: (name: string, rows: ReadonlyArray<object>) => Promise<Table>
  readonly openTable: (name: string) => Promise<Table>
  readonly tableNames: () => Promise<ReadonlyArray<string>>
  readonly close: () => void
}

/**
 * The package's exports.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lance {
  readonly connect: (uri: string) => Promise<Connection>
  readonly MatchQuery: new(query: string, column: string) => object
  readonly Index: {
    readonly fts: (options: object) => object
    readonly ivfPq: (options: object) => object
    readonly ivfRq: (options: object) => object
    readonly hnswSq: (options: object) => object
  }
}

const isLance = (value: unknown): value is Lance =>
  typeof value === "object" && value !== null && "connect" in value && "MatchQuery" in value && "Index" in value

/**
 * LanceDB reads its settings from the environment when it starts. With as many threads as it takes by itself on a machine
 * of two cores its full-text build waits for itself for ever (lance-format/lance issue 7350 and others), and its log on
 * standard error warns of small clusters hundreds of times.
 */
const configure = (): void => {
  process.env["LANCE_CPU_THREADS"] ??= String(Math.max(4, availableParallelism()))
  process.env["LANCEDB_LOG"] ??= "error"
}

/**
 * Loads LanceDB into this process; it stays loaded.
 *
 * @category constructors
 * @since 0.1.0
 */
export const load: Effect.Effect<Lance, PackageUnavailable, Path.Path> = Effect.gen(function*() {
  const { file, require } = yield* locate(lance)
  return yield* Effect.try({
    try: (): Lance => {
      configure()
      const loaded: unknown = require(file)
      if (!isLance(loaded)) throw new TypeError("it exports something else than expected")
      return loaded
    },
    catch: (cause) =>
      new PackageUnavailable({
        package: lance.name,
        reason: `it cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
        mend: `This program is tested with version ${lance.version}: run "search-r1 index install lance --force"`
      })
  })
})
