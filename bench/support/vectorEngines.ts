/**
 * Indexes of vectors, and those by LanceDB, for bench/retrievers.ts.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer, Result, type Stream } from "effect"
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import type { Document } from "../../src/domain/Document.ts"
import * as EmbedderSpec from "../../src/domain/EmbedderSpec.ts"
import * as EmbedderFromSpec from "../../src/layers/embedder/EmbedderFromSpec.ts"
import { poolingOf } from "../../src/layers/embedder/EmbedderTransformers.ts"
import { writeIndex } from "../../src/layers/retriever/indexfile/write.ts"
import * as RetrieverBm25 from "../../src/layers/retriever/RetrieverBm25.ts"
import * as RetrieverDense from "../../src/layers/retriever/RetrieverDense.ts"
import * as RetrieverHybrid from "../../src/layers/retriever/RetrieverHybrid.ts"
import * as RetrieverLance from "../../src/layers/retriever/RetrieverLance.ts"
import { Embedder } from "../../src/services/Embedder.ts"
import type { Retriever } from "../../src/services/Retriever.ts"
import { remembered } from "./rememberedEmbedder.ts"

type Batches = Stream.Stream<ReadonlyArray<Document>, Error>

/** An engine that was built, and how long that took. */
export interface Engine {
  readonly buildSeconds: number
  readonly diskMegabytes: number
  readonly layer: Layer.Layer<Retriever, unknown>
  /** The same vectors compared one by one, where an index over them is searched. */
  readonly exact?: Layer.Layer<Retriever, unknown>
}

export const engineNames = [
  "lance",
  "dense",
  "both",
  "lanceFlat",
  "ivfPq",
  "ivfRq",
  "hnsw",
  "lanceHybrid"
] as const

export type EngineName = typeof engineNames[number]

export const isEngineName = (name: string): name is EngineName => engineNames.some((engine) => engine === name)

const bytesIn = (path: string): number =>
  statSync(path).isDirectory()
    ? readdirSync(path).reduce((sum, name) => sum + bytesIn(join(path, name)), 0)
    : statSync(path).size

/** The embedder of the command line, whose vectors are kept in a file where one is named. */
export const embedderOf = async (text: string, vectors: string | undefined) => {
  const parsed = EmbedderSpec.parse(text, poolingOf)
  if (Result.isFailure(parsed)) throw new Error(parsed.failure)
  const spec = parsed.success
  const plain = EmbedderFromSpec.layer(spec).pipe(
    Layer.provide(NodeHttpClient.layerUndici),
    Layer.provide(NodeServices.layer)
  )
  if (vectors === undefined) return { spec, layer: plain }
  const [probe] = await Effect.runPromise(
    Embedder.use((embedder) => embedder.queries(["a query"])).pipe(Effect.provide(plain))
  )
  return { spec, layer: remembered(vectors, probe?.length ?? 0).pipe(Layer.provide(plain)) }
}

/** Builds an engine and names the layer that searches it. */
export const build = async (
  name: EngineName,
  batches: Batches,
  directory: string,
  { layer, spec }: Awaited<ReturnType<typeof embedderOf>>
): Promise<Engine> => {
  const path = join(directory, name)
  const run = <A>(effect: Effect.Effect<A, unknown, Embedder | NodeServices.NodeServices>) =>
    Effect.runPromise(effect.pipe(Effect.provide(layer), Effect.provide(NodeServices.layer)))
  const lance = async (fullText: boolean, index?: RetrieverLance.VectorIndex) => {
    await run(Effect.flatMap(Embedder, (embedder) =>
      RetrieverLance.build(batches, path, {
        fullText,
        vectors: index === undefined ? undefined : { embedder, spec, index }
      })))
  }
  const file = (words: boolean) =>
    run(Effect.flatMap(Embedder, ({ passages }) =>
      writeIndex(batches, path, {
        words: words ? RetrieverBm25.defaultParameters : null,
        vectors: { passages, spec }
      })))
  const searching = (mode: RetrieverLance.Mode) =>
    RetrieverLance.layer(path, { mode }).pipe(Layer.provide(layer), Layer.provide(NodeServices.layer))
  const dense = RetrieverDense.layerIndex(path).pipe(Layer.provide(layer))
  const started = performance.now()
  const built = (layer: Layer.Layer<Retriever, unknown>): Engine => ({
    buildSeconds: (performance.now() - started) / 1000,
    diskMegabytes: bytesIn(path) / 1e6,
    layer
  })
  switch (name) {
    case "lance":
      await lance(true)
      return built(RetrieverLance.layerWords(path).pipe(Layer.provide(NodeServices.layer)))
    case "dense":
      await file(false)
      return built(dense)
    case "both":
      await file(true)
      return built(RetrieverHybrid.layer<unknown, never>([RetrieverBm25.layerIndex(path), dense]))
    case "lanceFlat":
      await lance(false, "flat")
      return built(searching("flat"))
    case "lanceHybrid":
      await lance(true, "ivfRq")
      return built(searching("hybrid"))
    case "ivfPq":
    case "ivfRq":
    case "hnsw":
      await lance(false, name)
      return { ...built(searching("ann")), exact: searching("flat") }
  }
}
