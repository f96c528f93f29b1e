/**
 * What of a query is not searched is said, by every engine that leaves something out.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Stream } from "effect"
import type { Document } from "../../../src/domain/Document.ts"
import * as MultilingualAnalyzer from "../../../src/domain/MultilingualAnalyzer.ts"
import * as SearchQuery from "../../../src/domain/SearchQuery.ts"
import * as EmbedderHashing from "../../../src/layers/embedder/EmbedderHashing.ts"
import { lance } from "../../../src/layers/optional/packages.ts"
import * as RetrieverBatching from "../../../src/layers/retriever/RetrieverBatching.ts"
import * as RetrieverBm25 from "../../../src/layers/retriever/RetrieverBm25.ts"
import * as RetrieverCache from "../../../src/layers/retriever/RetrieverCache.ts"
import * as RetrieverDense from "../../../src/layers/retriever/RetrieverDense.ts"
import * as RetrieverElastic from "../../../src/layers/retriever/RetrieverElastic.ts"
import * as RetrieverHybrid from "../../../src/layers/retriever/RetrieverHybrid.ts"
import * as RetrieverLance from "../../../src/layers/retriever/RetrieverLance.ts"
import * as RetrieverLunr from "../../../src/layers/retriever/RetrieverLunr.ts"
import * as RetrieverMemory from "../../../src/layers/retriever/RetrieverMemory.ts"
import * as RetrieverRemote from "../../../src/layers/retriever/RetrieverRemote.ts"
import { Retriever } from "../../../src/services/Retriever.ts"
import { json, serve } from "../../support/httpServer.ts"
import { absence } from "../../support/optionalPackage.ts"
import { withWarnings } from "../../support/warnings.ts"

const word = (number: number) => `w${number.toString(36)}q`
const words = (count: number) => Array.from({ length: count }, (_, number) => word(number)).join(" ")

/** All words of the longest query. */
const documents: ReadonlyArray<Document> = Array.from({ length: 15 }, (_, row) => ({
  id: `p${row}`,
  title: `Passage ${row}`,
  text: Array.from({ length: 100 }, (_, at) => word(100 * row + at)).join(" ")
}))

const stream = Stream.fromIterable(documents)
const bm25 = RetrieverBm25.layer(stream)
const memory = RetrieverMemory.layer({ documents })
const hashing = EmbedderHashing.layer({ dimensions: 64 })

const elastic = Layer.unwrap(Effect.gen(function*() {
  const { url } = yield* serve((body, response) =>
    json(response, body.includes("\n") ? { responses: [{ hits: { hits: [] } }] } : { hits: { hits: [] } })
  )
  return RetrieverElastic.layer({ url: new URL("/", url), index: "x", fields: ["text"] }).pipe(
    Layer.provide(NodeHttpClient.layerUndici)
  )
}))

const words1100 = "of 1,100 terms the first 1,024 are searched"

const engines: Record<string, Layer.Layer<Retriever, unknown>> = {
  "RetrieverBm25": bm25,
  "RetrieverLunr": RetrieverLunr.layer(stream, { cacheDirectory: false }).pipe(Layer.provide(NodeServices.layer)),
  "RetrieverMemory": memory,
  "RetrieverElastic": elastic,
  "RetrieverHybrid": RetrieverHybrid.layer<never, never>([
    bm25,
    RetrieverDense.layer(stream).pipe(Layer.provide(hashing), Layer.orDie)
  ]),
  "decorators": RetrieverCache.layer().pipe(
    Layer.provide(RetrieverBatching.layer()),
    Layer.provide(memory)
  )
}

if (await absence(lance) === undefined) {
  engines["RetrieverLance"] = Layer.unwrap(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = `${yield* fs.makeTempDirectoryScoped()}/index.lance`
    yield* RetrieverLance.build(Stream.make(documents), path)
    return RetrieverLance.layerWords(path)
  })).pipe(Layer.provide(NodeServices.layer))
}

describe.each(Object.entries(engines))("%s", (_, layer) => {
  it.live("says how many terms of a query it leaves out, once a query", () =>
    Effect.gen(function*() {
      const retriever = yield* Retriever
      const cut = yield* withWarnings(retriever.search(words(1100), { topK: 1 }))
      assert.lengthOf(cut.warnings, 1)
      assert.include(cut.warnings[0] ?? "", words1100)
      const again = yield* withWarnings(retriever.search(`${words(1200)} again`, { topK: 1 }))
      assert.lengthOf(again.warnings, 1)
      const whole = yield* withWarnings(retriever.search(words(1024), { topK: 1 }))
      assert.deepStrictEqual(whole.warnings, [])
      assert.strictEqual(SearchQuery.leftOut(words(1100), retriever.countTerms), words1100)
    }).pipe(Effect.provide(layer)))
})

describe("what is left out of a query", () => {
  it("counts the terms that an index knows, of what is read", () => {
    const count = SearchQuery.countTerms(MultilingualAnalyzer.analyze, (term) => term !== "w1q")
    assert.strictEqual(SearchQuery.leftOut(words(1024), count), undefined)
    assert.strictEqual(SearchQuery.leftOut(words(1025), count), undefined)
    assert.strictEqual(SearchQuery.leftOut(words(1026), count), "of 1,025 terms the first 1,024 are searched")
    assert.strictEqual(SearchQuery.leftOut("x ".repeat(5000), count), "of 10,000 characters the first 8,192 are read")
    assert.match(
      SearchQuery.leftOut(words(2000), count) ?? "",
      /^of 10,667 characters the first 8,192 are read, of 1,\d\d\d terms the first 1,024 are searched$/
    )
  })

  it("is that of the engine that leaves most out, where several are asked", () => {
    const counts = [3, 9, 5].map((all) => () => ({ all, searched: 2 }))
    assert.deepStrictEqual(SearchQuery.worstCount(counts)("x"), { all: 9, searched: 2 })
    assert.deepStrictEqual(SearchQuery.worstCount([])("x"), { all: 0, searched: 0 })
  })

  it.live("is repeated by a client whose server says so", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => {
        response.setHeader(
          "warning",
          "199 search-r1 \"query 1 of 1: of 1,100 terms\", 110 - \"Response \\\"is\\\" stale\""
        )
        json(response, { result: [[]] })
      })
      const { warnings } = yield* withWarnings(
        Retriever.use((retriever) => retriever.search("x", { topK: 1 })).pipe(
          Effect.provide(RetrieverRemote.layer({ url: server.url }).pipe(Layer.provide(NodeHttpClient.layerUndici)))
        )
      )
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0] ?? "", /warns: query 1 of 1: of 1,100 terms; Response "is" stale$/)
    }).pipe(Effect.scoped))
})
