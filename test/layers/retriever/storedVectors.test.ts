import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Stream } from "effect"
import { crc32 } from "node:zlib"
import * as EmbedderFromSpec from "../../../src/layers/embedder/EmbedderFromSpec.ts"
import * as EmbedderHashing from "../../../src/layers/embedder/EmbedderHashing.ts"
import { lance } from "../../../src/layers/optional/packages.ts"
import { magic } from "../../../src/layers/retriever/indexfile/format.ts"
import { writeIndex } from "../../../src/layers/retriever/indexfile/write.ts"
import * as RetrieverBm25 from "../../../src/layers/retriever/RetrieverBm25.ts"
import * as RetrieverDense from "../../../src/layers/retriever/RetrieverDense.ts"
import * as RetrieverHybrid from "../../../src/layers/retriever/RetrieverHybrid.ts"
import * as RetrieverIndex from "../../../src/layers/retriever/RetrieverIndex.ts"
import * as RetrieverLance from "../../../src/layers/retriever/RetrieverLance.ts"
import { Embedder } from "../../../src/services/Embedder.ts"
import type { Retriever } from "../../../src/services/Retriever.ts"
import { storedVectorsContract, type StoredVectorsOptions } from "../../contract/storedVectors.ts"
import { json, serve } from "../../support/httpServer.ts"
import { absence } from "../../support/optionalPackage.ts"
import { passages } from "../../support/passages.ts"

const withoutProbes = (description: string): string => description.replace(/,"probes":\[[\d,]*\]/, "")

const file = (
  words: boolean,
  open: (path: string) => Layer.Layer<Retriever, unknown, Embedder>
): StoredVectorsOptions => ({
  build: (path, documents, embedder, spec) =>
    writeIndex(Stream.make(documents), path, {
      words: words ? RetrieverBm25.defaultParameters : null,
      vectors: { passages: embedder.passages, spec }
    }),
  open,
  age: (path) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const bytes = Buffer.from(yield* fs.readFile(path))
      const trailer = 8 + magic.length
      const length = bytes.readUInt32LE(bytes.length - trailer)
      const start = bytes.length - trailer - length
      const description = bytes.toString("utf8", start, start + length)
      const footer = Buffer.from(withoutProbes(description))
      assert.isBelow(footer.length, length)
      const ends = Buffer.alloc(8)
      ends.writeUInt32LE(footer.length, 0)
      ends.writeUInt32LE(crc32(footer), 4)
      yield* fs.writeFile(path, Buffer.concat([bytes.subarray(0, start), footer, ends, magic]))
    }),
  services: NodeServices.layer
})

storedVectorsContract("RetrieverDense", file(false, (path) => RetrieverDense.layerIndex(path)))
storedVectorsContract(
  "RetrieverHybrid over RetrieverDense",
  file(
    true,
    (path) =>
      RetrieverHybrid.layer<unknown, Embedder>([RetrieverBm25.layerIndex(path), RetrieverDense.layerIndex(path)])
  )
)

const reason = await absence(lance)
if (reason !== undefined) {
  describe("RetrieverLance", () => {
    it.skip(`is absent: ${reason}`, () => {})
  })
} else {
  for (const mode of ["flat", "hybrid"] as const) {
    storedVectorsContract(`RetrieverLance in mode ${mode}`, {
      build: (path, documents, embedder, spec) =>
        RetrieverLance.build(Stream.make(documents), path, {
          fullText: mode === "hybrid",
          vectors: { embedder, spec, index: "flat" }
        }),
      open: (path) => RetrieverLance.layer(path, { mode }),
      age: (path) =>
        Effect.gen(function*() {
          const fs = yield* FileSystem.FileSystem
          const description = yield* fs.readFileString(`${path}/search-r1.json`)
          const aged = withoutProbes(description)
          assert.notStrictEqual(aged, description)
          yield* fs.writeFileString(`${path}/search-r1.json`, aged)
        }),
      services: NodeServices.layer
    })
  }

  describe("RetrieverLance.build", () => {
    it.live("does not go on with another embedder than it was begun with", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const path = `${yield* fs.makeTempDirectoryScoped()}/index.lance`
        const embedder = yield* Embedder
        const spec = { _tag: "http", url: "http://127.0.0.1:1/v1/embeddings", model: "a" } as const
        const reversed = Embedder.of({
          ...embedder,
          passages: (texts) => Effect.map(embedder.passages(texts), (vectors) => vectors.map((v) => v.toReversed()))
        })
        const cutOff = Stream.concat(Stream.make(passages.slice(0, 4)), Stream.fail("cut" as const))
        yield* Effect.flip(
          RetrieverLance.build(cutOff, path, { vectors: { embedder, spec, index: "flat" }, batchSize: 2 })
        )
        const error = yield* Effect.flip(
          RetrieverLance.build(Stream.make(passages), path, { vectors: { embedder: reversed, spec, index: "flat" } })
        )
        assert.strictEqual(error._tag, "EmbedderMismatch")
        assert.match(error.message, /Begin anew with --restart/)
        const whole = yield* RetrieverLance.build(Stream.make(passages), path, {
          vectors: { embedder, spec, index: "flat" }
        })
        assert.strictEqual(whole.documents, passages.length)
      }).pipe(Effect.provide([EmbedderHashing.layer({ dimensions: 96 }), NodeServices.layer])))
  })
}

describe("RetrieverIndex", () => {
  it.live("tells a server that has other weights now from the one that built the index", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* fs.makeTempDirectoryScoped()}/passages.idx`
      let weights = 1
      const server = yield* serve((body, response) => {
        const { input } = JSON.parse(body)
        json(response, {
          data: input.map((text: string) => ({
            embedding: Array.from(
              EmbedderHashing.embed(text, 64),
              (value, at) => at % 2 === 0 ? value : weights * value
            )
          }))
        })
      })
      const spec = { _tag: "http", url: server.url.replace("/retrieve", "/v1/embeddings"), model: "m" } as const
      const build = Effect.scoped(
        Effect.flatMap(Embedder, ({ passages: embed }) =>
          writeIndex(Stream.make(passages), path, { words: null, vectors: { passages: embed, spec } }))
      )
      const embedder = yield* Layer.build(EmbedderFromSpec.layer(spec))
      yield* build.pipe(Effect.provide(embedder))
      const open = Layer.build(Layer.fresh(RetrieverIndex.layer(path)))
      yield* open
      weights = -1
      const error = yield* Effect.flip(open)
      assert.strictEqual(error._tag, "EmbedderMismatch")
    }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, NodeHttpClient.layerUndici])))
})
