/**
 * Builds a Lance index from a stream of passages, in steps that a later run goes on from.
 *
 * @since 0.1.0
 */
// CRC-32 has no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, type FileSystem, type Path, Stream } from "effect"
import { crc32 } from "node:zlib"
import { contents, type Document } from "../../../domain/Document.ts"
import type { EmbedderSpec } from "../../../domain/EmbedderSpec.ts"
import { analyze } from "../../../domain/MultilingualAnalyzer.ts"
import * as ProbePassages from "../../../domain/ProbePassages.ts"
import type { Embedder } from "../../../services/Embedder.ts"
import type { RetrieverError } from "../../../services/Retriever.ts"
import type { PackageUnavailable } from "../../optional/PackageUnavailable.ts"
import * as ReplaceDirectory from "../../replaceDirectory.ts"
import * as SystemReason from "../../systemReason.ts"
import * as WriterLock from "../../writerLock.ts"
import { type EmbedderMismatch, IndexIo, ioOf } from "../indexfile/errors.ts"
import * as StoredVectors from "../storedVectors.ts"
import { type Description, type Plan, tableName, type VectorIndex, write } from "./description.ts"
import * as Files from "./files.ts"
import { indexedText, textIndex, vectorIndex } from "./indices.ts"
import { type Connection, type Lance, load, type Table } from "./library.ts"
import * as Staging from "./staging.ts"
import * as Stored from "./stored.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface BuildOptions {
  /** Lets words be searched. Default true. */
  readonly fullText?: boolean | undefined
  /** How many times the words of a title count. Default 3. */
  readonly titleWeight?: number | undefined
  /** Lets meanings be searched: what embeds, its description, and the index over the vectors (default `ivfRq`). */
  readonly vectors?: {
    readonly embedder: Embedder["Service"]
    readonly spec: EmbedderSpec
    readonly index?: VectorIndex | undefined
  } | undefined
  /** Begins anew even where an earlier build was cut off. */
  readonly restart?: boolean | undefined
  /** Passages written, and embedded, at a time: what a build that is cut off loses at most. Default 4096, or 512. */
  readonly batchSize?: number | undefined
  /** Told the number of passages after each batch. */
  readonly onProgress?: ((documents: number) => Effect.Effect<void>) | undefined
  /** Told what is done once all passages are there. */
  readonly onStage?: ((stage: string) => Effect.Effect<void>) | undefined
}

/** The default of BM25 too. */
const defaultTitleWeight = 3

const planOf = (options: BuildOptions | undefined): Plan => ({
  fullText: options?.fullText === false
    ? null
    : { analyzer: "multilingual", titleWeight: options?.titleWeight ?? defaultTitleWeight },
  vectors: options?.vectors === undefined
    ? null
    : { embedder: options.vectors.spec, index: options.vectors.index ?? "ivfRq" }
})

const attempt = (path: string) => <A>(evaluate: () => Promise<A>) =>
  Effect.tryPromise({
    try: evaluate,
    catch: (cause) => new IndexIo({ path, reason: SystemReason.of(cause) })
  })

/** What the passage was when it was written: a build goes on only over the same ones. */
const checkOf = ({ id, text, title }: Document): number => crc32(JSON.stringify([id, title, text]))

const indexed = (document: Document, titleWeight: number): string => {
  const title = analyze(document.title)
  return indexedText([...Array.from({ length: titleWeight }, () => title).flat(), ...analyze(document.text)])
}

/** The checks of the passages that an earlier run has written, in their order. */
const writtenChecks = (table: Table): Promise<ReadonlyArray<number>> =>
  (async () => {
    const checks: Array<number> = []
    for await (const rows of table.query().select(["check"])) {
      const column = rows.getChild("check")
      for (let row = 0; row < rows.numRows; row++) checks.push(Number(column?.get(row)))
    }
    return checks
  })()

/** Takes what an earlier run has written from the stream, and fails where it was of other passages. */
const unwritten = (checks: ReadonlyArray<number>, directory: string) => {
  let seen = 0
  return (batch: ReadonlyArray<Document>): Effect.Effect<ReadonlyArray<Document>, IndexIo> => {
    for (const [at, document] of batch.entries()) {
      if (seen >= checks.length) return Effect.succeed(batch.slice(at))
      if (checkOf(document) !== checks[seen++]) {
        return Effect.fail(
          new IndexIo({
            path: directory,
            reason:
              `its passage ${seen} is not that of this corpus. Name the corpus that it was begun with, or begin ` +
              "anew with --restart"
          })
        )
      }
    }
    return Effect.succeed([])
  }
}

interface Written {
  readonly documents: number
  readonly dimensions: number
  readonly probes: ReadonlyArray<number>
}

const writePassages = Effect.fnUntraced(function*<E, R>(
  batches: Stream.Stream<ReadonlyArray<Document>, E, R>,
  database: Connection,
  existing: Table | undefined,
  directory: string,
  plan: Plan,
  options: BuildOptions | undefined
): Effect.fn.Return<readonly [Table | undefined, Written], E | IndexIo | RetrieverError, R> {
  const io = attempt(directory)
  let table = existing
  const checks = existing === undefined ? [] : yield* io(() => writtenChecks(existing))
  const fresh = unwritten(checks, directory)
  let documents = checks.length
  let read = 0
  let dimensions = 0
  if (documents > 0) yield* options?.onProgress?.(documents) ?? Effect.void
  const vectors = options?.vectors
  const probes = new ProbePassages.Chooser()

  yield* batches.pipe(
    Stream.tap((batch) =>
      Effect.sync(() => {
        if (vectors !== undefined) {
          for (const [at, document] of batch.entries()) probes.offer(read + at, contents(document))
        }
        read += batch.length
      })
    ),
    Stream.mapEffect(fresh),
    Stream.flattenIterable,
    Stream.grouped(options?.batchSize ?? (vectors === undefined ? 4096 : 512)),
    Stream.runForEach(Effect.fnUntraced(function*(batch) {
      const embedded = vectors === undefined ? [] : yield* vectors.embedder.passages(batch.map(contents))
      if (vectors !== undefined) dimensions = embedded[0]?.length ?? 0
      const rows: Array<object> = []
      for (const [at, document] of batch.entries()) {
        const vector = embedded[at]
        if (vectors !== undefined && (vector === undefined || vector.length !== dimensions || dimensions === 0)) {
          const reason = `${vectors.embedder.name} gave vectors of ${dimensions} and ${vector?.length ?? 0} dimensions`
          return yield* new IndexIo({ path: directory, reason })
        }
        rows.push({
          id: document.id,
          title: document.title,
          text: document.text,
          check: checkOf(document),
          ...(plan.fullText === null ? {} : { indexed: indexed(document, plan.fullText.titleWeight) }),
          ...(vector === undefined ? {} : { vector })
        })
      }
      const target = table
      if (target === undefined) table = yield* io(() => database.createTable(tableName, rows))
      else yield* io(() => target.add(rows))
      documents += batch.length
      yield* options?.onProgress?.(documents) ?? Effect.void
    }))
  )
  if (read < checks.length) {
    return yield* new IndexIo({
      path: directory,
      reason: `${checks.length} passages were written from a longer corpus than this one. Begin anew with --restart`
    })
  }
  return [table, { documents, dimensions, probes: probes.rows() }]
})

/** Nothing trains on fewer vectors than a byte has values; comparing all of them is instant. */
const fewestForVectorIndex = 256

const writeIndices = Effect.fnUntraced(function*(
  lance: Lance,
  table: Table,
  directory: string,
  plan: Plan,
  { dimensions, documents }: Omit<Written, "probes">,
  onStage: (stage: string) => Effect.Effect<void>
) {
  const io = attempt(directory)
  // each add left files and a version of its own
  const compact = io(() => table.optimize({ cleanupOlderThan: new Date(), deleteUnverified: true }))
  yield* onStage("packing")
  yield* compact
  if (plan.fullText !== null) {
    yield* onStage("indexing words")
    yield* io(() => table.createIndex("indexed", { config: textIndex(lance), replace: true }))
  }
  const { vectors } = plan
  if (vectors !== null && vectors.index !== "flat" && documents >= fewestForVectorIndex) {
    const { index } = vectors
    yield* onStage(`indexing vectors (${index})`)
    yield* io(() =>
      table.createIndex("vector", { config: vectorIndex(lance, index, { dimensions, documents }), replace: true })
    )
  }
  yield* compact
})

/**
 * Builds an index in the directory `path`, which appears when it is whole and then replaces an earlier one. Passages are
 * written, and embedded, in batches to a directory beside it; when the build is cut off, the next one of the same kind
 * over the same corpus goes on after the last batch.
 *
 * @category writing
 * @since 0.1.0
 */
export const build = Effect.fn("LanceIndex.build")(function*<E, R>(
  batches: Stream.Stream<ReadonlyArray<Document>, E, R>,
  path: string,
  options?: BuildOptions
): Effect.fn.Return<
  Description,
  E | IndexIo | EmbedderMismatch | RetrieverError | PackageUnavailable | WriterLock.InUse | WriterLock.LockUnavailable,
  R | FileSystem.FileSystem | Path.Path
> {
  return yield* Effect.scoped(buildScoped(batches, path, options))
})

const buildScoped = Effect.fnUntraced(function*<E, R>(
  batches: Stream.Stream<ReadonlyArray<Document>, E, R>,
  path: string,
  options: BuildOptions | undefined
) {
  const lance = yield* load
  const plan = planOf(options)
  yield* WriterLock.acquireBeside(path)
  const directory = yield* ioOf(path)(Staging.stage(path, plan, options?.restart === true))
  const io = attempt(directory)
  const database = yield* Effect.acquireRelease(
    io(() => lance.connect(directory)),
    (connection) => Effect.sync(() => connection.close())
  )
  const names = yield* io(() => database.tableNames())
  const existing = names.includes(tableName) ? yield* io(() => database.openTable(tableName)) : undefined
  if (existing !== undefined && options?.vectors !== undefined) {
    yield* expectSameEmbedder(existing, directory, options.vectors)
  }
  const [table, written] = yield* writePassages(batches, database, existing, directory, plan, options)
  const dimensions = written.dimensions === 0 && table !== undefined && plan.vectors !== null
    ? yield* io(() => vectorLength(table))
    : written.dimensions
  const whole = { documents: written.documents, dimensions }
  const onStage = options?.onStage ?? (() => Effect.void)
  if (table !== undefined) {
    yield* writeIndices(lance, table, directory, plan, whole, onStage)
    table.close()
  }
  yield* onStage("checksums")
  const description: Description = {
    format: 1,
    kind: "lance",
    fullText: plan.fullText,
    vectors: plan.vectors === null
      ? null
      : {
        embedder: plan.vectors.embedder,
        index: whole.documents < fewestForVectorIndex ? "flat" : plan.vectors.index
      },
    ...whole,
    ...(plan.vectors === null ? {} : { probes: written.probes }),
    files: yield* ioOf(path)(Files.checksums(directory))
  }
  yield* ioOf(path)(write(directory, description))
  yield* ioOf(path)(ReplaceDirectory.put(directory, path))
  return description
})

/** What an earlier run has embedded must be of the embedder that goes on. */
const expectSameEmbedder = Effect.fnUntraced(function*(
  table: Table,
  directory: string,
  { embedder, spec }: NonNullable<BuildOptions["vectors"]>
) {
  const io = attempt(directory)
  const dimensions = yield* io(() => vectorLength(table))
  yield* StoredVectors.expectEmbedder(
    {
      path: directory,
      embedder: spec,
      dimensions,
      mend: () => "An index of both would find the wrong passages. Begin anew with --restart"
    },
    embedder,
    yield* io(() => Stored.chosen(table))
  )
})

/** The dimensions of what an earlier run has embedded to the end. */
const vectorLength = async (table: Table): Promise<number> => {
  const rows = await table.query().select(["vector"]).limit(1).toArrow()
  const vector = rows?.getChild("vector")?.get(0)
  return typeof vector === "object" && vector !== null && "length" in vector ? Number(vector.length) : 0
}
