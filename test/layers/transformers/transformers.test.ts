/**
 * Models that run in this process, against what Python's transformers computes from the same files
 * (test/fixtures/tiny-bert).
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as EmbedderTransformers from "../../../src/layers/embedder/EmbedderTransformers.ts"
import { transformers } from "../../../src/layers/optional/packages.ts"
import * as RerankerTransformers from "../../../src/layers/reranker/RerankerTransformers.ts"
import { Embedder } from "../../../src/services/Embedder.ts"
import { Reranker } from "../../../src/services/Reranker.ts"
import { absence } from "../../support/optionalPackage.ts"

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/tiny-bert/${name}`, import.meta.url))

const golden: {
  readonly texts: ReadonlyArray<string>
  readonly mean: ReadonlyArray<ReadonlyArray<number>>
  readonly cls: ReadonlyArray<ReadonlyArray<number>>
  readonly e5Query: ReadonlyArray<ReadonlyArray<number>>
  readonly pairs: ReadonlyArray<readonly [query: string, title: string, text: string]>
  readonly scores: ReadonlyArray<number>
} = JSON.parse(readFileSync(fixture("golden.json"), "utf8"))

const closeTo = (actual: ReadonlyArray<Float32Array>, expected: ReadonlyArray<ReadonlyArray<number>>) => {
  assert.strictEqual(actual.length, expected.length)
  for (const [row, vector] of actual.entries()) {
    assert.strictEqual(vector.length, expected[row]?.length)
    for (const [at, value] of vector.entries()) assert.closeTo(value, expected[row]?.[at] ?? Number.NaN, 1e-4)
  }
}

const reason = await absence(transformers)

if (reason !== undefined) {
  describe("models in this process", () => {
    it.skip(`@huggingface/transformers is absent: ${reason}`, () => {})
  })
} else {
  const embedder = (options: Partial<EmbedderTransformers.Options>) =>
    EmbedderTransformers.layer({ model: fixture("embedder"), maxTokens: 32, ...options }).pipe(
      Layer.provide(NodeServices.layer)
    )

  describe("EmbedderTransformers", () => {
    it.live.each(["mean", "cls"] as const)(
      "pools by %s as Python does, padding and long texts included",
      (pooling) =>
        Effect.gen(function*() {
          const vectors = yield* Embedder.use(({ passages }) => passages(golden.texts))
          closeTo(vectors, golden[pooling])
        }).pipe(Effect.provide(embedder({ pooling, batchSize: 3 })))
    )

    it.live("puts the family's words before queries", () =>
      Effect.gen(function*() {
        closeTo(yield* Embedder.use(({ queries }) => queries(golden.texts)), golden.e5Query)
      }).pipe(Effect.provide(embedder({ prefixes: EmbedderTransformers.prefixesOf("intfloat/e5-base-v2") }))))

    it("knows how the families pool", () => {
      assert.deepStrictEqual(
        [
          "BAAI/bge-base-en-v1.5",
          "intfloat/e5-base-v2",
          "facebook/contriever",
          "sentence-transformers/all-MiniLM-L6-v2"
        ]
          .map(EmbedderTransformers.poolingOf),
        ["cls", "mean", "mean", "mean"]
      )
    })

    it.live.each<readonly [string, Partial<EmbedderTransformers.Options>, RegExp]>([
      [
        "a directory that is not there",
        { model: "/no/such/model" },
        /\/no\/such\/model.*no such directory.*onnx\/model/s
      ],
      ["a directory without a model", { model: fixture("") }, /it lacks config\.json/],
      ["a precision that the model does not come in", { dtype: "q4" }, /cannot be used.*model_q4/s]
    ])("explains %s", ([, options, message]) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(embedder(options))))
        assert.strictEqual(error._tag, "OnnxModelUnavailable")
        assert.match(error.message, message)
      }))
  })

  describe("RerankerTransformers", () => {
    const requests = golden.pairs.map(([query, title, text], index) => ({
      query,
      documents: [{ id: String(index), title, text }]
    }))

    it.live("scores pairs as Python's cross-encoder does, each query with its own passages", () =>
      Effect.gen(function*() {
        const scores = yield* Reranker.use((reranker) =>
          reranker.scores([...requests, { query: "nothing to score", documents: [] }])
        )
        assert.deepStrictEqual(scores.map(({ length }) => length), [1, 1, 1, 0])
        for (const [row, expected] of golden.scores.entries()) {
          assert.closeTo(scores[row]?.[0] ?? Number.NaN, expected, 1e-4)
        }
      }).pipe(
        Effect.provide(
          RerankerTransformers.layer({ model: fixture("cross-encoder"), maxTokens: 48, batchSize: 2 }).pipe(
            Layer.provide(NodeServices.layer)
          )
        )
      ))
  })
}
