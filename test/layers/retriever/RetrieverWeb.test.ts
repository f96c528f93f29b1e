import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import type { HttpClient } from "effect/http"
import * as RetrieverWeb from "../../../src/layers/retriever/RetrieverWeb.ts"
import { isRetryable, Retriever } from "../../../src/services/Retriever.ts"
import { json, serve } from "../../support/httpServer.ts"

interface Engine {
  readonly name: string
  readonly layer: (options: RetrieverWeb.Options) => Layer.Layer<Retriever, never, HttpClient.HttpClient>
  /** An answer in the form of the provider's documentation. */
  readonly answer: unknown
  readonly found: ReadonlyArray<
    { readonly id: string; readonly title: string; readonly text: string; readonly score?: number }
  >
  readonly none: unknown
  /** Results of one request, by its documentation. */
  readonly most: number
  readonly quota: readonly [status: number, body: unknown]
  readonly tooFast: readonly [status: number, body: unknown]
  readonly badKey: readonly [status: number, body: unknown]
}

const key = Redacted.make("k3y")

const engines: ReadonlyArray<Engine> = [
  {
    name: "Google",
    most: 10,
    layer: (options) => RetrieverWeb.layerGoogle({ ...options, engine: "cse" }),
    answer: {
      kind: "customsearch#search",
      queries: { request: [{ count: 2 }] },
      items: [
        {
          title: "Tolm - Atlas",
          link: "https://a.example/tolm",
          snippet: "Tolm is an <b>island</b> &amp; more&nbsp;&#8230;"
        },
        { title: "Maren", link: "https://a.example/maren", snippet: "A harbour." }
      ]
    },
    found: [
      { id: "https://a.example/tolm", title: "\"Tolm - Atlas\"", text: "Tolm is an island & more …" },
      { id: "https://a.example/maren", title: "\"Maren\"", text: "A harbour." }
    ],
    none: { kind: "customsearch#search", searchInformation: { totalResults: "0" } },
    quota: [429, {
      error: { code: 429, message: "Quota exceeded for quota metric 'Queries'", status: "RESOURCE_EXHAUSTED" }
    }],
    tooFast: [429, { error: { code: 429, message: "Too fast", status: "UNAVAILABLE" } }],
    badKey: [400, { error: { code: 400, message: "API key not valid.", status: "INVALID_ARGUMENT" } }]
  },
  {
    name: "SerpAPI",
    most: 100,
    layer: RetrieverWeb.layerSerpApi,
    answer: {
      search_metadata: { status: "Success" },
      answer_box: { type: "organic_result", title: "Tolm", answer: "1811", link: "https://a.example/box" },
      organic_results: [{ position: 1, title: "Tolm", link: "https://a.example/tolm", snippet: "An island." }],
      related_questions: [{
        question: "Who built it?",
        snippet: "Bram Oduya.",
        title: "T",
        link: "https://a.example/q"
      }]
    },
    found: [
      { id: "https://a.example/box", title: "\"Tolm\"", text: "1811" },
      { id: "https://a.example/tolm", title: "\"Tolm\"", text: "An island." },
      { id: "https://a.example/q", title: "\"Who built it?\"", text: "Bram Oduya." }
    ],
    none: { search_metadata: { status: "Success" }, error: "Google hasn't returned any results for this query." },
    quota: [429, { error: "Your account has run out of searches." }],
    tooFast: [429, { error: "You are exceeding your hourly throughput." }],
    badKey: [401, { error: "Invalid API key." }]
  },
  {
    name: "Serper",
    most: 100,
    layer: RetrieverWeb.layerSerper,
    answer: {
      searchParameters: { q: "x", type: "search" },
      answerBox: { snippet: "Built in 1811", title: "Tolm", link: "https://a.example/box" },
      organic: [{ title: "Tolm", link: "https://a.example/tolm", snippet: "An island.", position: 1 }]
    },
    found: [
      { id: "https://a.example/box", title: "\"Tolm\"", text: "Built in 1811" },
      { id: "https://a.example/tolm", title: "\"Tolm\"", text: "An island." }
    ],
    none: { searchParameters: { q: "x" }, organic: [] },
    quota: [400, { message: "Not enough credits", statusCode: 400 }],
    tooFast: [429, { message: "Rate limit exceeded" }],
    badKey: [403, { message: "Unauthorized.", statusCode: 403 }]
  },
  {
    name: "Brave",
    most: 20,
    layer: RetrieverWeb.layerBrave,
    answer: {
      type: "search",
      query: { original: "x" },
      web: {
        type: "search",
        results: [{
          title: "Tolm",
          url: "https://a.example/tolm",
          description: "An <strong>island</strong>.",
          age: "1 day"
        }]
      }
    },
    found: [{ id: "https://a.example/tolm", title: "\"Tolm\"", text: "An island." }],
    none: { type: "search", query: { original: "x" } },
    quota: [429, { type: "ErrorResponse", error: { code: "QUOTA_LIMITED", detail: "Monthly quota" } }],
    tooFast: [429, { type: "ErrorResponse", error: { code: "RATE_LIMITED", detail: "Request rate limit exceeded" } }],
    badKey: [422, { type: "ErrorResponse", error: { code: "SUBSCRIPTION_TOKEN_INVALID" } }]
  },
  {
    name: "Tavily",
    most: 20,
    layer: RetrieverWeb.layerTavily,
    answer: {
      query: "x",
      answer: null,
      results: [{
        title: "Tolm",
        url: "https://a.example/tolm",
        content: "An island.",
        score: 0.81,
        raw_content: null
      }],
      response_time: 1.2
    },
    found: [{ id: "https://a.example/tolm", title: "\"Tolm\"", text: "An island.", score: 0.81 }],
    none: { query: "x", results: [] },
    quota: [432, { detail: { error: "This request exceeds your plan's set usage limit." } }],
    tooFast: [429, { detail: { error: "Your request has been blocked due to excessive requests." } }],
    badKey: [401, { detail: { error: "Unauthorized: missing or invalid API key." } }]
  }
]

describe.each(engines)("RetrieverWeb: $name", ({ answer, badKey, found, layer, most, none, quota, tooFast }) => {
  /** Searches a local server that answers as the provider does. */
  const searching = Effect.fnUntraced(function*(status: number, body: unknown, topK = 5, query = "Tolm & co?") {
    const server = yield* serve((_, response) => {
      response.setHeader("retry-after", "3")
      json(response, body, status)
    })
    const result = yield* Retriever.use((retriever) => Effect.result(retriever.search(query, { topK }))).pipe(
      Effect.provide(layer({ key, url: server.url }).pipe(Layer.provide(NodeHttpClient.layerUndici)))
    )
    return { result, server }
  })

  it.live("reads the provider's answer, in its order", () =>
    Effect.gen(function*() {
      const { result } = yield* searching(200, answer)
      assert(result._tag === "Success")
      assert.deepStrictEqual(result.success, found.map((hit, index) => ({ score: 1 / (index + 1), ...hit })))
      const { result: one } = yield* searching(200, answer, 1)
      assert(one._tag === "Success")
      assert.strictEqual(one.success.length, 1)
    }))

  it.live("sends the query and the key, and nothing for an empty query", () =>
    Effect.gen(function*() {
      const { server } = yield* searching(200, answer, 4)
      const sent = `${server.urls[0]} ${server.bodies[0]} ${JSON.stringify(server.headers[0])}`
      assert.match(sent, /Tolm & co\?|Tolm\+%26\+co%3F|Tolm%20%26%20co%3F/)
      assert.include(sent, "k3y")
      assert.match(sent, /\b4\b/)
      const { result, server: idle } = yield* searching(200, answer, 4, " ")
      assert(result._tag === "Success")
      assert.deepStrictEqual([result.success, idle.bodies], [[], []])
    }))

  it.live("asks for no more results than the engine gives", () =>
    Effect.gen(function*() {
      const { server } = yield* searching(200, answer, 777, "Tolm")
      const parameters = new URL(server.urls[0] ?? "", "http://localhost").searchParams
      const body: unknown = server.bodies[0] === "" ? {} : JSON.parse(server.bodies[0] ?? "")
      const sent = { ...Object.fromEntries(parameters), ...(typeof body === "object" ? body : {}) }
      const count = Object.entries(sent).find(([name]) => /^(num|count|max_results)$/.test(name))?.[1]
      assert.strictEqual(Number(count), most)
    }))

  it.live("takes no results for no hits", () =>
    Effect.gen(function*() {
      const { result } = yield* searching(200, none)
      assert(result._tag === "Success")
      assert.deepStrictEqual(result.success, [])
    }))

  it.live("tells a used-up quota, too many requests, a bad key and a strange answer apart, and keeps the key to itself", () =>
    Effect.gen(function*() {
      const errors = yield* Effect.forEach(
        [quota, tooFast, badKey, [200, { hello: "world" }] as const],
        ([status, body]) =>
          Effect.map(searching(status, body), ({ result }) => {
            assert(result._tag === "Failure")
            assert.notInclude(JSON.stringify(result.failure) + result.failure.message, "k3y")
            return result.failure
          })
      )
      assert.deepStrictEqual(errors.map(({ _tag }) => _tag), [
        "RetrieverQuotaExceeded",
        "RetrieverRejected",
        "RetrieverRejected",
        "RetrieverUnexpectedShape"
      ])
      assert.deepStrictEqual(errors.map(isRetryable), [false, true, false, false])
      const [, fast] = errors
      assert.strictEqual(fast?._tag === "RetrieverRejected" ? fast.retryAfterMillis : undefined, 3000)
    }))
})

describe("RetrieverWeb", () => {
  it.effect("takes keys from the environment", () =>
    Effect.gen(function*() {
      const config = ConfigProvider.layer(ConfigProvider.fromUnknown({
        GOOGLE_API_KEY: "a",
        GOOGLE_CSE_ID: "b",
        SERPAPI_API_KEY: "c",
        SERPER_API_KEY: "d",
        BRAVE_API_KEY: "e",
        TAVILY_API_KEY: "f"
      }))
      const layers = [
        RetrieverWeb.layerGoogleConfig,
        RetrieverWeb.layerSerpApiConfig,
        RetrieverWeb.layerSerperConfig,
        RetrieverWeb.layerBraveConfig,
        RetrieverWeb.layerTavilyConfig
      ]
      for (const layer of layers) {
        const complete = layer.pipe(Layer.provide(NodeHttpClient.layerUndici))
        yield* Effect.scoped(Layer.build(complete.pipe(Layer.provide(config))))
        const empty = ConfigProvider.layer(ConfigProvider.fromUnknown({}))
        const error = yield* Effect.flip(Effect.scoped(Layer.build(complete.pipe(Layer.provide(empty)))))
        assert.strictEqual(error._tag, "ConfigError")
      }
    }))
})
