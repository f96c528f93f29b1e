// Node's server is what Effect's listens with.
// @effect-diagnostics nodeBuiltinImport:off
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Context, Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { HttpClient, HttpClientRequest, HttpServer } from "effect/http"
import { createServer } from "node:http"
import * as RetrieverMemory from "../../src/layers/retriever/RetrieverMemory.ts"
import * as RetrieverRemote from "../../src/layers/retriever/RetrieverRemote.ts"
import * as RetrievalServer from "../../src/programs/RetrievalServer.ts"
import { Reranker } from "../../src/services/Reranker.ts"
import {
  type Retriever,
  type RetrieverError,
  RetrieverFailed,
  RetrieverRejected,
  RetrieverTimeout,
  RetrieverUnavailable
} from "../../src/services/Retriever.ts"
import { retrieverContract } from "../contract/retriever.ts"
import { controlled } from "../support/controlledRetriever.ts"
import { passages } from "../support/passages.ts"

const memory = RetrieverMemory.layer({ documents: passages })
const NodeServer = NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 })

/** A server on a free port; its address without a path. */
const start = Effect.fnUntraced(function*(retriever: Layer.Layer<Retriever>, options?: RetrievalServer.Options) {
  const context = yield* Layer.build(
    RetrievalServer.layer({ drainNotice: 0, ...options }).pipe(
      Layer.provideMerge(Layer.fresh(NodeServer)),
      Layer.provide(retriever)
    )
  )
  return HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
})

const send = Effect.fnUntraced(function*(request: HttpClientRequest.HttpClientRequest) {
  const response = yield* HttpClient.execute(request)
  const text = yield* response.text
  return { status: response.status, text, headers: response.headers }
})

const post = (url: string, body: string, headers?: Readonly<Record<string, string>>) =>
  send(
    HttpClientRequest.post(`${url}/retrieve`).pipe(
      HttpClientRequest.bodyText(body, "application/json"),
      HttpClientRequest.setHeaders(headers ?? {})
    )
  )

const get = (url: string, path: string) => send(HttpClientRequest.get(`${url}${path}`))

const live = <A, E>(use: Effect.Effect<A, E, HttpClient.HttpClient | Scope.Scope>) =>
  Effect.provide(use, NodeHttpClient.layerUndici)

for (const dialect of ["search-r1", "skyrl"] as const) {
  retrieverContract(`RetrieverRemote (${dialect}) before RetrievalServer`, {
    layer: Layer.unwrap(Effect.map(start(memory), (url) => RetrieverRemote.layer({ url, dialect }))).pipe(
      Layer.provide(NodeHttpClient.layerUndici)
    ),
    runs: 10
  })
}

describe("RetrievalServer", () => {
  it.live("bounds the values of a body and the passages of an answer, and sends large answers whole", () =>
    live(Effect.gen(function*() {
      const url = yield* start(memory)
      // commas and brackets within texts are none, wherever the text is cut while it is looked at
      const text = "\\\",[{".repeat(300_000)
      const texts = yield* post(url, JSON.stringify({ queries: ["herring", text], topk: 1 }))
      assert.strictEqual(texts.status, 200)
      const values = yield* post(url, `{"queries":["herring"],"x":[${"0,".repeat(140_000)}0]}`)
      assert.strictEqual(values.status, 413)
      assert.include(values.text, "more than 131072 values")
      const many = Array.from({ length: 300 }, () => "herring")
      const refused = yield* post(url, JSON.stringify({ queries: many, topk: 1000 }))
      assert.strictEqual(refused.status, 413)
      assert.include(refused.text, "300 queries for 1000 passages each are more than 262144 passages")
      const documents = Array.from(
        { length: 3 },
        (_, row) => ({ id: `${row}`, title: "é", text: "herring ".repeat(2000) })
      )
      const large = yield* start(RetrieverMemory.layer({ documents }))
      const answer = yield* post(large, JSON.stringify({ queries: many.slice(0, 40), topk: 3 }))
      assert.strictEqual(answer.status, 200)
      assert.include(answer.headers["content-type"], "application/json")
      const { result } = JSON.parse(answer.text)
      assert.lengthOf(result, 40)
      for (const hits of result) {
        assert.deepStrictEqual(hits, documents.map(({ id, text, title }) => ({ id, contents: `${title}\n${text}` })))
      }
      const none = yield* post(url, JSON.stringify({ queries: [], topk: 3 }))
      assert.deepStrictEqual(JSON.parse(none.text), { result: [] })
    })))

  it.live("tells the client in a header what of its queries was not searched", () =>
    live(Effect.gen(function*() {
      const words = Array.from({ length: 1100 }, (_, number) => `w${number}q`).join(" ")
      const url = yield* start(RetrieverMemory.layer({ documents: [{ id: "a", title: "", text: words }] }))
      const ask = (queries: ReadonlyArray<string>) => post(url, JSON.stringify({ queries, topk: 1 }))
      const { headers, status } = yield* ask(["w1q", words, "w1q ".repeat(2500)])
      assert.strictEqual(status, 200)
      assert.strictEqual(
        headers["warning"],
        "199 search-r1 \"query 2 of 3: of 1,100 terms the first 1,024 are searched\", " +
          "199 search-r1 \"query 3 of 3: of 10,000 characters the first 8,192 are read\""
      )
      assert.isUndefined((yield* ask(["w1q ".repeat(1000)])).headers["warning"])
      const many = yield* ask(Array.from({ length: 40 }, () => words))
      assert.lengthOf(many.headers["warning"]?.match(/199/g) ?? [], 8)
    })))

  it.live("answers as the reference's server, with scores and without", () =>
    live(Effect.gen(function*() {
      const url = yield* start(memory)
      const scored = yield* post(url, "{\"queries\":[\"Orla\",\"nothing\"],\"topk\":1,\"return_scores\":true}")
      assert.strictEqual(scored.status, 200)
      assert.include(scored.headers["content-type"], "application/json")
      const contents =
        "\"Orla Venn\"\nOrla Venn is a cartographer born in the harbour town of Maren. She mapped the Glass Isles."
      assert.deepStrictEqual(JSON.parse(scored.text), {
        result: [[{ document: { id: "p0", contents }, score: 1 }], []]
      })
      const bare = yield* post(url, "{\"queries\":[\"Orla\",\"Orla\"],\"topk\":1}")
      assert.deepStrictEqual(JSON.parse(bare.text), { result: [[{ id: "p0", contents }], [{ id: "p0", contents }]] })
    })))

  it.live("takes null and 0 for its own number of passages, and ignores other fields", () =>
    live(Effect.gen(function*() {
      const url = yield* start(memory, { defaultTopK: 2 })
      for (
        const body of [
          "{\"queries\":[\"Maren\"]}",
          "{\"queries\":[\"Maren\"],\"topk\":null,\"x\":1}",
          "{\"queries\":[\"Maren\"],\"topk\":0}"
        ]
      ) {
        const { text } = yield* post(url, body)
        assert.strictEqual(JSON.parse(text).result[0].length, 2)
      }
      assert.deepStrictEqual(JSON.parse((yield* post(url, "{\"queries\":[]}")).text), { result: [] })
    })))

  it.live.each<readonly [string, number, string]>([
    ["", 422, "JSON decode error"],
    ["{\"queries\":[\"a\"", 422, "JSON decode error"],
    ["[]", 422, "object"],
    ["{}", 422, "Field required"],
    ["{\"queries\":\"a\"}", 422, "list"],
    ["{\"queries\":[1]}", 422, "string"],
    ["{\"query\":[\"a\"]}", 422, "string"],
    ["{\"queries\":[\"a\"],\"topk\":-1}", 422, "non-negative"],
    ["{\"queries\":[\"a\"],\"topk\":1.5}", 422, "non-negative"],
    ["{\"queries\":[\"a\"],\"topk\":1001}", 422, "at most 1000"],
    ["{\"queries\":[\"a\"],\"return_scores\":\"ja\"}", 422, "boolean"],
    ["{\"queries\":[\"a\",\"a\",\"a\",\"a\",\"a\"]}", 413, "At most 4"],
    [`{"queries":["${"a".repeat(5000)}"]}`, 413, "4096 bytes"]
  ])("refuses %s with %i", ([body, status, message]) =>
    live(Effect.gen(function*() {
      const url = yield* start(memory, { maxQueries: 4, maxBodyBytes: 4096 })
      const response = yield* post(url, body)
      assert.strictEqual(response.status, status)
      assert.include(JSON.stringify(JSON.parse(response.text).detail), message)
      assert.strictEqual((yield* post(url, "{\"queries\":[\"a\"]}")).status, 200)
    })))

  it.live("gives malformed bodies 4xx and nothing else", () =>
    live(Effect.gen(function*() {
      const url = yield* start(memory)
      const valid = "{\"queries\":[\"Who mapped the Glass Isles?\"],\"topk\":3,\"return_scores\":true}"
      const Damage = Schema.Struct({
        at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: valid.length })),
        cut: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })),
        insert: Schema.String
      })
      const damages = yield* Arbitrary.sampleEffect(Arbitrary.schema(Damage), { count: 400 })
      yield* Effect.forEach(
        damages,
        Effect.fnUntraced(function*({ at, cut, insert }) {
          const { status, text } = yield* post(url, valid.slice(0, at) + insert + valid.slice(at + cut))
          // some damage leaves a request intact, such as a letter in the query
          assert.isTrue(status === 200 || (status >= 400 && status < 500), `${status} ${text}`)
          JSON.parse(text)
        }),
        { concurrency: 8 }
      )
    })))

  it.live("tells other paths, other methods, its health, its metrics and its description apart", () =>
    live(Effect.gen(function*() {
      const url = yield* start(memory, { version: "1.2.3" })
      assert.strictEqual((yield* get(url, "/nothing")).status, 404)
      assert.strictEqual((yield* get(url, "/constructor")).status, 404)
      const wrong = yield* get(url, "/retrieve?x=1")
      assert.deepStrictEqual([wrong.status, wrong.headers["allow"]], [405, "POST"])
      assert.deepStrictEqual(JSON.parse((yield* get(url, "/health")).text), {
        status: "ok",
        retriever: "RetrieverMemory"
      })
      yield* post(url, "{\"queries\":[\"a\",\"b\"]}")
      const metrics = yield* get(url, "/metrics")
      assert.include(metrics.headers["content-type"], "text/plain")
      assert.match(metrics.text, /search_r1_queries_total \d+/)
      assert.match(metrics.text, /search_r1_requests_total\{status="404"\} \d+/)
      const description = JSON.parse((yield* get(url, "/openapi.json")).text)
      assert.strictEqual(description.info.version, "1.2.3")
      assert.isDefined(description.paths["/retrieve"].post)
    })))

  it.live("asks for its token, except for health and description", () =>
    live(Effect.gen(function*() {
      const url = yield* start(memory, { bearerToken: "secret" })
      const body = "{\"queries\":[\"a\"]}"
      for (const authorization of [undefined, "secret", "Bearer ", "Bearer secret2", "Bearer secre", "Basic secret"]) {
        const response = yield* post(url, body, authorization === undefined ? {} : { authorization })
        assert.strictEqual(response.status, 401, authorization)
        assert.strictEqual(response.headers["www-authenticate"], "Bearer")
      }
      assert.strictEqual((yield* post(url, body, { authorization: "Bearer secret" })).status, 200)
      assert.strictEqual((yield* get(url, "/metrics")).status, 401)
      assert.strictEqual((yield* get(url, "/health")).status, 200)
      assert.strictEqual((yield* get(url, "/openapi.json")).status, 200)
    })))

  it.live("refuses what goes beyond its queue, says when to come back, and recovers", () =>
    live(Effect.gen(function*() {
      let release = () => {}
      const gate = new Promise<void>((resolve) => {
        release = resolve
      })
      const inner = controlled(() => Effect.promise(() => gate))
      const url = yield* start(inner.layer, { maxPending: 3 })
      const first = yield* Effect.forkChild(post(url, "{\"queries\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}"))
      while (inner.calls.length === 0) yield* Effect.sleep("1 millis")
      const refused = yield* post(url, "{\"queries\":[\"f\"]}")
      assert.strictEqual(refused.status, 429)
      assert.isAtLeast(Number(refused.headers["retry-after"]), 1)
      release()
      assert.strictEqual((yield* Fiber.join(first)).status, 200)
      assert.strictEqual((yield* post(url, "{\"queries\":[\"f\"]}")).status, 200)
    })))

  it.live.each<readonly [RetrieverError, number]>([
    [new RetrieverTimeout({ retriever: "r", milliseconds: 1 }), 504],
    [new RetrieverUnavailable({ retriever: "r", reason: "down" }), 503],
    [new RetrieverRejected({ retriever: "r", status: 403, body: "" }), 502],
    [new RetrieverFailed({ retriever: "r", cause: new Error("boom") }), 500]
  ])("passes on that its engine failed (%#)", ([error, status]) =>
    live(Effect.gen(function*() {
      const url = yield* start(controlled(() => Effect.fail(error)).layer)
      const response = yield* post(url, "{\"queries\":[\"a\"]}")
      assert.strictEqual(response.status, status)
      assert.strictEqual(JSON.parse(response.text).detail, error.message)
    })))

  it.live("reranks each query's own passages in the reference's form, where it has a reranker", () =>
    live(Effect.gen(function*() {
      const reranker = Layer.succeed(
        Reranker,
        Reranker.of({
          name: "short",
          scores: (requests) =>
            Effect.succeed(requests.map(({ documents }) => documents.map(({ text }) => -text.length)))
        })
      )
      const url = yield* start(Layer.merge(memory, reranker))
      const rerank = (body: unknown) =>
        send(HttpClientRequest.post(`${url}/rerank`).pipe(HttpClientRequest.bodyJsonUnsafe(body)))
      const documents = [
        [{ id: "1", contents: "\"A\"\nlonger text" }, { document: { contents: "\"B (c)\"\nshort" }, score: 3 }],
        [{ title: "C", text: "only" }]
      ]
      const scored = yield* rerank({ queries: ["q", "r"], documents, rerank_topk: 1, return_scores: true })
      assert.deepStrictEqual(JSON.parse(scored.text), {
        result: [[{ document: "(Title: \"B (c)\") short", score: -5 }], [{ document: "(Title: C) only", score: -4 }]]
      })
      const bare = yield* rerank({ queries: ["q", "r"], documents })
      assert.deepStrictEqual(JSON.parse(bare.text), {
        result: [["(Title: \"B (c)\") short", "(Title: \"A\") longer text"], ["(Title: C) only"]]
      })
      for (
        const body of [{}, { queries: ["q"] }, { queries: ["q"], documents: [] }, { queries: ["q"], documents: [[1]] }]
      ) {
        assert.strictEqual((yield* rerank(body)).status, 422)
      }
      assert.strictEqual((yield* get(yield* start(memory), "/rerank")).status, 404)
    })))

  it.live("gives the place of a client that hung up to the next", () =>
    live(Effect.gen(function*() {
      const inner = controlled((_, number) => number === 1 ? Effect.never : Effect.void)
      const url = yield* start(inner.layer, { maxPending: 1 })
      const fiber = yield* Effect.forkChild(post(url, "{\"queries\":[\"a\"]}"))
      while (inner.running.now === 0) yield* Effect.sleep("1 millis")
      assert.strictEqual((yield* post(url, "{\"queries\":[\"b\"]}")).status, 429)
      yield* Fiber.interrupt(fiber)
      while (inner.running.interrupted === 0) yield* Effect.sleep("1 millis")
      assert.strictEqual((yield* post(url, "{\"queries\":[\"b\"]}")).status, 200)
    })))

  it.live("stops searching for a client that hung up", () =>
    live(Effect.gen(function*() {
      const inner = controlled(() => Effect.never)
      const url = yield* start(inner.layer)
      const fiber = yield* Effect.forkChild(post(url, "{\"queries\":[\"a\"]}"))
      while (inner.running.now === 0) yield* Effect.sleep("1 millis")
      yield* Fiber.interrupt(fiber)
      while (inner.running.interrupted === 0) yield* Effect.sleep("1 millis")
    })))

  it.live("answers what it took before it ends, and says on /health that it is about to", () =>
    live(Effect.gen(function*() {
      const inner = controlled(() => Effect.sleep("150 millis"))
      const scope = yield* Scope.make()
      const url = yield* start(inner.layer, { drainNotice: "50 millis" }).pipe(Scope.provide(scope))
      const fibers = yield* Effect.forEach(
        ["a", "b", "c"],
        (query) => Effect.forkChild(post(url, `{"queries":["${query}"]}`))
      )
      while (inner.running.now < 3) yield* Effect.sleep("1 millis")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      const health = yield* get(url, "/health")
      assert.deepStrictEqual([health.status, health.headers["connection"]], [503, "close"])
      for (const { status } of yield* Fiber.joinAll(fibers)) assert.strictEqual(status, 200)
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Effect.flip(post(url, "{\"queries\":[\"late\"]}"))).reason._tag, "TransportError")
    })))
})
