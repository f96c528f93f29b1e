import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Redacted, Stream } from "effect"
import { contents } from "../../../src/domain/Document.ts"
import * as EmbedderHashing from "../../../src/layers/embedder/EmbedderHashing.ts"
import * as EmbedderHttp from "../../../src/layers/embedder/EmbedderHttp.ts"
import { writeIndex } from "../../../src/layers/retriever/indexfile/write.ts"
import { Matrix } from "../../../src/layers/retriever/matrix.ts"
import * as RetrieverBm25 from "../../../src/layers/retriever/RetrieverBm25.ts"
import * as RetrieverDense from "../../../src/layers/retriever/RetrieverDense.ts"
import * as RetrieverHybrid from "../../../src/layers/retriever/RetrieverHybrid.ts"
import * as RetrieverIndex from "../../../src/layers/retriever/RetrieverIndex.ts"
import * as RetrieverMemory from "../../../src/layers/retriever/RetrieverMemory.ts"
import { Embedder } from "../../../src/services/Embedder.ts"
import { Retriever } from "../../../src/services/Retriever.ts"
import { retrieverContract } from "../../contract/retriever.ts"
import { controlled } from "../../support/controlledRetriever.ts"
import { json, serve } from "../../support/httpServer.ts"
import { passages } from "../../support/passages.ts"

const hashing = EmbedderHashing.layer({ dimensions: 101 })
const dense = RetrieverDense.layer(Stream.fromArray(passages), { batchSize: 3 }).pipe(Layer.provide(hashing))
const hybrid = RetrieverHybrid.layer([dense, RetrieverBm25.layer(Stream.fromArray(passages))])

retrieverContract("RetrieverDense over EmbedderHashing", { layer: dense, exact: false, runs: 10 })
retrieverContract("RetrieverHybrid of dense and BM25", { layer: hybrid, exact: false, runs: 10 })

const indexed = (kind: "dense" | "both") =>
  Layer.unwrap(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = `${yield* fs.makeTempDirectoryScoped()}/passages.idx`
    yield* Effect.flatMap(Embedder, ({ passages: embed }) =>
      writeIndex(Stream.make(passages), path, {
        words: kind === "both" ? RetrieverBm25.defaultParameters : null,
        vectors: { passages: embed, spec: { _tag: "hashing", dimensions: 101 } }
      }))
    return RetrieverIndex.layer(path)
  })).pipe(Layer.provide([hashing, NodeServices.layer, NodeHttpClient.layerUndici]))

retrieverContract("RetrieverIndex of vectors", { layer: indexed("dense"), exact: false, runs: 3 })
retrieverContract("RetrieverIndex of words and vectors", { layer: indexed("both"), exact: false, runs: 3 })

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0)

describe("RetrieverDense", () => {
  it.effect("ranks by the cosine of all passages", () =>
    Effect.gen(function*() {
      const embed = (text: string) => EmbedderHashing.embed(text, 101)
      const query = "the lighthouse of the island"
      const expected = passages
        .map((passage) => ({ id: passage.id, score: Math.fround(dot(embed(query), embed(contents(passage)))) }))
        .toSorted((a, b) => b.score - a.score)
      const hits = yield* Retriever.use((retriever) => retriever.search(query, { topK: 100 }))
      assert.strictEqual(hits.length, passages.length)
      for (const [index, { score }] of hits.entries()) assert.closeTo(score, expected[index]?.score ?? Number.NaN, 1e-6)
      assert.strictEqual(hits[0]?.id, expected[0]?.id)
    }).pipe(Effect.provide(dense)))

  it("compares the last of an odd number of dimensions", () => {
    const matrix = Matrix.of(Float32Array.of(1, 0, 0, 0, 0, 2), 3)
    assert.deepStrictEqual(matrix.nearest(Float32Array.of(1, 0, 1), 2).hits(), [{ row: 1, score: 2 }, {
      row: 0,
      score: 1
    }])
  })

  it("brings up no row of zeros, whatever else there is", () => {
    const matrix = Matrix.of(Float32Array.of(0, 0, 1, 0, 0, 0, -1, 0, 0, 2), 2)
    assert.deepStrictEqual(matrix.nearest(Float32Array.of(1, 0), 5).hits().map(({ row }) => row), [1, 4, 3])
  })

  it.effect("does not find passages without anything in them", () =>
    Effect.map(
      Retriever.use((retriever) => retriever.search("herring", { topK: 3 })),
      (hits) => assert.deepStrictEqual(hits.map(({ id }) => id), ["b"])
    ).pipe(Effect.provide(
      RetrieverDense.layer(Stream.make(
        { id: "a", title: "", text: "" },
        { id: "b", title: "", text: "something else" },
        { id: "c", title: " ", text: "?!" }
      )).pipe(Layer.provide(hashing))
    )))

  it.effect("finds nothing for a query without anything in it", () =>
    Effect.map(
      Retriever.use((retriever) => retriever.searchMany(["", "?!"], { topK: 3 })),
      (hits) => assert.deepStrictEqual(hits, [[], []])
    ).pipe(Effect.provide(dense)))

  it.effect("refuses vectors of different lengths", () =>
    Effect.gen(function*() {
      const growing = Layer.succeed(
        Embedder,
        Embedder.of({
          name: "growing",
          queries: (texts) => Effect.succeed(texts.map(() => new Float32Array(2).fill(1))),
          passages: (texts) => Effect.succeed(texts.map((_, index) => new Float32Array(2 + index)))
        })
      )
      const error = yield* Effect.flip(
        Effect.scoped(Layer.build(RetrieverDense.layer(Stream.fromArray(passages)).pipe(Layer.provide(growing))))
      )
      assert.strictEqual(error._tag, "RetrieverUnexpectedShape")
    }))
})

describe("RetrieverHybrid", () => {
  const ranking = (...ids: ReadonlyArray<string>) =>
    RetrieverMemory.layer({ answers: { q: ids.map((id) => ({ id, title: id, text: "" })) } })

  it.effect("sums the reciprocals of the ranks", () =>
    Effect.gen(function*() {
      const layer = RetrieverHybrid.layer([ranking("a", "b", "c"), ranking("c", "d")], { weights: [1, 2] })
      const hits = yield* Retriever.use((retriever) => retriever.search("q", { topK: 3 })).pipe(Effect.provide(layer))
      assert.deepStrictEqual(hits.map(({ id, score }) => [id, score]), [["c", 1 / 63 + 2 / 61], ["d", 2 / 62], [
        "a",
        1 / 61
      ]])
    }))

  it.effect("fails when one of its retrievers does", () =>
    Effect.gen(function*() {
      const broken = controlled(() => Effect.die("broken")).layer
      const exit = yield* Retriever.use((retriever) => Effect.exit(retriever.search("q", { topK: 3 }))).pipe(
        Effect.provide(RetrieverHybrid.layer([ranking("a"), broken]))
      )
      assert.strictEqual(exit._tag, "Failure")
    }))
})

describe("EmbedderHttp", () => {
  const embedding = (url: string, options: Partial<EmbedderHttp.Options>) =>
    EmbedderHttp.layer({ url, model: "intfloat/e5-base-v2", batchSize: 2, ...options }).pipe(
      Layer.provide(NodeHttpClient.layerUndici)
    )

  it.live("asks an OpenAI-compatible server in batches, with the model's words before each text", () =>
    Effect.gen(function*() {
      const server = yield* serve((body, response) => {
        const { input } = JSON.parse(body)
        // out of order on purpose
        const data = input.map((text: string, index: number) => ({
          object: "embedding",
          index,
          embedding: [text.length, 0]
        }))
        json(response, { object: "list", data: data.toReversed(), model: "m" })
      })
      const url = server.url.replace("/retrieve", "/v1/embeddings")
      const [queries, vectors] = yield* Embedder.use((embedder) =>
        Effect.all([embedder.queries(["a"]), embedder.passages(["a", "bb", "ccc"])])
      ).pipe(Effect.provide(embedding(url, { key: Redacted.make("k"), concurrency: 1 })))
      assert.deepStrictEqual(server.bodies.map((body) => JSON.parse(body)), [
        { model: "intfloat/e5-base-v2", input: ["query: a"] },
        { model: "intfloat/e5-base-v2", input: ["passage: a", "passage: bb"] },
        { model: "intfloat/e5-base-v2", input: ["passage: ccc"] }
      ])
      assert.strictEqual(server.headers[0]?.authorization, "Bearer k")
      for (const vector of [...queries, ...vectors]) assert.deepStrictEqual([...vector], [1, 0])
    }))

  it.live("speaks with text-embeddings-inference", () =>
    Effect.gen(function*() {
      const server = yield* serve((body, response) => json(response, JSON.parse(body).inputs.map(() => [3, 4])))
      const url = server.url.replace("/retrieve", "/embed")
      const [vector] = yield* Embedder.use((embedder) => embedder.queries(["x"])).pipe(
        Effect.provide(embedding(url, { model: "BAAI/bge-base-en" }))
      )
      assert.closeTo(vector?.[0] ?? 0, 0.6, 1e-6)
      assert.deepStrictEqual(JSON.parse(server.bodies[0] ?? ""), {
        inputs: ["Represent this sentence for searching relevant passages: x"],
        truncate: true
      })
    }))

  it.live.each<unknown>([{}, { data: [] }, { data: [{ index: 0, embedding: [] }] }, {
    data: [{ index: 0, embedding: ["x"] }]
  }])(
    "does not accept an answer without a vector for each text (%#)",
    (answer) =>
      Effect.gen(function*() {
        const server = yield* serve((_, response) => json(response, answer))
        const error = yield* Embedder.use((embedder) => Effect.flip(embedder.queries(["x"]))).pipe(
          Effect.provide(embedding(server.url, {}))
        )
        assert.strictEqual(error._tag, "RetrieverUnexpectedShape")
      })
  )
})
