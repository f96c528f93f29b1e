/** Layers that speak to servers, and the server of the project: sockets close with them. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Context, Deferred, Effect, Fiber, Layer, Redacted } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpServer } from "effect/http"
import { createServer } from "node:http"
import * as EmbedderHttp from "../../../src/layers/embedder/EmbedderHttp.ts"
import * as RerankerHttp from "../../../src/layers/reranker/RerankerHttp.ts"
import * as RetrieverElastic from "../../../src/layers/retriever/RetrieverElastic.ts"
import * as RetrieverMemory from "../../../src/layers/retriever/RetrieverMemory.ts"
import * as RetrieverRemote from "../../../src/layers/retriever/RetrieverRemote.ts"
import * as RetrieverSimulated from "../../../src/layers/retriever/RetrieverSimulated.ts"
import * as RetrieverWeb from "../../../src/layers/retriever/RetrieverWeb.ts"
import * as RetrievalServer from "../../../src/programs/RetrievalServer.ts"
import { Embedder } from "../../../src/services/Embedder.ts"
import { Reranker } from "../../../src/services/Reranker.ts"
import { Retriever } from "../../../src/services/Retriever.ts"
import { type Lifetime, lifetimes, type Work } from "../../contract/lifetimes.ts"
import { controlled } from "../../support/controlledRetriever.ts"
import { type Handler, json, serve } from "../../support/httpServer.ts"
import { passages, queries } from "../../support/passages.ts"
import { answer } from "../../support/retrievalServer.ts"

const search = Retriever.use((retriever) =>
  Effect.all([
    Effect.forEach(queries.slice(0, 3), (query) => retriever.search(query, { topK: 2 }), { concurrency: 3 }),
    retriever.searchMany(queries.slice(0, 4), { topK: 2 })
  ], { concurrency: "unbounded" })
)

/** A client of a server that answers rightly, refuses, or accepts a request and says nothing. */
const overHttp = <S>(
  name: string,
  layer: (url: string) => Layer.Layer<S, unknown, HttpClient.HttpClient>,
  use: Effect.Effect<unknown, unknown, S>,
  right: Handler,
  client: Layer.Layer<HttpClient.HttpClient> = NodeHttpClient.layerUndici
): Lifetime => {
  const against = (handler: (begun: Deferred.Deferred<void>) => Handler): Work => ({ begun }) =>
    Effect.gen(function*() {
      const { url } = yield* serve(handler(begun))
      yield* use.pipe(Effect.provide(layer(url).pipe(Layer.provide(Layer.fresh(client)))))
    })
  return {
    name,
    succeeds: against(() => right),
    fails: against(() => (_, response) => json(response, { detail: "no" }, 400)),
    hangs: against((begun) => () => Deferred.doneUnsafe(begun, Effect.void))
  }
}

const memory = RetrieverMemory.make({ documents: passages })
const key = Redacted.make("key")
/** Nothing found, as Google and SerpAPI say it. */
const empty: Handler = (_, response) => json(response, { items: [], organic_results: [] })

lifetimes("Retriever over HTTP", [
  overHttp("RetrieverRemote (undici)", (url) => RetrieverRemote.layer({ url }), search, answer(memory)),
  overHttp(
    "RetrieverRemote (fetch)",
    (url) => RetrieverRemote.layer({ url }),
    search,
    answer(memory),
    FetchHttpClient.layer
  ),
  overHttp(
    "RetrieverElastic",
    (url) => RetrieverElastic.layer({ url: new URL(url).origin, index: "passages" }),
    search,
    (body, response) =>
      json(response, {
        responses: body.trim().split("\n").filter((_, at) => at % 2 === 1).map(() => ({
          hits: { hits: [] },
          status: 200
        })),
        hits: { hits: [] }
      })
  ),
  overHttp("RetrieverWeb, Google", (url) => RetrieverWeb.layerGoogle({ key, url, engine: "e" }), search, empty),
  overHttp("RetrieverWeb, SerpAPI", (url) => RetrieverWeb.layerSerpApi({ key, url }), search, empty),
  overHttp(
    "RetrieverWeb, Serper",
    (url) => RetrieverWeb.layerSerper({ key, url }),
    search,
    (_, response) => json(response, { searchParameters: {}, organic: [] })
  ),
  overHttp(
    "RetrieverWeb, Brave",
    (url) => RetrieverWeb.layerBrave({ key, url }),
    search,
    (_, response) => json(response, { type: "search", query: {} })
  ),
  overHttp(
    "RetrieverWeb, Tavily",
    (url) => RetrieverWeb.layerTavily({ key, url }),
    search,
    (_, response) => json(response, { query: "", results: [] })
  ),
  overHttp(
    "RetrieverSimulated",
    (url) => RetrieverSimulated.layer({ url, model: "m" }),
    search,
    (_, response) => json(response, { choices: [{ message: { content: "Document 1: a" } }] })
  )
])

lifetimes("Embedder and Reranker over HTTP", [
  overHttp(
    "EmbedderHttp",
    (url) => EmbedderHttp.layer({ url: new URL("/v1/embeddings", url).href, model: "m" }),
    Embedder.use((embedder) => embedder.queries(["a"])),
    (_, response) => json(response, { data: [{ index: 0, embedding: [1, 2] }] })
  ),
  overHttp(
    "RerankerHttp",
    (url) => RerankerHttp.layer({ url: new URL("/rerank", url).href, dialect: "tei" }),
    Reranker.use((reranker) => reranker.scores([{ query: "q", documents: passages.slice(0, 2) }])),
    (_, response) => json(response, [{ index: 0, score: 1 }, { index: 1, score: 0 }])
  )
])

/** A server over a retriever, and a client of it that asks once. */
const served = (
  retriever: Layer.Layer<Retriever>,
  ask: (url: string) => Effect.Effect<unknown, unknown, HttpClient.HttpClient>
) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      RetrievalServer.layer({ drainNotice: 0 }).pipe(
        Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 })),
        Layer.provide(retriever)
      )
    )
    const url = HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
    return yield* ask(url).pipe(Effect.provide(Layer.fresh(NodeHttpClient.layerUndici)))
  })

const post = (url: string) =>
  HttpClient.execute(
    HttpClientRequest.post(`${url}/retrieve`).pipe(
      HttpClientRequest.bodyText("{\"queries\":[\"a\"]}", "application/json")
    )
  ).pipe(Effect.flatMap((response) => response.text))

lifetimes("RetrievalServer", [{
  name: "RetrievalServer",
  succeeds: () =>
    served(Layer.succeed(Retriever, memory), (url) => Effect.all([post(url), post(url)], { concurrency: 2 })),
  hangs: ({ begun }) => {
    const never = controlled(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
    return served(never.layer, (url) => Effect.flatMap(Effect.forkChild(post(url)), Fiber.join))
  }
}])
