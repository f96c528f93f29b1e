/**
 * What clients send that were written for FastAPI, what bad ones send, and what is said of each.
 */
// Slow and broken clients are sockets.
// @effect-diagnostics nodeBuiltinImport:off
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Schema, Scope } from "effect"
import { HttpClient, HttpClientRequest, HttpServer } from "effect/http"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { connect } from "node:net"
import { gzipSync } from "node:zlib"
import * as RetrievalServer from "../../src/programs/RetrievalServer.ts"
import { Reranker } from "../../src/services/Reranker.ts"
import { type Controlled, controlled } from "../support/controlledRetriever.ts"

const Row = Schema.Struct({ field: Schema.String, json: Schema.String, read: Schema.Unknown })
const table = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Array(Row)))(
  readFileSync(new URL("../fixtures/pydantic-lax.json", import.meta.url), "utf8")
)

const reranker = Layer.succeed(
  Reranker,
  Reranker.of({
    name: "none",
    scores: (requests) => Effect.succeed(requests.map(({ documents }) => documents.map((_, index) => -index)))
  })
)

const NodeServer = NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 })

const start = Effect.fnUntraced(function*(
  options?: RetrievalServer.Options,
  inner: Controlled = controlled()
) {
  const context = yield* Layer.build(
    RetrievalServer.layer({ drainNotice: 0, ...options }).pipe(
      Layer.provideMerge(Layer.fresh(NodeServer)),
      Layer.provide(Layer.merge(inner.layer, reranker))
    )
  )
  return { url: HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address), inner }
})

const send = Effect.fnUntraced(function*(request: HttpClientRequest.HttpClientRequest) {
  const response = yield* HttpClient.execute(request)
  return { status: response.status, text: yield* response.text, headers: response.headers }
})

const post = (
  url: string,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
  path = "/retrieve"
) =>
  send(
    HttpClientRequest.post(`${url}${path}`).pipe(
      HttpClientRequest.bodyUint8Array(
        typeof body === "string" ? new TextEncoder().encode(body) : body,
        "application/json"
      ),
      HttpClientRequest.setHeaders(headers)
    )
  )

const get = (url: string, path: string) => send(HttpClientRequest.get(`${url}${path}`))

const live = <A, E>(use: Effect.Effect<A, E, HttpClient.HttpClient | Scope.Scope>) =>
  Effect.provide(use, NodeHttpClient.layerUndici)

/** Sends pieces with pauses between them and gives everything that comes back until the end of the connection. */
const raw = (url: string, pieces: ReadonlyArray<string>, pause: number) =>
  Effect.callback<string>((resume) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1")
    let received = ""
    socket.on("data", (bytes) => {
      received += bytes.toString("utf8")
    })
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(received)))
    const timers = pieces.map((piece, index) => setTimeout(() => socket.write(piece), index * pause))
    return Effect.sync(() => {
      timers.forEach((timer) => clearTimeout(timer))
      socket.destroy()
    })
  })

describe("a client that was written for FastAPI", () => {
  it.live("has its numbers, truths and queries read as pydantic reads them", () =>
    live(Effect.gen(function*() {
      const { inner, url } = yield* start({ maxTopK: 2000 })
      for (const { field, json, read } of table) {
        const label = `${field} ${json}`
        const { status, text } = yield* post(
          url,
          field === "queries" ? `{"queries":${json}}` : `{"queries":["a"],"${field}":${json}}`
        )
        // fewer than no passage: pydantic lets it pass, and the reference's engine fails on it
        const negative = typeof read === "number" && read < 0
        assert.strictEqual(status, read === "refused" || negative ? 422 : 200, `${label}: ${text}`)
        if (status !== 200) continue
        const call = inner.calls.at(-1)
        if (field === "queries") assert.deepStrictEqual(call?.queries, read, label)
        if (field === "topk") assert.strictEqual(call?.topK, read === 0 || read === null ? 3 : read, label)
        const [hit] = JSON.parse(text).result.flat()
        if (field === "return_scores") assert.strictEqual("score" in hit, read, label)
      }
      assert.isAbove(table.length, 90)
    })))

  it.live("has the same of a reranker read so", () =>
    live(Effect.gen(function*() {
      const { url } = yield* start()
      const body = (fields: string) =>
        `{"queries":["q"],"documents":[[{"id":7,"contents":"A\\na"},{"contents":"B\\nb"}]],${fields}}`
      const { text } = yield* post(url, body("\"rerank_topk\":\"1\",\"return_scores\":\"on\""), {}, "/rerank/")
      assert.deepStrictEqual(JSON.parse(text), { result: [[{ document: "(Title: A) a", score: 0 }]] })
      const refused = yield* post(url, body("\"rerank_topk\":\"one\""), {}, "/rerank")
      assert.strictEqual(refused.status, 422)
      assert.deepStrictEqual(JSON.parse(refused.text).detail[0].loc, ["body", "rerank_topk"])
    })))

  it.live.each(["/retrieve/", "/retrieve//", "/retrieve/?a=1", "/retrieve?a=/"])(
    "may ask %s",
    (path) =>
      live(Effect.gen(function*() {
        const { url } = yield* start()
        assert.strictEqual((yield* post(url, "{\"queries\":[\"a\"]}", {}, path)).status, 200)
        assert.strictEqual((yield* get(url, "/health/")).status, 200)
        for (const other of ["/", "//", "//retrieve", "/Retrieve", "/retrieve/x"]) {
          assert.strictEqual((yield* post(url, "{\"queries\":[\"a\"]}", {}, other)).status, 404, other)
        }
      }))
  )

  it.live("may send a byte order mark, any content type, and the address of a proxy", () =>
    live(Effect.gen(function*() {
      const { url } = yield* start()
      const body = "{\"queries\":[\"a\"]}"
      assert.strictEqual((yield* post(url, `\uFEFF${body}`)).status, 200)
      assert.strictEqual((yield* post(url, body, { "content-type": "text/plain" })).status, 200)
      assert.strictEqual((yield* post(url, body, { "content-encoding": "identity" })).status, 200)
      const answer = yield* raw(url, [
        `POST http://h/retrieve HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`
      ], 0)
      assert.match(answer, /^HTTP\/1\.1 200 /)
    })))

  it.live("may send its body in chunks", () =>
    live(Effect.gen(function*() {
      const { url } = yield* start()
      const body = "{\"queries\":[\"a\"]}"
      const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
      const chunks = [body.slice(0, 5), body.slice(5), ""].map(chunk).join("")
      const head = "POST /retrieve HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
      assert.match(yield* raw(url, [head + chunks], 0), /^HTTP\/1\.1 200 /)
    })))
})

describe("a client that does wrong", () => {
  it.live("is told that its body is not UTF-8, or packed", () =>
    live(Effect.gen(function*() {
      const { url } = yield* start()
      const latin1 = yield* post(url, Uint8Array.from("{\"queries\":[\"caf\u00e9\"]}", (c) => c.charCodeAt(0)))
      assert.strictEqual(latin1.status, 400)
      assert.include(latin1.text, "UTF-8")
      const packed = yield* post(url, gzipSync("{\"queries\":[\"a\"]}"), { "content-encoding": "gzip" })
      assert.deepStrictEqual([packed.status, packed.headers["accept-encoding"]], [415, "identity"])
      assert.include(packed.text, "gzip")
      assert.strictEqual((yield* post(url, "{\"queries\":[\"a\"]}")).status, 200)
    })))

  it.live("by sending its body slowly gets 408 when its time is over, and takes nobody's place", () =>
    live(Effect.gen(function*() {
      const { url } = yield* start({ bodyTimeLimit: "150 millis", maxBytesAtOnce: 100, maxBodyBytes: 100 })
      const head = "POST /retrieve HTTP/1.1\r\nhost: h\r\n"
      const slow = yield* Effect.forEach(
        ["content-length: 90", "transfer-encoding: chunked"],
        (header) =>
          Effect.gen(function*() {
            const began = performance.now()
            const answer = yield* raw(url, [
              `${head}${header}\r\n\r\n`,
              ...Array.from({ length: 40 }, () => "1\r\na\r\n")
            ], 20)
            return { answer, took: performance.now() - began }
          })
      )
      for (const { answer, took } of slow) {
        assert.match(answer, /^HTTP\/1\.1 408 /)
        assert.include(answer, "did not arrive within 150ms")
        assert.isBelow(took, 2000)
      }
      assert.strictEqual((yield* post(url, "{\"queries\":[\"a\"]}")).status, 200)
    })))

  it.live("by sending many large bodies at once is asked to come again", () =>
    live(Effect.gen(function*() {
      const { url } = yield* start({ maxBytesAtOnce: 1000 })
      const head = "POST /retrieve HTTP/1.1\r\nhost: h\r\n"
      const slow = yield* Effect.forkChild(raw(url, [`${head}content-length: 900\r\n\r\n{`], 0))
      let refused = yield* post(url, `{"queries":["${"a".repeat(200)}"]}`)
      while (refused.status === 200) refused = yield* post(url, `{"queries":["${"a".repeat(200)}"]}`)
      assert.strictEqual(refused.status, 429)
      assert.isAtLeast(Number(refused.headers["retry-after"]), 1)
      assert.strictEqual((yield* post(url, "{\"queries\":[\"a\"]}")).status, 200)
      yield* Fiber.interrupt(slow)
      let { status } = refused
      while (status !== 200) status = (yield* post(url, `{"queries":["${"a".repeat(200)}"]}`)).status
    })))
})

describe("what is said of requests", () => {
  it.live("is method, path, status and time of each, hang-ups included", () =>
    live(Effect.gen(function*() {
      const seen: Array<RetrievalServer.Access> = []
      const inner = controlled(({ queries: [query] }) => query === "silent" ? Effect.never : Effect.sleep("20 millis"))
      const { url } = yield* start({ onAccess: (access) => Effect.sync(() => seen.push(access)) }, inner)
      yield* post(url, "{\"queries\":[\"a\"]}", {}, "/retrieve?key=secret")
      yield* post(url, "{")
      yield* get(url, "/nothing")
      const silent = yield* Effect.forkChild(post(url, "{\"queries\":[\"silent\"]}"))
      while (inner.running.now === 0) yield* Effect.sleep("1 millis")
      yield* Fiber.interrupt(silent)
      while (seen.length < 4) yield* Effect.sleep("1 millis")
      assert.deepStrictEqual(seen.map(({ method, path, status }) => `${method} ${path} ${status}`), [
        "POST /retrieve 200",
        "POST /retrieve 422",
        "GET /nothing 404",
        "POST /retrieve 499"
      ])
      assert.isAtLeast(seen[0]?.milliseconds ?? 0, 19)
      assert.isBelow(seen[2]?.milliseconds ?? 1e9, 1000)
      assert.strictEqual(seen[0]?.client._tag, "Some")
    })))

  it.live.each<readonly ["token" | "open" | "off" | undefined, number, number]>([
    [undefined, 401, 200],
    ["token", 401, 200],
    ["open", 200, 200],
    ["off", 404, 404]
  ])(
    "is counted in metrics for whom they are meant: %s",
    ([metrics, without, withToken]) =>
      live(Effect.gen(function*() {
        const { url } = yield* start({ metrics, bearerToken: "secret" })
        assert.strictEqual((yield* get(url, "/metrics")).status, without)
        const request = HttpClientRequest.get(`${url}/metrics`).pipe(HttpClientRequest.bearerToken("secret"))
        assert.strictEqual((yield* send(request)).status, withToken)
        const { paths } = JSON.parse((yield* get(url, "/openapi.json")).text)
        assert.strictEqual("/metrics" in paths, metrics !== "off")
      }))
  )
})

describe("the end of a server", () => {
  it.live("is announced while what was taken is answered, however long that takes, and comes then", () =>
    live(Effect.gen(function*() {
      let release = () => {}
      const gate = new Promise<void>((resolve) => {
        release = resolve
      })
      const inner = controlled(({ queries: [query] }) => query === "slow" ? Effect.promise(() => gate) : Effect.void)
      const drained: Array<number> = []
      const scope = yield* Scope.make()
      const { url } = yield* start({
        drainNotice: "20 millis",
        onDrain: (requests) => Effect.sync(() => drained.push(requests))
      }, inner).pipe(Scope.provide(scope))
      const slow = yield* Effect.forkChild(post(url, "{\"queries\":[\"slow\"]}"))
      while (inner.running.now === 0) yield* Effect.sleep("1 millis")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      assert.deepStrictEqual(drained, [1])
      yield* Effect.sleep("100 millis")
      // on new connections, well behind the notice
      for (const _ of [1, 2]) {
        const health = yield* get(url, "/health")
        assert.deepStrictEqual([health.status, health.headers["connection"]], [503, "close"])
        assert.strictEqual(JSON.parse(health.text).status, "draining")
        assert.strictEqual((yield* post(url, "{\"queries\":[\"quick\"]}")).status, 200)
      }
      assert.isUndefined(closing.pollUnsafe())
      release()
      assert.strictEqual((yield* Fiber.join(slow)).status, 200)
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Effect.flip(get(url, "/health"))).reason._tag, "TransportError")
    })))

  it.live("does not wait for ever", () =>
    live(Effect.gen(function*() {
      const inner = controlled(() => Effect.never)
      const scope = yield* Scope.make()
      const { url } = yield* start({ drainLimit: "50 millis" }, inner).pipe(Scope.provide(scope))
      const slow = yield* Effect.forkChild(Effect.exit(post(url, "{\"queries\":[\"slow\"]}")))
      while (inner.running.now === 0) yield* Effect.sleep("1 millis")
      yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* Effect.sleep("200 millis")
      assert.strictEqual((yield* Effect.flip(get(url, "/health"))).reason._tag, "TransportError")
      yield* Fiber.interrupt(slow)
    })))
})
