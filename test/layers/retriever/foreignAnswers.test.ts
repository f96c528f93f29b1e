/**
 * What servers of others send in public reports, over real sockets: read where it can only mean one thing, and an error
 * that says what is wrong elsewhere.
 */
// Bodies are packed as servers pack them.
// @effect-diagnostics nodeBuiltinImport:off
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { ByteSize, Effect, Layer, Redacted } from "effect"
import { FetchHttpClient, type HttpClient, HttpIncomingMessage } from "effect/http"
import type { IncomingMessage, ServerResponse } from "node:http"
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib"
import * as RetrieverRemote from "../../../src/layers/retriever/RetrieverRemote.ts"
import * as RetrieverWeb from "../../../src/layers/retriever/RetrieverWeb.ts"
import { isRetryable, Retriever, type RetrieverError } from "../../../src/services/Retriever.ts"
import { json, serve } from "../../support/httpServer.ts"

const clients: ReadonlyArray<readonly [string, Layer.Layer<HttpClient.HttpClient>]> = [
  ["undici", NodeHttpClient.layerUndici],
  ["fetch", FetchHttpClient.layer]
]

type Answer = (response: ServerResponse, request: IncomingMessage, body: string) => void

const good = JSON.stringify({ result: [[{ document: { id: "1", contents: "\"Café\"\nbread" }, score: 0.5 }]] })
const found = { id: "1", title: "\"Café\"", text: "bread", score: 0.5 }

const send = (body: Uint8Array | string, headers: Readonly<Record<string, string>> = {}): Answer => (response) => {
  response.writeHead(200, { "content-type": "application/json", ...headers })
  response.end(body)
}
const packed = (body: Uint8Array, encoding: string) => send(body, { "content-encoding": encoding })
const hits = (...scores: ReadonlyArray<string | undefined>) =>
  send(
    `{"result": [[${
      scores.map((score, index) => {
        const document = `{"id":"${index}","contents":"T\\nx${index}"}`
        return score === undefined ? document : `{"document":${document},"score":${score}}`
      }).join(",")
    }]]}`
  )
const document = (fields: string) => send(`{"result": [[{"document": ${fields}, "score": 0.5}]]}`)

const redirect = (status: number, location: (request: IncomingMessage) => string): Answer => (response, request) => {
  if (request.url?.endsWith("/end") === true) return send(good)(response, request, "")
  response.writeHead(status, { location: location(request) }).end("moved")
}

/** Searches before a server that answers so. */
const searching = (client: Layer.Layer<HttpClient.HttpClient>, answer: Answer, maxBytes?: number) =>
  Effect.gen(function*() {
    const server = yield* serve((body, response, request) => answer(response, request, body))
    const result = yield* Retriever.use((retriever) => retriever.search("q", { topK: 3 })).pipe(
      Effect.provideService(
        HttpIncomingMessage.MaxBodySize,
        maxBytes === undefined ? undefined : ByteSize.bytes(maxBytes)
      ),
      Effect.result,
      Effect.provide(
        RetrieverRemote.layer({ url: server.url, bearerToken: "secret" }).pipe(Layer.provide(client)),
        { local: true }
      )
    )
    return { result, server }
  })

const bytes = (text: string) => new TextEncoder().encode(text)
const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0))

const accepted: ReadonlyArray<readonly [string, Answer]> = [
  ["from a server of HTTP/1.0, to the end of the connection", (response) => {
    response.socket?.end(`HTTP/1.0 200 OK\r\n\r\n${good}`)
  }],
  ["in chunks, without a length", (response) => {
    response.writeHead(200)
    response.write(good.slice(0, 20))
    setTimeout(() => response.end(good.slice(20)), 5)
  }],
  ["packed with gzip", packed(gzipSync(good), "gzip")],
  ["packed with gzip, called x-gzip", packed(gzipSync(good), "x-gzip")],
  ["packed with deflate", packed(deflateSync(good), "deflate")],
  ["packed with deflate as some servers have it", packed(deflateRawSync(good), "deflate")],
  ["packed with brotli", packed(brotliCompressSync(good), "br")],
  ["packed with zstd", packed(zstdCompressSync(good), "zstd")],
  ["packed twice", packed(gzipSync(deflateSync(good)), "deflate, gzip")],
  ["that says it is not packed", packed(bytes(good), "identity")],
  ["behind a byte order mark", send(bytes(`\uFEFF${good}`))],
  ["called a page", send(good, { "content-type": "text/html" })],
  ["called nothing", (response) => void response.end(good)],
  ["in Latin-1, and called so", send(latin1(good), { "content-type": "application/json; charset=iso-8859-1" })],
  ["in UTF-8, called Latin-1", send(good, { "content-type": "application/json; charset=iso-8859-1" })],
  ["with an end of line", send(`${good}\r\n`)],
  ["with status 201", (response) => void response.writeHead(201).end(good)],
  ["with a NaN that nobody asked for", send(good.replace("{", "{\"seconds\": NaN, \"best\": -Infinity, "))],
  ["behind a 307", redirect(307, ({ url }) => `${url}/end`)],
  ["behind a 308 with a whole address", redirect(308, ({ headers, url }) => `http://${headers.host}${url}/end`)],
  [
    "behind three 307",
    redirect(307, ({ url }) => url?.endsWith("/b/c") ? `${url}/end` : url?.endsWith("/b") ? `${url}/c` : `${url}/b`)
  ]
]

const documents: ReadonlyArray<readonly [string, Answer, Readonly<Record<string, unknown>>]> = [
  ["a score in quotes", document("{\"id\":\"1\",\"contents\":\"T\\nx\"}"), { text: "x", score: 0.5 }],
  ["a score as a string", hits("\"0.25\"", "\"1e-2\""), { score: 0.25 }],
  ["a negative score as a string", hits("\" -3.5 \""), { score: -3.5 }],
  ["no scores at all", hits("null", "null"), { score: 1 }],
  ["a text without a title", document("{\"id\":\"1\",\"title\":null,\"text\":\"body\"}"), { title: "", text: "body" }],
  ["a text alone", document("{\"id\":\"1\",\"text\":\"body\"}"), { title: "", text: "body" }],
  [
    "contents that are null beside a text",
    document("{\"id\":\"1\",\"contents\":null,\"title\":\"T\",\"text\":\"body\"}"),
    {
      title: "T",
      text: "body"
    }
  ],
  ["an id of 64 bits", document("{\"id\":1161888007138312193,\"contents\":\"T\\nx\"}"), { id: "1161888007138312193" }],
  [
    "contents beside another title and text",
    document("{\"id\":1,\"title\":\"U\",\"text\":\"short\",\"contents\":\"T\\nx\"}"),
    { id: "1", title: "T", text: "x" }
  ],
  ["an id that is null", document("{\"id\":null,\"contents\":\"T\\nx\"}"), { text: "x" }]
]

const refused: ReadonlyArray<readonly [string, Answer, RetrieverError["_tag"], boolean, RegExp]> = [
  ["is no UTF-8", send(latin1(good)), "RetrieverMalformedJson", true, /byte 0xe9 at \d+ is no UTF-8/],
  [
    "is cut off and packed",
    packed(gzipSync(good).subarray(0, 30), "gzip"),
    "RetrieverMalformedJson",
    true,
    /gzip|a value is missing/
  ],
  ["is packed with something unknown", packed(bytes("\u0001\u0002"), "sdch"), "RetrieverMalformedJson", true, /sdch/],
  [
    "says more than it may",
    send(`"${"a".repeat(10_000)}"`),
    "RetrieverUnexpectedShape",
    false,
    /larger than 4096 bytes/
  ],
  [
    "says more than it may in chunks",
    (response) => {
      response.write("\"")
      for (let piece = 0; piece < 100; piece++) response.write("a".repeat(100))
      response.end("\"")
    },
    "RetrieverUnexpectedShape",
    false,
    /larger than 4096 bytes/
  ],
  [
    "says more than it may, packed",
    packed(gzipSync(`"${"a".repeat(100_000)}"`), "gzip"),
    "RetrieverUnexpectedShape",
    false,
    /larger than 4096 bytes/
  ],
  [
    "never ends",
    (response) => {
      const timer = setInterval(() => response.write("a".repeat(1000)), 1)
      response.on("close", () => clearInterval(timer))
    },
    "RetrieverUnexpectedShape",
    false,
    /larger than 4096 bytes/
  ],
  [
    "is a page",
    send("<html>502 Bad gateway</html>", { "content-type": "text/html" }),
    "RetrieverMalformedJson",
    true,
    /text\/html.*Bad gateway/
  ],
  [
    "is an error with status 200",
    send("{\"detail\":\"index is loading\"}"),
    "RetrieverUnexpectedShape",
    false,
    /no array "result".*index is loading/
  ],
  [
    "has NaN for a score",
    hits("NaN"),
    "RetrieverUnexpectedShape",
    false,
    /"result\[0\]\[0\]": the "score" NaN is no number/
  ],
  [
    "has Infinity for a score",
    hits("0.5", "-Infinity"),
    "RetrieverUnexpectedShape",
    false,
    /\[1\]": the "score" -Infinity/
  ],
  ["has \"nan\" for a score", hits("\"nan\""), "RetrieverUnexpectedShape", false, /"nan" is no number/],
  ["has a word for a score", hits("\"high\""), "RetrieverUnexpectedShape", false, /"high" is no number/],
  ["has nothing in quotes for a score", hits("\"\""), "RetrieverUnexpectedShape", false, /"" is no number/],
  ["has a truth for a score", hits("true"), "RetrieverUnexpectedShape", false, /true is no number/],
  ["has a list for a score", hits("[1]"), "RetrieverUnexpectedShape", false, /no number/],
  [
    "has scores for some hits",
    hits("0.5", "null"),
    "RetrieverUnexpectedShape",
    false,
    /\[1\]": it has no "score", and others have/
  ],
  [
    "has a score for one hit",
    hits(undefined, "0.5"),
    "RetrieverUnexpectedShape",
    false,
    /\[0\]": it has no "score", and others have/
  ],
  ["has an empty document", document("{}"), "RetrieverUnexpectedShape", false, /needs "contents"/],
  [
    "has null for contents",
    document("{\"id\":\"1\",\"contents\":null}"),
    "RetrieverUnexpectedShape",
    false,
    /needs "contents"/
  ],
  ["has null for a document", document("null"), "RetrieverUnexpectedShape", false, /neither an object nor a string/],
  ["has null for a list", send("{\"result\":[null]}"), "RetrieverUnexpectedShape", false, /"result\[0\]" is no array/],
  ["has a list for an id", document("{\"id\":[1],\"contents\":\"x\"}"), "RetrieverUnexpectedShape", false, /"id"/],
  [
    "redirects elsewhere",
    redirect(307, () => "http://elsewhere.example:81/retrieve?key=secret"),
    "RetrieverRejected",
    false,
    /307.*http:\/\/elsewhere\.example:81\/retrieve(?!\?)/
  ],
  [
    "redirects to another port",
    redirect(308, () => "http://127.0.0.1:9/end"),
    "RetrieverRejected",
    false,
    /308.*http:\/\/127\.0\.0\.1:9\/end/
  ],
  [
    "redirects with 302, which would drop the body",
    redirect(302, ({ url }) => `${url}/end`),
    "RetrieverRejected",
    false,
    /302.*\/retrieve\/end/
  ],
  ["redirects to a file", redirect(307, () => "file:///etc/passwd"), "RetrieverRejected", false, /307.*file:/],
  ["redirects nowhere", (response) => void response.writeHead(307).end(), "RetrieverRejected", false, /307/],
  [
    "redirects to what is no address",
    redirect(307, () => "http://[x"),
    "RetrieverRejected",
    false,
    /307.*http:\/\/\[x/
  ],
  ["redirects in a circle", redirect(307, ({ url }) => `${url}x`), "RetrieverRejected", false, /redirected 5 times/]
]

describe.each(clients)("a server's answer over %s", (_, client) => {
  it.live.each([...accepted])("is read when it comes %s", ([, answer]) =>
    Effect.gen(function*() {
      const { result, server } = yield* searching(client, answer)
      assert(result._tag === "Success", result._tag === "Failure" ? result.failure.message : "")
      assert.deepStrictEqual(result.success, [found])
      // whatever was in the way, the server got what was asked, and from whom
      assert.strictEqual(server.bodies.at(-1), "{\"queries\":[\"q\"],\"topk\":3,\"return_scores\":true}")
      assert.strictEqual(server.headers.at(-1)?.authorization, "Bearer secret")
    }))

  it.live.each([...documents])("may have %s", ([, answer, expected]) =>
    Effect.gen(function*() {
      const { result } = yield* searching(client, answer)
      assert(result._tag === "Success", result._tag === "Failure" ? result.failure.message : "")
      assert.deepInclude(result.success[0], expected)
    }))

  it.live.each([...refused])(
    "is an error of its own when it %s",
    ([, answer, tag, retryable, message]) =>
      Effect.gen(function*() {
        const { result, server } = yield* searching(client, answer, 4096)
        assert(result._tag === "Failure")
        assert.strictEqual(result.failure._tag, tag, result.failure.message)
        assert.strictEqual(isRetryable(result.failure), retryable)
        assert.match(result.failure.message, message, result.failure.message)
        assert.include(result.failure.message, server.url)
        assert.notInclude(result.failure.message, "secret")
      })
  )

  it.live("is read on a new connection where the server closes each behind its answer without saying so", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response, request) => {
        response.writeHead(200, { "content-length": Buffer.byteLength(good), connection: "keep-alive" })
        response.end(good, () => request.socket.end())
      })
      yield* Retriever.use((retriever) =>
        Effect.forEach(
          Array.from({ length: 20 }),
          () => Effect.andThen(Effect.sleep("2 millis"), retriever.search("q", { topK: 1 }))
        )
      ).pipe(
        Effect.provide(RetrieverRemote.layer({ url: server.url }).pipe(Layer.provide(client)), { local: true })
      )
      assert.strictEqual(server.bodies.length, 20)
    }))

  it.live("may ask for the name and the password of the address", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => json(response, {}, 401))
      const url = server.url.replace("://", "://me:p%40ss%@")
      const error = yield* Retriever.use((retriever) => Effect.flip(retriever.search("q", { topK: 1 }))).pipe(
        Effect.provide(RetrieverRemote.layer({ url }).pipe(Layer.provide(client)), { local: true })
      )
      assert.strictEqual(server.headers[0]?.authorization, `Basic ${Buffer.from("me:p@ss%").toString("base64")}`)
      assert.notMatch(error.message, /p@ss|p%40ss/)
      const gone = yield* Effect.scoped(serve(() => {}))
      const unavailable = yield* Retriever.use((retriever) => Effect.flip(retriever.search("q", { topK: 1 }))).pipe(
        Effect.provide(
          RetrieverRemote.layer({ url: gone.url.replace("://", "://me:p%40ss@") }).pipe(Layer.provide(client)),
          { local: true }
        )
      )
      assert.strictEqual(unavailable._tag, "RetrieverUnavailable")
      assert.notMatch(unavailable.message, /p@ss|p%40ss/)
    }))

  const web = (url: string) => RetrieverWeb.layerSerpApi({ key: Redacted.make("k3y"), url }).pipe(Layer.provide(client))

  it.live.each([301, 302, 303, 307, 308])(
    "to a GET is followed on the same host: %i",
    (status) =>
      Effect.gen(function*() {
        const server = yield* serve((_, response, request) => {
          const url = new URL(request.url ?? "/", "http://localhost")
          if (url.pathname !== "/new") {
            return void response.writeHead(status, { location: `/new${url.search}` }).end()
          }
          json(response, { search_metadata: {}, organic_results: [{ title: "T", link: "l", snippet: "s" }] })
        })
        const results = yield* Retriever.use((retriever) => retriever.search("a b", { topK: 2 })).pipe(
          Effect.provide(web(server.url), { local: true })
        )
        assert.strictEqual(results[0]?.text, "s")
        assert.strictEqual(server.urls[1]?.replace("/new", "/retrieve"), server.urls[0])
      })
  )

  it.live("to a GET keeps its key where it is not followed", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response, request) => {
        const { search } = new URL(request.url ?? "/", "http://localhost")
        response.writeHead(301, { location: `http://127.0.0.1:9/new${search}` }).end()
      })
      const error = yield* Retriever.use((retriever) => Effect.flip(retriever.search("a b", { topK: 2 }))).pipe(
        Effect.provide(web(server.url), { local: true })
      )
      assert.include(error.message, "http://127.0.0.1:9/new")
      assert.notInclude(error.message, "k3y")
    }))
})
