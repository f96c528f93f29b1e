import * as NodeServices from "@effect/platform-node/NodeServices"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, FileSystem, Layer, type Scope, Stream } from "effect"
import { rm } from "node:fs/promises"
import type { Document } from "../../../src/domain/Document.ts"
import { EmbedderSpec } from "../../../src/domain/EmbedderSpec.ts"
import * as EmbedderHashing from "../../../src/layers/embedder/EmbedderHashing.ts"
import { lance } from "../../../src/layers/optional/packages.ts"
import { untied } from "../../../src/layers/retriever/lance/open.ts"
import * as RetrieverLance from "../../../src/layers/retriever/RetrieverLance.ts"
import { Embedder } from "../../../src/services/Embedder.ts"
import { Retriever } from "../../../src/services/Retriever.ts"
import { retrieverContract } from "../../contract/retriever.ts"
import { absence } from "../../support/optionalPackage.ts"
import { passages } from "../../support/passages.ts"

const reason = await absence(lance)
const spec = EmbedderSpec.cases.hashing.make({ dimensions: 96 })
const hashing = EmbedderHashing.layer({ dimensions: spec.dimensions })
const batches = (documents: ReadonlyArray<Document>) => Stream.make(documents)

const vectors = (index: RetrieverLance.VectorIndex = "flat") =>
  Effect.map(Embedder, (embedder) => ({ embedder, spec, index }))

/** A retriever over an index that is built for it. */
const built = (documents: ReadonlyArray<Document>, mode: RetrieverLance.Mode, index?: RetrieverLance.VectorIndex) =>
  Layer.unwrap(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = `${yield* fs.makeTempDirectoryScoped()}/index.lance`
    yield* RetrieverLance.build(batches(documents), path, mode === "words" ? {} : { vectors: yield* vectors(index) })
    return mode === "words" ? RetrieverLance.layerWords(path) : RetrieverLance.layer(path, { mode })
  })).pipe(Layer.provide(hashing), Layer.provide(NodeServices.layer))

const inDirectory = <A, E>(
  use: (
    path: string,
    fs: FileSystem.FileSystem
  ) => Effect.Effect<A, E, NodeServices.NodeServices | Embedder | Scope.Scope>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return yield* use(`${yield* fs.makeTempDirectoryScoped()}/index.lance`, fs)
  }).pipe(Effect.scoped, Effect.provide(hashing), Effect.provide(NodeServices.layer))

/** Passages of which each has a word of its own, and shares others. */
const many: ReadonlyArray<Document> = Array.from({ length: 700 }, (_, index) => ({
  id: `m${index}`,
  title: `Number ${index}`,
  text: `own${index} group${index % 7} shared passage of the ${index % 2 === 0 ? "even" : "odd"} kind`
}))

/** A retriever over an index that the first who asks builds. */
const builtOnce = (
  documents: ReadonlyArray<Document>,
  mode: RetrieverLance.Mode,
  index: RetrieverLance.VectorIndex = "flat"
) => {
  let directory: Promise<string> | undefined
  const build = Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectory()
    yield* RetrieverLance.build(batches(documents), `${directory}/index.lance`, { vectors: yield* vectors(index) })
    return directory
  }).pipe(Effect.provide(hashing), Effect.provide(NodeServices.layer))
  afterAll(() => directory?.then((path) => rm(path, { recursive: true, force: true })))
  return Layer.unwrap(Effect.promise(async () => {
    const path = await (directory ??= Effect.runPromise(build))
    return RetrieverLance.layer(`${path}/index.lance`, { mode })
  })).pipe(Layer.provide(hashing), Layer.provide(NodeServices.layer))
}

if (reason !== undefined) {
  describe("RetrieverLance", () => {
    it.skip(`is absent: ${reason}`, () => {})
  })
} else {
  retrieverContract("RetrieverLance by words", { layer: builtOnce(passages, "words"), runs: 3 })
  retrieverContract("RetrieverLance by all vectors", { layer: builtOnce(passages, "flat"), exact: false, runs: 3 })
  retrieverContract("RetrieverLance by words and vectors", {
    layer: builtOnce(passages, "hybrid"),
    exact: false,
    runs: 3
  })

  for (const index of ["ivfPq", "ivfRq", "hnsw"] as const) {
    retrieverContract(`RetrieverLance by ${index}`, {
      // enough passages for an index of vectors
      layer: builtOnce([...passages, ...many], "ann", index),
      exact: false,
      others: many,
      runs: 3
    })
  }

  describe("RetrieverLance", () => {
    it.live.each<RetrieverLance.VectorIndex>(["ivfPq", "ivfRq", "hnsw"])(
      "finds through %s what comparing all vectors finds",
      (index) =>
        Effect.gen(function*() {
          const queries = many.filter((_, at) => at % 70 === 0).map(({ text, title }) => `${title} ${text}`)
          const search = Retriever.use((retriever) => retriever.searchMany(queries, { topK: 1 }))
          const nearest = yield* search.pipe(Effect.provide(built(many, "ann", index)))
          const exact = yield* search.pipe(Effect.provide(built(many, "flat")))
          const found = nearest.flatMap(([hit], at) => hit?.id === exact[at]?.[0]?.id ? [at] : [])
          // LanceDB's graph does not lead to one passage in some hundred, another one in each build
          assert.isAtLeast(found.length, index === "hnsw" ? queries.length - 2 : queries.length)
          for (const at of found) {
            assert.closeTo(nearest[at]?.[0]?.score ?? 0, exact[at]?.[0]?.score ?? 1, 1e-3)
          }
        })
    )

    it.live("fuses more candidates than a graph is asked to follow", () =>
      Effect.gen(function*() {
        const [hit] = yield* Retriever.use((retriever) => retriever.search("own77 Number 77", { topK: 3 }))
        assert.strictEqual(hit?.id, "m77")
      }).pipe(Effect.provide(built(many, "hybrid", "hnsw"))))

    it.live.each<readonly [RetrieverLance.Mode, RetrieverLance.VectorIndex]>([
      ["words", "flat"],
      ["flat", "flat"],
      ["hybrid", "flat"],
      ["ann", "ivfPq"],
      ["ann", "ivfRq"],
      ["ann", "hnsw"]
    ])("gives passages that are equally good in the order of the corpus, for any topK: %s, %s", ([mode, index]) => {
      const equal: ReadonlyArray<Document> = Array.from({ length: 40 }, (_, copy) => ({
        id: `e${copy}`,
        title: "Equal",
        text: "the very same words of a twin"
      }))
      // between others, so that they come from different batches and clusters
      const documents = equal.flatMap((document, at) => [...many.slice(15 * at, 15 * (at + 1)), document])
      return Effect.gen(function*() {
        const retriever = yield* Retriever
        const search = (topK: number) =>
          Effect.map(
            retriever.search("very same words of a twin", { topK }),
            (hits) => hits.slice(0, 40).map(({ id }) => id)
          )
        // a graph does not lead to every twin
        const expected = index === "hnsw" ? yield* search(60) : equal.map(({ id }) => id)
        for (const topK of [1, 3, 7, 39, 40, 60]) assert.deepStrictEqual(yield* search(topK), expected.slice(0, topK))
      }).pipe(Effect.provide(built(documents, mode, index)))
    })

    it.effect("asks for more as long as equally good passages reach up to the last one wanted, and not for ever", () =>
      Effect.gen(function*() {
        const asked: Array<number> = []
        /** LanceDB, giving of equally good rows the last ones first. */
        const search = (scores: ReadonlyArray<number>, topK: number) => {
          asked.length = 0
          const best = scores.map((score, row) => ({ row, score })).toSorted((a, b) =>
            b.score - a.score || b.row - a.row
          )
          return Effect.promise(() =>
            untied((limit) => {
              asked.push(limit)
              return Promise.resolve(best.slice(0, limit).toSorted((a, b) => b.score - a.score || a.row - b.row))
            }, topK)
          )
        }
        const rows = (hits: ReadonlyArray<{ readonly row: number }>) => hits.map(({ row }) => row)
        assert.deepStrictEqual(rows(yield* search([1, 4, 3, 2], 2)), [1, 2])
        assert.deepStrictEqual(asked, [3])
        assert.deepStrictEqual(rows(yield* search([5, ...Array.from({ length: 30 }, () => 1)], 3)), [0, 1, 2])
        assert.deepStrictEqual(asked, [4, 16, 64])
        yield* search(Array.from({ length: 9000 }, () => 1), 3)
        assert.deepStrictEqual(asked, [4, 16, 64, 256, 1024, 2048])
        assert.lengthOf(yield* search(Array.from({ length: 9000 }, () => 1), 3000), 3000)
        assert.deepStrictEqual(asked, [3001])
        assert.deepStrictEqual(yield* search([], 3), [])
      }))

    it.live("goes on where a build was cut off, and gives the same index", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          const embedded: Array<string> = []
          const counted = Effect.map(Embedder, (embedder) =>
            Embedder.of({
              ...embedder,
              passages: (texts) => {
                embedded.push(...texts)
                return embedder.passages(texts)
              }
            }))
          const options = { vectors: { embedder: yield* counted, spec, index: "flat" as const }, batchSize: 100 }
          const cutOff = Stream.concat(
            Stream.fromIterable([many.slice(0, 150), many.slice(150, 310)]),
            Stream.fail("the power went" as const)
          )
          const failure = yield* Effect.flip(RetrieverLance.build(cutOff, path, options))
          assert.strictEqual(failure, "the power went")
          assert.strictEqual(embedded.length, 310)
          assert.strictEqual((yield* Effect.flip(RetrieverLance.read(path)))._tag, "IndexIo")

          const progress: Array<number> = []
          const description = yield* RetrieverLance.build(batches(many), path, {
            ...options,
            onProgress: (documents) => Effect.sync(() => progress.push(documents))
          })
          assert.strictEqual(description.documents, many.length)
          // one passage a second time, to know the embedder again
          assert.strictEqual(embedded.length, many.length + 1)
          assert.strictEqual(new Set(embedded).size, many.length)
          assert.deepStrictEqual(progress, [310, 410, 510, 610, 700])
          const found = yield* Retriever.use((retriever) =>
            retriever.searchMany(["own0", "own309", "own310", "own699"], { topK: 1 })
          ).pipe(Effect.provide(RetrieverLance.layerWords(path)))
          assert.deepStrictEqual(found.map(([hit]) => hit?.id), ["m0", "m309", "m310", "m699"])
        })
      ))

    it.live("does not go on over another corpus or in another kind, unless told to begin anew", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          const cutOff = Stream.concat(Stream.make(many.slice(0, 100)), Stream.fail("cut" as const))
          yield* Effect.flip(RetrieverLance.build(cutOff, path, { batchSize: 10 }))
          const other = yield* Effect.flip(RetrieverLance.build(batches(many.toReversed()), path))
          assert.match(String(other), /passage 1 is not that of this corpus.*--restart/)
          const shorter = yield* Effect.flip(RetrieverLance.build(batches(many.slice(0, 10)), path))
          assert.match(String(shorter), /longer corpus/)
          const dense = yield* Effect.flip(RetrieverLance.build(batches(many), path, { vectors: yield* vectors() }))
          assert.match(String(dense), /another kind/)
          const description = yield* RetrieverLance.build(batches(passages), path, { restart: true })
          assert.strictEqual(description.documents, passages.length)
        })
      ))

    it.live("keeps an index until the new one is whole", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          yield* RetrieverLance.build(batches(passages), path)
          const cutOff = Stream.concat(Stream.make(many), Stream.fail("cut" as const))
          yield* Effect.flip(RetrieverLance.build(cutOff, path))
          assert.strictEqual((yield* RetrieverLance.verify(path)).documents, passages.length)
          yield* RetrieverLance.build(batches(many), path)
          assert.strictEqual((yield* RetrieverLance.verify(path)).documents, many.length)
        })
      ))

    it.live("finds a damaged file out", () =>
      inDirectory((path, fs) =>
        Effect.gen(function*() {
          const { files } = yield* RetrieverLance.build(batches(many), path)
          const [name = "", { bytes }] = Object.entries(files).find(([file]) => file.includes("/data/")) ??
            ["", { bytes: 0 }]
          const file = `${path}/${name}`
          const content = yield* fs.readFile(file)
          content[bytes >> 1] = (content[bytes >> 1] ?? 0) ^ 1
          yield* fs.writeFile(file, content)
          const error = yield* Effect.flip(RetrieverLance.verify(path))
          assert.strictEqual(error._tag, "IndexCorrupt")
          assert.include(error.message, name)
        })
      ))

    it.live("lets one build at a time work on an index", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const slow = Stream.fromEffect(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
          const first = yield* Effect.forkChild(RetrieverLance.build(slow, path))
          yield* Deferred.await(begun)
          const error = yield* Effect.flip(RetrieverLance.build(batches(many), path))
          assert.match(String(error), /index\.lance is in use by process \d+ on /)
          yield* Fiber.interrupt(first)
          assert.strictEqual((yield* RetrieverLance.build(batches(many), path)).documents, many.length)
        })
      ))

    it.live("holds no more passages in memory than allowed, and still finds all", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          yield* RetrieverLance.build(batches(many), path)
          const words = many.filter((_, at) => at % 50 === 0).map(({ id }) => id.replace("m", "own"))
          const twice = yield* Retriever.use((retriever) => retriever.searchMany([...words, ...words], { topK: 1 }))
            .pipe(
              Effect.provide(RetrieverLance.layerWords(path, { passageBytesInMemory: 1000 }))
            )
          assert.deepStrictEqual(
            twice.map(([hit]) => hit?.id),
            [...words, ...words].map((word) => word.replace("own", "m"))
          )
        })
      ))

    it.live("is empty over an empty corpus", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          yield* RetrieverLance.build(Stream.empty, path, { vectors: yield* vectors() })
          const context = yield* Layer.build(RetrieverLance.layer(path))
          assert.deepStrictEqual(yield* Context.get(context, Retriever).search("herring", { topK: 3 }), [])
        })
      ))

    it.live("explains modes that an index lacks, and embedders of another size", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          yield* RetrieverLance.build(batches(passages), path)
          const words = yield* Effect.exit(Layer.build(RetrieverLance.layer(path, { mode: "hybrid" })))
          assert.match(Exit.isFailure(words) ? Cause.pretty(words.cause) : "", /holds no vectors/)
          yield* RetrieverLance.build(batches(passages), path, { fullText: false, vectors: yield* vectors() })
          const dense = yield* Effect.exit(Layer.build(RetrieverLance.layerWords(path)))
          assert.match(Exit.isFailure(dense) ? Cause.pretty(dense.cause) : "", /no index of words/)
          const error = yield* Effect.flip(
            Retriever.use((retriever) => retriever.search("x y z", { topK: 1 })).pipe(
              Effect.provide(RetrieverLance.layer(path).pipe(Layer.provide(EmbedderHashing.layer({ dimensions: 8 }))))
            )
          )
          assert.strictEqual(error._tag, "EmbedderMismatch")
        })
      ))
  })
}
