/**
 * Servers that embed and rerank take only so many texts a request, answer in forms of their own, and fail now and then.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import type { ServerResponse } from "node:http"
import * as EmbedderHttp from "../../../src/layers/embedder/EmbedderHttp.ts"
import * as RerankerHttp from "../../../src/layers/reranker/RerankerHttp.ts"
import { Embedder } from "../../../src/services/Embedder.ts"
import { Reranker } from "../../../src/services/Reranker.ts"
import { type Handler, json, serve } from "../../support/httpServer.ts"

const texts = Array.from({ length: 100 }, (_, index) => String(index))
const documents = texts.map((text) => ({ id: text, title: text, text }))

const numberOf = (text: string) => Number(/\d+/.exec(text)?.[0])
const vectorOf = (text: string) => [1, numberOf(text)]

/** How a server says that a request holds too many texts. */
type Refusal = (response: ServerResponse, given: number, limit: number) => void

const refusals: ReadonlyArray<readonly [string, Refusal]> = [
  ["TEI, with 422", (response, given, limit) =>
    json(response, {
      error: `batch size ${given} > maximum allowed batch size ${limit}`,
      error_type: "Validation"
    }, 422)],
  [
    "TEI, with 413",
    (response, given, limit) =>
      json(response, { error: `batch size ${given} > maximum allowed batch size ${limit}` }, 413)
  ],
  ["a proxy, with 413 and a page", (response) => void response.writeHead(413).end("<html>Request Entity Too Large")],
  [
    "OpenAI, with 400",
    (response, _, limit) =>
      json(
        response,
        { error: { message: `'$.input' is invalid: array too long. Expected maximum length ${limit}` } },
        400
      )
  ],
  [
    "Cohere, with 400",
    (response, given, limit) =>
      json(response, { message: `total number of texts must be at most ${limit} in each call, got ${given}` }, 400)
  ]
]

const limited = (limit: number, refuse: Refusal, sizes: Array<number>): Handler => (body, response, request) => {
  if (request.method === "GET") return void response.writeHead(404).end()
  const { documents, input, inputs, queries, texts } = JSON.parse(body)
  const given: ReadonlyArray<string> = input ?? inputs ?? texts ?? (queries === undefined ? documents : documents[0])
  if (given.length > limit) return refuse(response, given.length, limit)
  sizes.push(given.length)
  if (input !== undefined) {
    return json(response, { data: given.map((text, index) => ({ index, embedding: vectorOf(text) })) })
  }
  if (inputs !== undefined) return json(response, given.map(vectorOf))
  if (texts !== undefined) return json(response, given.map((text, index) => ({ index, score: numberOf(text) })))
  if (queries === undefined) {
    return json(response, { results: given.map((text, index) => ({ index, relevance_score: numberOf(text) })) })
  }
  const contents = documents[0].map(({ document }: { document: { contents: string } }) => document.contents)
  json(response, {
    result: [contents.map((text: string) => {
      const [title = "", body = ""] = text.split("\n")
      return { document: `(Title: ${title}) ${body}`, score: numberOf(text) }
    })]
  })
}

const embedding = (url: string, options?: Partial<EmbedderHttp.Options>) =>
  EmbedderHttp.layer({ url, model: "m", retry: { base: "1 millis" }, ...options }).pipe(
    Layer.provide(NodeHttpClient.layerUndici)
  )

const reranking = (url: string, options?: Partial<RerankerHttp.Options>) =>
  RerankerHttp.layer({ url, retry: { base: "1 millis" }, ...options }).pipe(Layer.provide(NodeHttpClient.layerUndici))

const embed = (layer: Layer.Layer<Embedder>, of: ReadonlyArray<string> = texts) =>
  Embedder.use((embedder) => embedder.passages(of)).pipe(Effect.provide(layer, { local: true }))

const rerank = (layer: Layer.Layer<Reranker>, of = documents) =>
  Reranker.use((reranker) => reranker.scores([{ query: "q", documents: of }])).pipe(
    Effect.provide(layer, { local: true })
  )

const isRight = (vectors: ReadonlyArray<Float32Array>): void => {
  assert.strictEqual(vectors.length, texts.length)
  for (const [index, vector] of vectors.entries()) {
    assert.closeTo((vector[1] ?? 0) / (vector[0] ?? 0), index, 1e-3)
  }
}

describe.each(refusals)("a server that takes 32 texts, and refuses more like %s", (_, refuse) => {
  it.live.each(["/v1/embeddings", "/embed"])(
    "embeds more, each text with its own vector: %s",
    (path) =>
      Effect.gen(function*() {
        const sizes: Array<number> = []
        const server = yield* serve(limited(32, refuse, sizes))
        isRight(yield* embed(embedding(server.url.replace("/retrieve", path))))
        assert.isAtMost(Math.max(...sizes), 32)
        // what was learned of the server holds for the next call
        const before = server.bodies.length
        yield* Embedder.use((embedder) =>
          Effect.gen(function*() {
            yield* embedder.passages(texts)
            const first = server.bodies.length
            yield* embedder.passages(texts)
            assert.isBelow(server.bodies.length - first, first - before)
          })
        ).pipe(Effect.provide(embedding(server.url.replace("/retrieve", path)), { local: true }))
      })
  )

  it.live.each(["tei", "cohere", "search-r1"] as const)(
    "reranks more, each passage with its own score: %s",
    (dialect) =>
      Effect.gen(function*() {
        const sizes: Array<number> = []
        const server = yield* serve(limited(32, refuse, sizes))
        const [scores] = yield* rerank(reranking(server.url, { dialect }))
        assert.deepStrictEqual(scores, texts.map(Number))
        assert.isAtMost(Math.max(...sizes), 32)
      })
  )
})

describe("a server of text-embeddings-inference", () => {
  const [[, refuse] = ["", () => {}] as const] = refusals

  it.live("is asked how many texts it takes, once, and only where there are many", () =>
    Effect.gen(function*() {
      const sizes: Array<number> = []
      const answer = limited(24, refuse, sizes)
      const server = yield* serve((body, response, request) =>
        request.method === "GET" ? json(response, { max_client_batch_size: 24 }) : answer(body, response, request)
      )
      for (const path of ["/base/embed", "/base/rerank"]) {
        const url = server.url.replace("/retrieve", path)
        const from = server.urls.length
        if (path.endsWith("embed")) {
          yield* Embedder.use((embedder) =>
            Effect.gen(function*() {
              yield* embedder.queries(["1"])
              assert.deepStrictEqual(server.urls.slice(from), [path])
              isRight(yield* embedder.passages(texts))
              isRight(yield* embedder.passages(texts))
            })
          ).pipe(Effect.provide(embedding(url)))
        } else yield* rerank(reranking(url, { dialect: "tei" }))
        const asked = server.urls.slice(from)
        assert.deepStrictEqual(asked.filter((url) => url.endsWith("/info")), ["/base/info"])
        // nothing was refused
        assert.strictEqual(asked.length - 1, sizes.splice(0).length)
      }
    }))

  it.live("is believed less than what the user says", () =>
    Effect.gen(function*() {
      const sizes: Array<number> = []
      const answer = limited(32, refuse, sizes)
      const server = yield* serve((body, response, request) =>
        request.method === "GET" ? json(response, { max_client_batch_size: 32 }) : answer(body, response, request)
      )
      isRight(yield* embed(embedding(server.url.replace("/retrieve", "/embed"), { batchSize: 10 })))
      yield* rerank(reranking(server.url, { dialect: "tei", batchSize: 10 }))
      assert.strictEqual(Math.max(...sizes), 10)
      assert.notInclude(server.urls, "/info")
    }))

  it.live("whose /info is silent or strange is asked for vectors all the same", () =>
    Effect.gen(function*() {
      for (
        const info of [
          (r: ServerResponse) => void r.end("hello"),
          (r: ServerResponse) => json(r, { max_client_batch_size: "many" })
        ]
      ) {
        const answer = limited(32, refuse, [])
        const server = yield* serve((body, response, request) =>
          request.method === "GET" ? info(response) : answer(body, response, request)
        )
        isRight(yield* embed(embedding(server.url.replace("/retrieve", "/embed"))))
      }
    }))
})

describe("a server that refuses for another reason", () => {
  it.live("says why, after few requests", () =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => json(response, { error: "unknown model m" }, 422))
      const error = yield* Effect.flip(embed(embedding(server.url)))
      assert.include(error.message, "unknown model m")
      assert.isAtMost(server.bodies.length, 16)
      const other = yield* serve((_, response) => json(response, { error: "unknown model m" }, 400))
      assert.include((yield* Effect.flip(embed(embedding(other.url)))).message, "unknown model m")
      assert.isAtMost(other.bodies.length, 4)
    }))

  it.live("or is silent for a while, is asked again", () =>
    Effect.gen(function*() {
      for (const fail of [(r: ServerResponse) => json(r, {}, 503), (r: ServerResponse) => void r.destroy(), () => {}]) {
        let requests = 0
        const server = yield* serve((body, response) => {
          requests += 1
          if (requests <= 2) return fail(response)
          limited(100, () => {}, [])(body, response, { method: "POST" } as never)
        })
        const options = { timeLimit: "200 millis", concurrency: 1, batchSize: 100 } as const
        isRight(yield* embed(embedding(server.url, options)))
        assert.strictEqual(requests, 3)
        requests = 0
        const [scores] = yield* rerank(reranking(server.url, { dialect: "tei", timeLimit: "200 millis" }))
        assert.deepStrictEqual(scores, texts.map(Number))
        assert.strictEqual(requests, 3)
        requests = 0
        yield* Effect.flip(embed(embedding(server.url, { ...options, retry: false })))
        assert.strictEqual(requests, 1)
      }
    }))

  it.live("is asked no more when nobody waits", () =>
    Effect.gen(function*() {
      const server = yield* serve(() => {})
      const fiber = yield* Effect.forkChild(embed(embedding(server.url)))
      yield* server.until(() => server.bodies.length > 0)
      yield* Fiber.interrupt(fiber)
      yield* server.until(() => server.open() === 0)
    }))
})

describe("an embedding server's answer", () => {
  const three = ["1", "2", "3"]
  const answering = (answer: unknown, path = "/v1/embeddings") =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => {
        response.setHeader("content-type", "application/json")
        response.end(typeof answer === "string" ? answer : JSON.stringify(answer))
      })
      return yield* embed(embedding(server.url.replace("/retrieve", path), { retry: false }), three)
    })
  const entry = (n: number, fields: object = {}) => ({ embedding: [n, 1], ...fields })

  it.live.each<readonly [string, unknown]>([
    ["without an index", { data: [entry(1), entry(2), entry(3)] }],
    ["with null for each index", {
      data: [entry(1, { index: null }), entry(2, { index: null }), entry(3, { index: null })]
    }],
    ["out of order", { data: [entry(3, { index: 2 }), entry(1, { index: 0 }), entry(2, { index: 1 })] }],
    ["with an index in quotes", {
      data: [entry(3, { index: "2" }), entry(1, { index: "0" }), entry(2, { index: "1" })]
    }]
  ])("is taken %s", ([, answer]) =>
    Effect.gen(function*() {
      const vectors = yield* answering(answer)
      assert.deepStrictEqual(vectors.map(([a = 0, b = 0]) => Math.round(a / b)), [1, 2, 3])
    }))

  it.live.each<readonly [string, unknown, RegExp, string?]>([
    [
      "an index for some",
      { data: [entry(1, { index: 0 }), entry(2), entry(3, { index: 2 })] },
      /entry 1 has no "index", and others have/
    ],
    [
      "an index twice",
      { data: [entry(1, { index: 0 }), entry(2, { index: 0 }), entry(3, { index: 2 })] },
      /"index" 0 twice/
    ],
    [
      "an index of no text",
      { data: [entry(1, { index: 1 }), entry(2, { index: 2 }), entry(3, { index: 3 })] },
      /"index" 3 for 3 texts/
    ],
    ["a word for an index", { data: [entry(1, { index: "a" }), entry(2), entry(3)] }, /"index" "a"/],
    ["a vector too few", { data: [entry(1), entry(2)] }, /2 vectors for 3 texts/],
    [
      "another length",
      { data: [entry(1), entry(2), { embedding: [1] }] },
      /vector 2 has 1 numbers, and the first has 2/
    ],
    [
      "a NaN",
      "{\"data\":[{\"embedding\":[1,NaN]},{\"embedding\":[1,1]},{\"embedding\":[1,1]}]}",
      /vector 0.*NaN at 1 is no number/
    ],
    [
      "a null",
      "{\"data\":[{\"embedding\":[1,1]},{\"embedding\":[null,1]},{\"embedding\":[1,1]}]}",
      /vector 1.*null at 0 is no number/
    ],
    ["a string", { data: [entry(1), entry(2), { embedding: "AACAPw==" }] }, /vector 2 is no list of numbers/],
    ["no vector", { data: [entry(1), entry(2), {}] }, /vector 2 is no list of numbers/],
    ["nothing in a vector", { data: [{ embedding: [] }, { embedding: [] }, { embedding: [] }] }, /vector 0 is empty/],
    ["an error with status 200", { detail: "loading" }, /no array "data".*loading/],
    ["an error with status 200, of TEI", { error: "loading" }, /no array of vectors.*loading/, "/embed"],
    ["numbers for vectors", [1, 2, 3], /vector 0 is no list of numbers/, "/embed"]
  ])("is refused with %s", ([, answer, message, path]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(answering(answer, path))
      assert.strictEqual(error._tag, "RetrieverUnexpectedShape")
      assert.match(error.message, message)
    }))
})

describe("a reranking server's answer", () => {
  const two = documents.slice(1, 3)
  const answering = (answer: unknown, dialect: RerankerHttp.Dialect = "tei") =>
    Effect.gen(function*() {
      const server = yield* serve((_, response) => {
        response.end(typeof answer === "string" ? answer : JSON.stringify(answer))
      })
      return yield* rerank(reranking(server.url, { dialect, retry: false }), two)
    })

  it.live.each<readonly [string, unknown, RerankerHttp.Dialect]>([
    ["scores in quotes", [{ index: 1, score: "0.5" }, { index: 0, score: "-1e1" }], "tei"],
    [
      "an index in quotes",
      { results: [{ index: "1", relevance_score: 0.5 }, { index: "0", relevance_score: -10 }] },
      "cohere"
    ]
  ])(
    "may have %s",
    ([, answer, dialect]) =>
      Effect.map(answering(answer, dialect), (scores) => assert.deepStrictEqual(scores, [[-10, 0.5]]))
  )

  it.live.each<readonly [string, unknown, RegExp, RerankerHttp.Dialect?]>([
    ["no index", [{ score: 0.5 }, { score: 0.4 }], /result 0 has no "index"/],
    ["an index twice", [{ index: 0, score: 0.5 }, { index: 0, score: 0.4 }], /"index" 0 twice/],
    ["an index of no passage", [{ index: 0, score: 0.5 }, { index: 7, score: 0.4 }], /"index" 7 for 2 passages/],
    ["an index between passages", [{ index: 0, score: 0.5 }, { index: 0.5, score: 0.4 }], /"index" 0.5/],
    ["NaN", "[{\"index\":0,\"score\":NaN},{\"index\":1,\"score\":1}]", /score of result 0, NaN, is no number/],
    ["null", [{ index: 0, score: 1 }, { index: 1, score: null }], /score of result 1, null, is no number/],
    ["a score too few", [{ index: 0, score: 0.5 }], /passage 1 has no score/],
    ["no results", { error: "loading" }, /no list of results in.*loading/],
    [
      "a strange passage",
      { result: [[{ document: "other", score: 1 }]] },
      /result 0 is none of the passages/,
      "search-r1"
    ]
  ])("is refused with %s", ([, answer, message, dialect]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(answering(answer, dialect))
      assert.strictEqual(error._tag, "RetrieverUnexpectedShape")
      assert.match(error.message, message)
    }))
})
