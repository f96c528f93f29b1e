/**
 * Searches an index of any kind that `search-r1 index build` made.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Layer, type Path } from "effect"
import type { HttpClient } from "effect/http"
import type { EmbedderSpec } from "../../domain/EmbedderSpec.ts"
import type { Retriever, RetrieverError } from "../../services/Retriever.ts"
import * as EmbedderFromSpec from "../embedder/EmbedderFromSpec.ts"
import type { PackageUnavailable } from "../optional/PackageUnavailable.ts"
import type { OnnxModelUnavailable } from "../transformers/library.ts"
import { type EmbedderMismatch, IndexCorrupt, type IndexIo, ioOf } from "./indexfile/errors.ts"
import { type Description as FileDescription } from "./indexfile/format.ts"
import { openFile } from "./indexfile/read.ts"
import { type Description as LanceDescription, read as readLance } from "./lance/description.ts"
import * as RetrieverBm25 from "./RetrieverBm25.ts"
import * as RetrieverDense from "./RetrieverDense.ts"
import * as RetrieverHybrid from "./RetrieverHybrid.ts"
import * as RetrieverLance from "./RetrieverLance.ts"
import type { ServerOptions } from "./serverBatches.ts"

/**
 * What an index on disk says about itself.
 *
 * @category models
 * @since 0.1.0
 */
export type Description = FileDescription | LanceDescription

/**
 * Why an index cannot be searched.
 *
 * @category errors
 * @since 0.1.0
 */
export type IndexError =
  | IndexCorrupt
  | IndexIo
  | EmbedderMismatch
  | PackageUnavailable
  | OnnxModelUnavailable
  | RetrieverError

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How it is searched; unless given, by all that it holds. */
  readonly mode?: RetrieverLance.Mode | undefined
  /** Embeds the queries instead of what the index names: the same model at another place; any other is refused. */
  readonly embedder?: EmbedderSpec | undefined
  /** How a server is asked that embeds. */
  readonly server?: ServerOptions | undefined
}

/**
 * Describes an index: a directory is LanceDB's, a file our own.
 *
 * @category reading
 * @since 0.1.0
 */
export const describe = Effect.fn("RetrieverIndex.describe")(function*(
  path: string
): Effect.fn.Return<Description, IndexCorrupt | IndexIo, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const info = yield* ioOf(path)(fs.stat(path))
  return info.type === "Directory"
    ? yield* readLance(path)
    : yield* Effect.scoped(Effect.map(openFile(path), ({ description }) => description))
})

/**
 * Reads every byte of an index and compares the checksums.
 *
 * @category reading
 * @since 0.1.0
 */
export const verify = Effect.fn("RetrieverIndex.verify")(function*(
  path: string
): Effect.fn.Return<Description, IndexCorrupt | IndexIo, FileSystem.FileSystem | Path.Path> {
  const description = yield* describe(path)
  if (description.kind === "lance") return yield* RetrieverLance.verify(path)
  yield* Effect.scoped(Effect.flatMap(openFile(path), ({ verify }) => verify))
  return description
})

const lanceLayer = (
  path: string,
  { vectors }: LanceDescription,
  { embedder, mode, server }: Options
): Layer.Layer<Retriever, IndexError, FileSystem.FileSystem | Path.Path | HttpClient.HttpClient> =>
  vectors === null && (mode === undefined || mode === "words") || mode === "words"
    ? RetrieverLance.layerWords(path)
    : RetrieverLance.layer(path, { mode }).pipe(
      // without vectors the layer says that, whatever embeds
      Layer.provide(EmbedderFromSpec.layer(embedder ?? vectors?.embedder ?? { _tag: "hashing", dimensions: 1 }, server))
    )

const fileLayer = (
  path: string,
  description: FileDescription,
  { embedder, mode, server }: Options
): Layer.Layer<Retriever, IndexError, FileSystem.FileSystem | Path.Path | HttpClient.HttpClient> => {
  const failure = (reason: string) => Layer.effectContext(Effect.fail(new IndexCorrupt({ path, reason })))
  const words = RetrieverBm25.layerIndex(path)
  if (mode === "ann") return failure("mode ann needs an index that was built with --engine lance; use flat")
  if (mode === "words" || (mode === undefined && description.kind === "bm25")) return words
  if (description.kind === "bm25") return failure(`it holds no vectors, which mode ${mode} needs`)
  const dense = RetrieverDense.layerIndex(path).pipe(
    Layer.provide(EmbedderFromSpec.layer(embedder ?? description.vectors.embedder, server))
  )
  return mode === "flat" || (mode === undefined && description.kind === "dense")
    ? dense
    : RetrieverHybrid.layer<IndexError, FileSystem.FileSystem | Path.Path | HttpClient.HttpClient>([words, dense])
}

/**
 * The retriever over an index.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  path: string,
  options?: Options
): Layer.Layer<Retriever, IndexError, FileSystem.FileSystem | Path.Path | HttpClient.HttpClient> =>
  Layer.unwrap(
    Effect.map(
      describe(path),
      (description): Layer.Layer<
        Retriever,
        IndexError,
        FileSystem.FileSystem | Path.Path | HttpClient.HttpClient
      > =>
        description.kind === "lance"
          ? lanceLayer(path, description, options ?? {})
          : fileLayer(path, description, options ?? {})
    )
  )
