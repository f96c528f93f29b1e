import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import type { Document } from "../../../src/domain/Document.ts"
import * as RetrieverElastic from "../../../src/layers/retriever/RetrieverElastic.ts"
import * as RetrieverMemory from "../../../src/layers/retriever/RetrieverMemory.ts"
import { Retriever, type RetrieverError } from "../../../src/services/Retriever.ts"
import { retrieverContract } from "../../contract/retriever.ts"
import { type Handler, json, serve } from "../../support/httpServer.ts"
import { passages } from "../../support/passages.ts"

const memory = RetrieverMemory.make({ documents: passages })

const source = ({ id, text, title }: Document) => ({ id, title, text })

/** What a cluster answers to one search, in the form of its documentation. */
const answer = (
  search: { readonly size: number; readonly query: { readonly multi_match: { readonly query: string } } }
) =>
  Effect.map(memory.search(search.query.multi_match.query, { topK: search.size }), (hits) => ({
    took: 1,
    timed_out: false,
    _shards: { total: 1, successful: 1, skipped: 0, failed: 0 },
    hits: {
      total: { value: hits.length, relation: "eq" },
      max_score: null,
      hits: hits.map(({ score, ...document }) => ({
        _index: "wiki",
        _id: `_${document.id}`,
        _score: score,
        _source: source(document),
        sort: [score, 1]
      }))
    },
    status: 200
  }))

const cluster: Handler = (body, response, request) => {
  const searches = request.url === "/_msearch"
    ? body.trimEnd().split("\n").filter((_, index) => index % 2 === 1).map((line) => JSON.parse(line))
    : [JSON.parse(body)]
  void Effect.runPromise(Effect.forEach(searches, answer)).then((responses) =>
    json(response, request.url === "/_msearch" ? { took: 1, responses } : responses[0])
  )
}

const elastic = (url: string, options?: Partial<RetrieverElastic.Options>) =>
  RetrieverElastic.layer({ url: url.replace("/retrieve", "/"), index: "wiki", ...options }).pipe(
    Layer.provide(NodeHttpClient.layerUndici)
  )

retrieverContract("RetrieverElastic", {
  layer: Layer.unwrap(Effect.map(serve(cluster), ({ url }) => elastic(url))),
  runs: 10
})

describe("RetrieverElastic", () => {
  const failing = Effect.fnUntraced(function*(body: unknown, status = 200, queries: ReadonlyArray<string> = ["a"]) {
    const server = yield* serve((_, response) => json(response, body, status))
    return yield* Retriever.use((retriever) =>
      Effect.flip<unknown, RetrieverError, never>(
        queries.length === 1
          ? retriever.search(queries[0] ?? "", { topK: 2 })
          : retriever.searchMany(queries, { topK: 2 })
      )
    ).pipe(Effect.provide(elastic(server.url)))
  })

  it.live("asks for one query with _search, for many with _msearch, and shows who it is", () =>
    Effect.gen(function*() {
      const server = yield* serve(cluster)
      yield* Retriever.use((retriever) =>
        Effect.andThen(retriever.search("a\nb", { topK: 2 }), retriever.searchMany(["a\nb", "", "c"], { topK: 2 }))
      ).pipe(Effect.provide(elastic(server.url, { apiKey: Redacted.make("key") })))
      assert.deepStrictEqual(server.urls, ["/wiki/_search", "/_msearch"])
      assert.strictEqual(server.headers[1]?.authorization, "ApiKey key")
      assert.strictEqual(server.headers[1]?.["content-type"], "application/x-ndjson")
      const [header = "", first = ""] = (server.bodies[1] ?? "").split("\n")
      assert.strictEqual(server.bodies[1]?.split("\n").length, 5)
      assert.deepStrictEqual(JSON.parse(header), { index: "wiki" })
      assert.deepStrictEqual(JSON.parse(first), JSON.parse(server.bodies[0] ?? ""))
      assert.deepStrictEqual(JSON.parse(first).query.multi_match, {
        query: "a\nb",
        fields: ["title^2", "text", "contents"],
        type: "most_fields"
      })
    }))

  it.live("gives each failure of a cluster its error", () =>
    Effect.gen(function*() {
      const missing = { error: { type: "index_not_found_exception", reason: "no such index [wiki]" }, status: 404 }
      const alone = yield* failing(missing, 404)
      assert(alone._tag === "RetrieverRejected")
      assert.strictEqual(alone.status, 404)
      const among = yield* failing({ took: 1, responses: [{ hits: { hits: [] }, status: 200 }, missing] }, 200, [
        "a",
        "b"
      ])
      assert(among._tag === "RetrieverRejected")
      assert.include(among.message, "no such index")
      assert.strictEqual((yield* failing({ timed_out: true, hits: { hits: [] } }))._tag, "RetrieverFailed")
      const shards = { total: 5, failed: 2, failures: [{ reason: { type: "x", reason: "disk is gone" } }] }
      const partly = yield* failing({ _shards: shards, hits: { hits: [] } })
      assert.match(partly.message, /2 of 5 shards failed, so that passages are missing: disk is gone/)
      assert.strictEqual((yield* failing({ took: 1 }))._tag, "RetrieverUnexpectedShape")
      assert.strictEqual((yield* failing({ responses: [] }, 200, ["a", "b"]))._tag, "RetrieverUnexpectedShape")
      const foreign = yield* failing({ hits: { hits: [{ _id: "1", _score: 1, _source: { body: "x" } }] } })
      assert.include(foreign.message, "document 1")
      assert.strictEqual(
        (yield* failing({ error: { type: "es_rejected_execution_exception" } }, 429))._tag,
        "RetrieverRejected"
      )
    }))
})
