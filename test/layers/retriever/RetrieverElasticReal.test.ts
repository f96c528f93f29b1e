/**
 * The contract against a real Elasticsearch or OpenSearch: set ELASTICSEARCH_URL, for example http://127.0.0.1:9200. An
 * index of its own is made there and deleted again. docs/performance.md says with which versions this has passed and how
 * to get one from Maven Central.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { uniqueName } from "../../../src/layers/hash.ts"
import * as RetrieverElastic from "../../../src/layers/retriever/RetrieverElastic.ts"
import { Retriever } from "../../../src/services/Retriever.ts"
import { retrieverContract } from "../../contract/retriever.ts"
import { passages } from "../../support/passages.ts"

const url = process.env["ELASTICSEARCH_URL"]?.replace(/\/+$/, "")

if (url === undefined) {
  describe("RetrieverElastic against a real cluster", () => {
    it.skip("ELASTICSEARCH_URL is not set", () => {})
  })
} else {
  const cluster: string = url
  const index = `search-r1-${uniqueName()}`

  const call = Effect.fnUntraced(function*(request: HttpClientRequest.HttpClientRequest) {
    const client = yield* HttpClient.HttpClient
    return yield* client.execute(request).pipe(Effect.flatMap(HttpClientResponse.filterStatusOk))
  })

  const bulk = passages.flatMap(({ id, ...source }) => [{ index: { _index: index, _id: id } }, { id, ...source }])
    .map((line) => `${JSON.stringify(line)}\n`)
    .join("")

  /** An index that lives as long as the retriever over it. */
  const indexed = Effect.acquireRelease(
    Effect.gen(function*() {
      // one shard: BM25 counts words by shard
      const settings = { settings: { number_of_shards: 1, number_of_replicas: 0 } }
      yield* call(HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.put(`${cluster}/${index}`), settings))
      yield* call(HttpClientRequest.bodyText(
        HttpClientRequest.post(`${cluster}/_bulk?refresh=true`),
        bulk,
        "application/x-ndjson"
      ))
    }),
    () => Effect.ignore(call(HttpClientRequest.delete(`${cluster}/${index}`)))
  )

  const layer = Layer.unwrap(Effect.as(indexed, RetrieverElastic.layer({ url: cluster, index }))).pipe(
    Layer.provide(NodeHttpClient.layerUndici)
  )

  retrieverContract("RetrieverElastic against a real cluster", { layer, runs: 5 })

  describe("RetrieverElastic against a real cluster", () => {
    it.live.each<readonly [string, string]>([
      ["different words", Array.from({ length: 5000 }, (_, at) => `word${at}`).join(" ")],
      ["ideographs", "漢字仮名交文".repeat(500)],
      ["one endless word", "a".repeat(300_000)]
    ])(
      "takes a query of very many %s",
      ([, text]) =>
        Retriever.use(({ searchMany }) => searchMany([text, `herring ${text}`], { topK: 3 })).pipe(
          Effect.tap(([, hits]) => Effect.sync(() => assert.strictEqual(hits?.[0]?.id, "p6"))),
          Effect.provide(layer)
        )
    )

    it.live("explains an index that is not there, alone and in a batch", () =>
      Effect.gen(function*() {
        const missing = RetrieverElastic.layer({ url: cluster, index: "no-such-index" }).pipe(
          Layer.provide(NodeHttpClient.layerUndici)
        )
        for (const queries of [["a"], ["a", "b"]]) {
          const error = yield* Retriever.use(({ search, searchMany }) =>
            Effect.flip(
              queries.length === 1
                ? Effect.asVoid(search("a", { topK: 3 }))
                : Effect.asVoid(searchMany(queries, { topK: 3 }))
            )
          ).pipe(Effect.provide(missing))
          assert.strictEqual(error._tag, "RetrieverRejected")
          assert.match(error.message, /404.*no such index/s)
        }
      }))
  })
}
