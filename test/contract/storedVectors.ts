/**
 * What every layer must do that searches vectors on disk: it opens with the embedder that made them and refuses any other.
 */
import type * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Logger, type Scope } from "effect"
import type { Document } from "../../src/domain/Document.ts"
import type { EmbedderSpec } from "../../src/domain/EmbedderSpec.ts"
import * as EmbedderHashing from "../../src/layers/embedder/EmbedderHashing.ts"
import { Embedder } from "../../src/services/Embedder.ts"
import { Retriever, RetrieverUnavailable } from "../../src/services/Retriever.ts"
import { oldHashing } from "../support/oldHashing.ts"
import { passages } from "../support/passages.ts"

export interface StoredVectorsOptions {
  readonly build: (
    path: string,
    documents: ReadonlyArray<Document>,
    embedder: Embedder["Service"],
    spec: EmbedderSpec
  ) => Effect.Effect<unknown, unknown, NodeServices.NodeServices>
  readonly open: (path: string) => Layer.Layer<Retriever, unknown, Embedder | NodeServices.NodeServices>
  /** Takes out of an index what those of before did not have. */
  readonly age: (path: string) => Effect.Effect<void, unknown, NodeServices.NodeServices>
  readonly services: Layer.Layer<NodeServices.NodeServices>
}

const dimensions = 96
const hashing: EmbedderSpec = { _tag: "hashing", dimensions }
const model = (name: string): EmbedderSpec => ({ _tag: "http", url: "http://127.0.0.1:1/v1/embeddings", model: name })

const embedders = Effect.runSync(Embedder.pipe(Effect.provide(EmbedderHashing.layer({ dimensions }))))

type Change = (vector: Float32Array) => Float32Array

/** A model that makes of each text what hashing makes of it, changed. */
const changed = (spec: EmbedderSpec, change: Change, queryPrefix = ""): Embedder["Service"] => {
  const all = (texts: ReadonlyArray<string>) => Effect.map(embedders.passages(texts), (vectors) => vectors.map(change))
  return Embedder.of({ name: "Changed", spec, queryPrefix, queries: all, passages: all })
}

const same: Change = (vector) => vector
const reversed: Change = (vector) => vector.toReversed()
const cut: Change = (vector) => vector.slice(0, 95)

let state = 7
const noise = () => (state = (state * 48_271) % 0x7fffffff) / 0x7fffffff - 0.5
const largest = (vector: Float32Array) => vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
/** What storing and computing less exactly makes of a vector. */
const inexact: Readonly<Record<string, Change>> = {
  "bytes": (vector) => vector.map((value) => Math.round(127 * value / largest(vector)) * largest(vector) / 127),
  "halves": (vector) => vector.map((value) => Math.round(value * 2048) / 2048),
  "neighbours in a batch": (vector) => vector.map((value) => value * (1 + 0.002 * noise()) + 1e-4 * noise())
}

const english: ReadonlyArray<Document> = Array.from({ length: 60 }, (_, row) => ({
  id: `e${row}`,
  title: `Number ${row}`,
  text: `Passage ${row} tells of a lighthouse on island ${row * 7} and of the herring that is sold there.`
}))

/** Each differs from what Lucene makes of it by one thing. */
const beyondAscii: Readonly<Record<string, string>> = {
  "Thai": "ภาษาไทยน้ำ",
  "Katakana": "a ship called エクスプローラー in the harbour",
  "full-width letters": "the ship ＨＥＲＲＩＮＧ lies in the harbour of the town",
  "a soft hyphen": "the light\u00ADhouse stands on the island",
  "a joiner inside a word": "the light\u200Dhouse stands on the island",
  "a ligature": "the ﬁsherman sails far beyond the island"
}

export const storedVectorsContract = (name: string, { age, build, open, services }: StoredVectorsOptions): void => {
  const inDirectory = <A>(
    use: (path: string) => Effect.Effect<A, unknown, NodeServices.NodeServices | Scope.Scope>
  ): Effect.Effect<A, unknown> =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      return yield* use(`${yield* fs.makeTempDirectoryScoped()}/an index`)
    }).pipe(Effect.scoped, Effect.provide(services))

  const opened = (path: string, embedder: Embedder["Service"]) =>
    Effect.map(
      Layer.build(Layer.fresh(open(path)).pipe(Layer.provide(Layer.succeed(Embedder, embedder)))),
      (context) => Context.get(context, Retriever)
    )
  const refused = (path: string, embedder: Embedder["Service"]) =>
    Effect.map(Effect.flip(opened(path, embedder)), (error) => {
      assert.isTrue(error instanceof Error && "_tag" in error, String(error))
      return error instanceof Error && "_tag" in error ? { tag: error._tag, message: error.message } : { message: "" }
    })

  describe(`${name} keeps the contract of stored vectors`, () => {
    it.live("opens with the embedder that made them, wherever it is", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          yield* build(path, passages, changed(model("a"), same), model("a"))
          const retriever = yield* opened(path, changed(model("a-elsewhere"), same))
          const [hit] = yield* retriever.search("herring market Maren dawn", { topK: 1 })
          assert.strictEqual(hit?.id, "p6")
        })
      ))

    it.live("refuses another model, other weights of the same name and another size, and tells what to do", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          yield* build(path, passages, changed(model("a"), same), model("a"))
          const other = yield* refused(path, changed(model("b"), reversed))
          assert.strictEqual(other.tag, "EmbedderMismatch")
          for (
            const part of [
              path,
              "http://127.0.0.1:1/v1/embeddings#a",
              "http://127.0.0.1:1/v1/embeddings#b makes others",
              "cosine",
              "search-r1 index build CORPUS --engine ",
              "--embedder 'http://127.0.0.1:1/v1/embeddings#b' --out '"
            ]
          ) assert.include(other.message, part)
          const weights = yield* refused(path, changed(model("a"), reversed))
          assert.strictEqual(weights.tag, "EmbedderMismatch")
          assert.include(weights.message, "the embedder of that name makes others now")
          const size = yield* refused(path, changed(model("a"), cut))
          assert.strictEqual(size.tag, "EmbedderMismatch")
          assert.include(size.message, "have 95 dimensions, and those of the index 96")
          const numbers = yield* refused(path, changed(model("a"), (vector) => vector.fill(Number.NaN)))
          assert.strictEqual(numbers.tag, "EmbedderMismatch")
        })
      ))

    it.live("refuses a model whose queries would go without the words that the index' model wants before them", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          const bge = model("BAAI/bge-base-en-v1.5")
          yield* build(path, passages, changed(bge, same), bge)
          yield* opened(path, changed(bge, same, "Represent this sentence for searching relevant passages: "))
          const error = yield* refused(path, changed(model("alias"), same))
          assert.strictEqual(error.tag, "EmbedderMismatch")
          assert.include(error.message, "Represent this sentence")
        })
      ))

    it.live("opens where vectors differ by no more than storage and batches explain", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          yield* build(path, passages, changed(model("a"), same), model("a"))
          for (const [what, change] of Object.entries(inexact)) {
            const retriever = yield* opened(path, changed(model("a"), change))
            const [hit] = yield* retriever.search("herring market Maren dawn", { topK: 1 })
            assert.strictEqual(hit?.id, "p6", what)
          }
        })
      ))

    it.live("says where they differ by more than that, and less than models do", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          const logged: Array<string> = []
          const logger = Logger.layer([Logger.make(({ message }) => void logged.push(String(message)))])
          yield* build(path, passages, changed(model("a"), same), model("a"))
          const coarse: Change = (vector) => vector.map((value, at) => value + (at % 2 === 0 ? 0.01 : -0.01))
          yield* opened(path, changed(model("q8"), coarse)).pipe(Effect.provide(logger))
          assert.lengthOf(logged, 1)
          assert.match(logged[0] ?? "", /slightly other vectors \(cosine 0\.99/)
        })
      ))

    it.live.each(Object.entries(beyondAscii))(
      "refuses hashed words of before, which took other texts apart otherwise, by one passage: %s",
      ([, text]) =>
        inDirectory((path) =>
          Effect.gen(function*() {
            const documents = [...english, { id: "x", title: "Élan café", text: "a café in Maren – “Élan”" }, {
              id: "y",
              title: "Other",
              text
            }, ...english]
            yield* build(path, documents, oldHashing(dimensions), hashing)
            const named = yield* refused(path, embedders)
            assert.strictEqual(named.tag, "EmbedderMismatch")
            yield* age(path)
            const old = yield* refused(path, embedders)
            assert.strictEqual(old.tag, "EmbedderMismatch")
            assert.include(old.message, "holds vectors by hashing:96, and the embedder of that name makes others now")
          })
        )
    )

    it.live("opens old hashed words of English", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          yield* build(path, english, oldHashing(dimensions), hashing)
          yield* age(path)
          const retriever = yield* opened(path, embedders)
          assert.lengthOf(yield* retriever.search("island", { topK: 3 }), 3)
        })
      ))

    it.live("fails with the embedder's error where that cannot be asked", () =>
      inDirectory((path) =>
        Effect.gen(function*() {
          const down = new RetrieverUnavailable({ retriever: "Down", reason: "connection refused" })
          const absent = Embedder.of({
            name: "Down",
            queries: () => Effect.fail(down),
            passages: () => Effect.fail(down)
          })
          yield* build(path, passages, changed(model("a"), same), model("a"))
          assert.strictEqual((yield* refused(path, absent)).tag, "RetrieverUnavailable")
        })
      ))
  })
}
