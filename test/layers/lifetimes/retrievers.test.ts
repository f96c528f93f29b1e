/** Engines that search in this process, and what stands around a retriever. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Deferred, Effect, FileSystem, Layer, Stream } from "effect"
import { formatLine } from "../../../src/domain/Corpus.ts"
import * as EmbedderHashing from "../../../src/layers/embedder/EmbedderHashing.ts"
import { lance } from "../../../src/layers/optional/packages.ts"
import * as CorpusFile from "../../../src/layers/retriever/CorpusFile.ts"
import * as RetrieverBatching from "../../../src/layers/retriever/RetrieverBatching.ts"
import * as RetrieverBm25 from "../../../src/layers/retriever/RetrieverBm25.ts"
import * as RetrieverBudget from "../../../src/layers/retriever/RetrieverBudget.ts"
import * as RetrieverCache from "../../../src/layers/retriever/RetrieverCache.ts"
import * as RetrieverConcurrency from "../../../src/layers/retriever/RetrieverConcurrency.ts"
import * as RetrieverDense from "../../../src/layers/retriever/RetrieverDense.ts"
import * as RetrieverDiskCache from "../../../src/layers/retriever/RetrieverDiskCache.ts"
import * as RetrieverFault from "../../../src/layers/retriever/RetrieverFault.ts"
import * as RetrieverHybrid from "../../../src/layers/retriever/RetrieverHybrid.ts"
import * as RetrieverLance from "../../../src/layers/retriever/RetrieverLance.ts"
import * as RetrieverLunr from "../../../src/layers/retriever/RetrieverLunr.ts"
import * as RetrieverMemory from "../../../src/layers/retriever/RetrieverMemory.ts"
import * as RetrieverRandom from "../../../src/layers/retriever/RetrieverRandom.ts"
import * as RetrieverRateLimit from "../../../src/layers/retriever/RetrieverRateLimit.ts"
import * as RetrieverRerank from "../../../src/layers/retriever/RetrieverRerank.ts"
import * as RetrieverResilient from "../../../src/layers/retriever/RetrieverResilient.ts"
import * as RetrieverRetry from "../../../src/layers/retriever/RetrieverRetry.ts"
import * as RetrieverTimeLimit from "../../../src/layers/retriever/RetrieverTimeLimit.ts"
import { Reranker } from "../../../src/services/Reranker.ts"
import { Retriever, RetrieverUnavailable } from "../../../src/services/Retriever.ts"
import { type Lifetime, lifetimes, type Work } from "../../contract/lifetimes.ts"
import { controlled } from "../../support/controlledRetriever.ts"
import { absence } from "../../support/optionalPackage.ts"
import { passages, queries } from "../../support/passages.ts"

const documents = Stream.fromArray(passages)
const node = Effect.provide(NodeServices.layer)

const search = Retriever.use((retriever) =>
  Effect.all([
    Effect.forEach(queries.slice(0, 3), (query) => retriever.search(query, { topK: 2 }), { concurrency: 3 }),
    retriever.searchMany(queries.slice(0, 4), { topK: 2 })
  ], { concurrency: "unbounded" })
)

const searched = <E>(layer: Layer.Layer<Retriever, E, NodeServices.NodeServices>) =>
  search.pipe(Effect.provide(Layer.fresh(layer)), node)

/** A corpus that says when it has begun and goes no further, and one that breaks off. */
const stalled = (begun: Deferred.Deferred<void>) =>
  Stream.concat(documents, Stream.fromEffect(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)))
const broken = Stream.concat(documents, Stream.fail("broken" as const))

type Documents = typeof documents | ReturnType<typeof stalled> | typeof broken

/** A retriever over a stream of passages. */
const overCorpus = (
  name: string,
  layer: (documents: Documents, directory: string) => Layer.Layer<Retriever, unknown, NodeServices.NodeServices>,
  more: Partial<Lifetime> = {}
): Lifetime => ({
  name,
  succeeds: ({ directory }) => searched(layer(documents, directory)),
  fails: ({ directory }) => searched(layer(broken, directory)),
  hangs: ({ begun, directory }) => searched(layer(stalled(begun), directory)),
  ...more
})

/** A retriever over the file of a corpus; it fails where there is none. */
const overFile = (
  name: string,
  layer: (path: string, cacheDirectory: string) => Layer.Layer<Retriever, unknown, NodeServices.NodeServices>,
  leaves: ReadonlyArray<string>
): Lifetime => ({
  name,
  leaves,
  succeeds: ({ directory }) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      yield* fs.writeFileString(`${directory}/corpus.jsonl`, passages.map(formatLine).join("\n"))
      yield* searched(layer(`${directory}/corpus.jsonl`, `${directory}/cache`))
    }).pipe(node),
  fails: ({ directory }) => searched(layer(`${directory}/none`, `${directory}/cache`))
})

const indexed = (
  build: (documents: Documents, path: string) => Effect.Effect<unknown, unknown, NodeServices.NodeServices>,
  layer: (path: string) => Layer.Layer<Retriever, unknown, NodeServices.NodeServices>
): Omit<Lifetime, "name"> => {
  const work = (of: (begun: Deferred.Deferred<void>) => Documents): Work => ({ begun, directory }) =>
    Effect.andThen(build(of(begun), `${directory}/x.idx`), searched(layer(`${directory}/x.idx`))).pipe(node)
  return { succeeds: work(() => documents), fails: work(() => broken), hangs: work(stalled), leaves: ["x.idx"] }
}

const embedder = EmbedderHashing.layer({ dimensions: 16 })
const batches = <E>(stream: Stream.Stream<(typeof passages)[number], E>) => Stream.grouped(stream, 3)
const noLance = await absence(lance)

lifetimes("Retriever in this process", [
  overCorpus("RetrieverLunr", (documents) => RetrieverLunr.layer(documents, { cacheDirectory: false })),
  overCorpus(
    "RetrieverLunr with a cached index",
    (documents, directory) => RetrieverLunr.layer(documents, { cacheDirectory: `${directory}/cache` }),
    { leaves: ["cache"] }
  ),
  overFile("RetrieverLunr over a file", (path, cacheDirectory) => RetrieverLunr.layerFile(path, { cacheDirectory }), [
    "cache",
    "corpus.jsonl"
  ]),
  overCorpus("RetrieverBm25", (documents) => RetrieverBm25.layer(documents)),
  overFile("RetrieverBm25 over a file", (path, cacheDirectory) => RetrieverBm25.layerFile(path, { cacheDirectory }), [
    "cache",
    "corpus.jsonl"
  ]),
  {
    name: "RetrieverBm25 over an index",
    ...indexed((documents, path) => RetrieverBm25.build(batches(documents), path), RetrieverBm25.layerIndex)
  },
  {
    name: "RetrieverBm25 over an index of several pieces, passages on disk",
    ...indexed(
      (documents, path) => RetrieverBm25.build(batches(documents), path, { pieceSize: 2 }),
      (path) => RetrieverBm25.layerIndex(path, { documentBytesInMemory: 0 })
    )
  },
  overCorpus("RetrieverDense", (documents) => RetrieverDense.layer(documents).pipe(Layer.provide(embedder))),
  overCorpus("RetrieverRandom", (documents) => RetrieverRandom.layer(documents, { seed: 1 })),
  overCorpus("RetrieverHybrid", (documents) =>
    RetrieverHybrid.layer([
      RetrieverBm25.layer(documents),
      RetrieverDense.layer(documents).pipe(Layer.provide(embedder))
    ])),
  {
    name: "RetrieverLance",
    absent: noLance,
    interruptions: [0, 5, 20, 60],
    mayLeave: ["x.idx.building"],
    ...indexed(
      (documents, path) => RetrieverLance.build(batches(documents), path).pipe(Effect.provide(embedder)),
      RetrieverLance.layerWords
    )
  },
  {
    name: "a corpus that is read to a part of it",
    leaves: ["corpus.jsonl"],
    succeeds: ({ directory }) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        yield* fs.writeFileString(`${directory}/corpus.jsonl`, `${passages.map(formatLine).join("\n")}\n`.repeat(500))
        yield* Stream.runDrain(Stream.take(CorpusFile.stream(`${directory}/corpus.jsonl`), 3))
      }).pipe(node)
  }
])

/** A decorator around a retriever that answers, fails or never answers. */
const around = (name: string, decorator: Layer.Layer<Retriever, unknown, Retriever>): Lifetime => {
  const over = (inner: Layer.Layer<Retriever>) =>
    search.pipe(Effect.provide(Layer.fresh(decorator.pipe(Layer.provide(inner)))))
  return {
    name,
    succeeds: () => over(controlled().layer),
    fails: () =>
      over(controlled(() => Effect.fail(new RetrieverUnavailable({ retriever: "r", reason: "gone" }))).layer),
    hangs: ({ begun }) => over(controlled(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)).layer)
  }
}

const reranker = Layer.succeed(
  Reranker,
  Reranker.of({
    name: "r",
    scores: (requests) => Effect.succeed(requests.map(({ documents }) => documents.map((_, at) => at)))
  })
)

lifetimes("decorators of a Retriever", [
  around("RetrieverTimeLimit", RetrieverTimeLimit.layer()),
  around("RetrieverRetry", RetrieverRetry.layer({ times: 2, base: "1 millis" })),
  around("RetrieverRateLimit", RetrieverRateLimit.layer({ limit: 10_000 })),
  around("RetrieverConcurrency", RetrieverConcurrency.layer({ limit: 2 })),
  around("RetrieverBatching", RetrieverBatching.layer({ maxBatch: 4 })),
  around("RetrieverCache", RetrieverCache.layer({ capacity: 3 })),
  around("RetrieverBudget", RetrieverBudget.layer({ budget: 1000 })),
  around("RetrieverFault", RetrieverFault.layer({ seed: 1, delay: 0.5, maxDelay: "2 millis" })),
  around("RetrieverRerank", RetrieverRerank.layer().pipe(Layer.provide(reranker))),
  around("RetrieverResilient", RetrieverResilient.layer()),
  {
    name: "RetrieverDiskCache",
    leaves: ["cache"],
    succeeds: ({ directory }) =>
      searched(
        RetrieverDiskCache.layer({ directory: `${directory}/cache` }).pipe(
          Layer.provide(RetrieverMemory.layer({ documents: passages }))
        )
      )
  }
])
