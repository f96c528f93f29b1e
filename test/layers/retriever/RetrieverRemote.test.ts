import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, DateTime, Effect, Fiber, Layer } from "effect"
import { FetchHttpClient, type HttpClient } from "effect/http"
import type { ServerResponse } from "node:http"
import * as JsonHttp from "../../../src/layers/retriever/jsonHttp.ts"
import * as RetrieverRemote from "../../../src/layers/retriever/RetrieverRemote.ts"
import * as RetrieverResilient from "../../../src/layers/retriever/RetrieverResilient.ts"
import * as RetrieverTimeLimit from "../../../src/layers/retriever/RetrieverTimeLimit.ts"
import { isRetryable, Retriever } from "../../../src/services/Retriever.ts"
import { json, serve } from "../../support/httpServer.ts"

const clients: ReadonlyArray<readonly [string, Layer.Layer<HttpClient.HttpClient>]> = [
  ["undici", NodeHttpClient.layerUndici],
  ["fetch", FetchHttpClient.layer]
]

const [[, undici] = ["", NodeHttpClient.layerUndici] as const] = clients

const remote = (url: string, options?: Omit<RetrieverRemote.Options, "url">, client = undici) =>
  RetrieverRemote.layer({ ...options, url }).pipe(Layer.provide(client))

const use = <A, E, R>(layer: Layer.Layer<Retriever>, f: (retriever: Retriever["Service"]) => Effect.Effect<A, E, R>) =>
  Retriever.use(f).pipe(Effect.provide(layer, { local: true }))

const document = { id: "1", contents: "\"T\"\nx" }
const expected = { id: "1", title: "\"T\"", text: "x" }

/** What a server may do wrong, the error that it must become, and whether another attempt makes sense. */
const faults: ReadonlyArray<readonly [string, (response: ServerResponse) => void, string, boolean]> = [
  ["answers 500", (r) => json(r, { detail: "boom" }, 500), "RetrieverRejected", true],
  [
    "answers 503 with half a body",
    (r) => {
      r.writeHead(503, { "content-length": "100" })
      r.write("half")
      setTimeout(() => r.destroy(), 5)
    },
    "RetrieverRejected",
    true
  ],
  ["answers 404", (r) => json(r, {}, 404), "RetrieverRejected", false],
  ["answers 204", (r) => void r.writeHead(204).end(), "RetrieverMalformedJson", true],
  ["answers with an empty body", (r) => void r.end(), "RetrieverMalformedJson", true],
  ["answers with half a JSON", (r) => void r.end("{\"result\": [[{\"docum"), "RetrieverMalformedJson", true],
  ["answers with a page", (r) => void r.end("<html>Bad Gateway</html>"), "RetrieverMalformedJson", true],
  ["hangs up without an answer", (r) => void r.destroy(), "RetrieverUnavailable", true],
  [
    "hangs up in the middle of its answer",
    (r) => {
      r.writeHead(200, { "content-length": "100" })
      r.write("{\"result\": [")
      setTimeout(() => r.destroy(), 5)
    },
    "RetrieverUnavailable",
    true
  ],
  ["hangs", () => {}, "RetrieverTimeout", true],
  [
    "hangs in the middle of its answer",
    (r) => {
      r.writeHead(200, { "content-length": "100" })
      r.write("{\"result\": [")
    },
    "RetrieverTimeout",
    true
  ],
  ["answers null", (r) => json(r, null), "RetrieverUnexpectedShape", false],
  ["answers without a result", (r) => json(r, { results: [[]] }), "RetrieverUnexpectedShape", false],
  ["answers two queries for one", (r) => json(r, { result: [[], []] }), "RetrieverUnexpectedShape", false],
  ["answers no query for one", (r) => json(r, { result: [] }), "RetrieverUnexpectedShape", false],
  ["answers with a list too few", (r) => json(r, { result: [{ document }] }), "RetrieverUnexpectedShape", false],
  ["answers with a number", (r) => json(r, { result: [[7]] }), "RetrieverUnexpectedShape", false],
  [
    "answers without contents",
    (r) => json(r, { result: [[{ document: { id: "1" } }]] }),
    "RetrieverUnexpectedShape",
    false
  ],
  [
    "answers with a word for a score",
    (r) => json(r, { result: [[{ document, score: "high" }]] }),
    "RetrieverUnexpectedShape",
    false
  ]
]

describe.each(clients)("RetrieverRemote over %s", (_, client) => {
  it.live.each([...faults])(
    "gives a server that %s its own error",
    ([, respond, tag, retryable]) =>
      Effect.gen(function*() {
        const server = yield* serve((_, response) => respond(response))
        const layer = RetrieverTimeLimit.layer({ duration: "250 millis" }).pipe(
          Layer.provide(remote(server.url, undefined, client))
        )
        const error = yield* use(layer, (retriever) => Effect.flip(retriever.search("q", { topK: 3 })))
        assert.strictEqual(error._tag, tag, error.message)
        assert.strictEqual(isRetryable(error), retryable)
        assert.include(error.retriever, server.url)
        if (tag === "RetrieverTimeout") yield* server.until(() => server.open() === 0)
      })
  )

  it.live("gives a server that refuses the connection RetrieverUnavailable", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.scoped(serve(() => {}))
      const error = yield* use(
        remote(url, undefined, client),
        (retriever) => Effect.flip(retriever.search("q", { topK: 3 }))
      )
      assert.strictEqual(error._tag, "RetrieverUnavailable")
      assert.include(error.message, "ECONNREFUSED")
    }))

  it.live("closes the connections of interrupted searches", () =>
    Effect.gen(function*() {
      let requests = 0
      const server = yield* serve((_, response) => {
        requests += 1
        // half of them hang before the first byte, half in the middle of the answer
        if (requests % 2 === 0) response.writeHead(200).write("{")
      })
      yield* use(remote(server.url, undefined, client), (retriever) =>
        Effect.gen(function*() {
          const fibers = yield* Effect.forEach(
            Array.from({ length: 64 }, (_, n) => `q${n}`),
            (query) => Effect.forkChild(retriever.search(query, { topK: 3 }))
          )
          yield* server.until(() => requests === 64)
          assert.strictEqual(server.open(), 64)
          yield* Fiber.interruptAll(fibers)
          yield* server.until(() => server.open() === 0)
        }))
    }))
})

describe("RetrieverRemote", () => {
  it.live("sends what the reference's server wants, a batch a request, and nothing for nothing", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => json(response, { result: [[{ document, score: 0.5 }], []] }))
      yield* use(remote(server.url, { bearerToken: "secret" }), (retriever) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* retriever.searchMany([], { topK: 3 }), [])
          assert.deepStrictEqual(yield* retriever.searchMany(["a"], { topK: 0 }), [[]])
          assert.deepStrictEqual(yield* retriever.searchMany(["a", "b"], { topK: 3 }), [
            [{ ...expected, score: 0.5 }],
            []
          ])
        }))
      assert.deepStrictEqual(server.bodies, ["{\"queries\":[\"a\",\"b\"],\"topk\":3,\"return_scores\":true}"])
      assert.strictEqual(server.headers[0]?.authorization, "Bearer secret")
      assert.strictEqual(server.headers[0]?.["content-type"], "application/json")
    }))

  it.live("sends SkyRL's server one query a request", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => json(response, { result: [[{ document, score: 0.5 }]] }))
      const results = yield* use(
        remote(server.url, { dialect: "skyrl", concurrency: 1 }),
        (retriever) => retriever.searchMany(["a", "b"], { topK: 2 })
      )
      assert.deepStrictEqual(results, [[{ ...expected, score: 0.5 }], [{ ...expected, score: 0.5 }]])
      assert.deepStrictEqual(server.bodies, [
        "{\"query\":\"a\",\"topk\":2,\"return_scores\":true}",
        "{\"query\":\"b\",\"topk\":2,\"return_scores\":true}"
      ])
    }))

  it.live("sends the reference's rerank server its own numbers", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => json(response, { result: [["\"T\"\nx"]] }))
      yield* use(
        remote(server.url, { dialect: "search-r1-rerank" }),
        (retriever) => retriever.search("a", { topK: 2 })
      )
      assert.deepStrictEqual(server.bodies, [
        "{\"queries\":[\"a\"],\"topk_retrieval\":10,\"topk_rerank\":2,\"return_scores\":true}"
      ])
    }))

  it.live.each<readonly [string, unknown, { readonly title: string; readonly text: string; readonly id?: string }]>([
    ["an object with contents", { id: "1", contents: "\"T\"\nx\ny" }, { id: "1", title: "\"T\"", text: "x\ny" }],
    ["a number as its id", { id: 7, contents: "T\nx" }, { id: "7", title: "T", text: "x" }],
    ["title, text and contents but no id", { title: "T", text: "x", contents: "\"T\"\nx" }, {
      title: "\"T\"",
      text: "x"
    }],
    ["a title with a line break", { id: "1", title: "T\nU", text: "x", contents: "T\nU\nx" }, {
      title: "T\nU",
      text: "x"
    }],
    ["title and text alone", { id: "1", title: "T", text: "x" }, { id: "1", title: "T", text: "x" }],
    ["contents without a title line", { id: "1", contents: "only" }, { title: "only", text: "" }],
    ["a string", "\"T\"\nx\ny", { title: "\"T\"", text: "x\ny" }],
    ["a reranker's string", "(Title: Mercury (planet)) Mercury is hot.", {
      title: "Mercury (planet)",
      text: "Mercury is hot."
    }],
    ["a reranker's string without an end of its title", "(Title: Mercury is hot.", {
      title: "(Title: Mercury is hot.",
      text: ""
    }]
  ])("reads a document that is %s, with a score and without", ([, sent, read]) =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) =>
        json(response, { result: [[{ document: sent, score: -2 }], [sent, sent, sent]] })
      )
      const [scored = [], bare = []] = yield* use(
        remote(server.url),
        (retriever) => retriever.searchMany(["a", "b"], { topK: 2 })
      )
      assert.deepInclude(scored[0], { ...read, score: -2 })
      assert.deepStrictEqual(bare.map(({ score }) => score), [1, 0.5])
      assert.isNotEmpty(bare[0]?.id)
      assert.strictEqual(bare[0]?.id, bare[1]?.id)
    }))

  it.live("tells Retry-After apart in seconds and as a date", () =>
    Effect.gen(function*() {
      const at = DateTime.toDateUtc(DateTime.add(yield* DateTime.now, { minutes: 1 })).toUTCString()
      const server = yield* serve((body, response) => {
        response.setHeader("retry-after", body.includes("date") ? at : "7")
        json(response, {}, 429)
      })
      yield* use(remote(server.url), (retriever) =>
        Effect.gen(function*() {
          const seconds = yield* Effect.flip(retriever.search("seconds", { topK: 1 }))
          const date = yield* Effect.flip(retriever.search("date", { topK: 1 }))
          assert(seconds._tag === "RetrieverRejected" && date._tag === "RetrieverRejected")
          assert.strictEqual(seconds.retryAfterMillis, 7000)
          assert.isAbove(date.retryAfterMillis ?? 0, 0)
          assert.isAtMost(date.retryAfterMillis ?? 0, 60_000)
        }))
    }))

  it("reads Retry-After as RFC 9110 has it", () => {
    const now = Date.UTC(2026, 0, 1)
    assert.strictEqual(JsonHttp.parseRetryAfter("120", now), 120_000)
    assert.strictEqual(JsonHttp.parseRetryAfter(" 0 ", now), 0)
    assert.strictEqual(JsonHttp.parseRetryAfter("Thu, 01 Jan 2026 00:00:30 GMT", now), 30_000)
    assert.strictEqual(JsonHttp.parseRetryAfter("Wed, 31 Dec 2025 23:59:59 GMT", now), 0)
    assert.strictEqual(JsonHttp.parseRetryAfter("Thursday, 01-Jan-26 00:00:30 GMT", now), 30_000)
    for (const header of [undefined, "", "-1", "soon", "1e3"]) {
      assert.strictEqual(JsonHttp.parseRetryAfter(header, now), undefined)
    }
  })

  it.live("survives a server that dies between searches", () =>
    Effect.gen(function*() {
      let requests = 0
      const server = yield* serve((_, response, request) => {
        requests += 1
        // the second request meets the end of the process behind the kept-alive connection
        if (requests === 2) return void request.socket.destroy()
        json(response, { result: [[document]] })
      })
      const layer = RetrieverResilient.layer({ retry: { base: "1 millis" } }).pipe(Layer.provide(remote(server.url)))
      yield* use(layer, (retriever) =>
        Effect.gen(function*() {
          for (const query of ["a", "b", "c"]) {
            assert.strictEqual((yield* retriever.search(query, { topK: 1 })).length, 1)
          }
        }))
      assert.strictEqual(requests, 4)
    }))

  it.live("sends the searches of many fibers in few requests, equal ones once", () =>
    Effect.gen(function*() {
      const server = yield* serve((body, response) => {
        const queries = body.slice(body.indexOf("["), body.indexOf("]")).split(",")
        json(response, { result: queries.map(() => [document]) })
      })
      const layer = RetrieverResilient.layer({ batching: { window: "20 millis" } }).pipe(
        Layer.provide(remote(server.url))
      )
      const asked = Array.from({ length: 60 }, (_, n) => `q${n % 30}`)
      const results = yield* use(layer, (retriever) =>
        Effect.forEach(asked, (query) =>
          retriever.search(query, { topK: 1 }), { concurrency: "unbounded" }))
      assert.strictEqual(results.length, 60)
      assert.strictEqual(server.bodies.length, 1)
    }))

  it.live("takes its address from the environment", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => json(response, { result: [[document]] }))
      const layer = RetrieverRemote.layerConfig.pipe(
        Layer.provide(undici),
        Layer.provide(
          ConfigProvider.layer(ConfigProvider.fromUnknown({ RETRIEVER: { URL: server.url, DIALECT: "skyrl" } }))
        )
      )
      yield* Retriever.use((retriever) => retriever.search("a", { topK: 1 })).pipe(Effect.provide(layer))
      assert.deepStrictEqual(server.bodies, ["{\"query\":\"a\",\"topk\":1,\"return_scores\":true}"])
    }))

  it("adds the endpoint to a bare address", () => {
    assert.strictEqual(RetrieverRemote.endpoint("http://h:1"), "http://h:1/retrieve")
    assert.strictEqual(RetrieverRemote.endpoint("http://h:1/"), "http://h:1/retrieve")
    assert.strictEqual(RetrieverRemote.endpoint("http://h:1/v1/search?x=1"), "http://h:1/v1/search?x=1")
  })
})
