/**
 * The contract of a retriever over engines that others run, played by local servers in the form of their documentation.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Effect, Layer, Redacted } from "effect"
import type { Document, ScoredDocument } from "../../../src/domain/Document.ts"
import { sha256 } from "../../../src/layers/hash.ts"
import * as RetrieverFault from "../../../src/layers/retriever/RetrieverFault.ts"
import * as RetrieverMemory from "../../../src/layers/retriever/RetrieverMemory.ts"
import * as RetrieverRetry from "../../../src/layers/retriever/RetrieverRetry.ts"
import * as RetrieverSimulated from "../../../src/layers/retriever/RetrieverSimulated.ts"
import * as RetrieverWeb from "../../../src/layers/retriever/RetrieverWeb.ts"
import { retrieverContract } from "../../contract/retriever.ts"
import { type Handler, json, serve } from "../../support/httpServer.ts"
import { passages } from "../../support/passages.ts"

const memory = RetrieverMemory.make({ documents: passages })

const addressOf = (id: string) => `https://passages.example/${id}`
const plainTitle = (title: string) => title.replaceAll("\"", "")

type Pages = ReadonlyArray<{ readonly link: string; readonly title: string; readonly snippet: string }>

/** What a provider's request asks for. */
interface Search {
  readonly query: string
  readonly count: number
}

/** Finds the passages as pages of the web. */
const searched = (read: (body: string, parameters: URLSearchParams) => Search, encode: (pages: Pages) => unknown) => {
  const handler: Handler = (body, response, request) => {
    const { count, query } = read(body, new URL(request.url ?? "/", "http://localhost").searchParams)
    void Effect.runPromise(memory.search(query, { topK: count })).then((hits) =>
      json(
        response,
        encode(
          hits.map(({ id, text, title }) => ({ link: addressOf(id), title: plainTitle(title), snippet: text }))
        )
      )
    )
  }
  return handler
}

const inAddress = (query: string, count: string) => (_: string, parameters: URLSearchParams): Search => ({
  query: parameters.get(query) ?? "",
  count: Number(parameters.get(count))
})

const inBody = (query: string, count: string) => (body: string): Search => {
  const sent = JSON.parse(body)
  return { query: String(sent[query]), count: Number(sent[count]) }
}

const key = Redacted.make("k3y")

type Engine = readonly [
  name: string,
  layer: (url: string) => ReturnType<typeof RetrieverWeb.layerBrave>,
  server: Handler
]

const engines: ReadonlyArray<Engine> = [
  [
    "Google",
    (url) => RetrieverWeb.layerGoogle({ key, url, engine: "cse" }),
    searched(inAddress("q", "num"), (pages) => ({
      kind: "customsearch#search",
      searchInformation: { totalResults: String(pages.length) },
      ...(pages.length === 0 ? {} : { items: pages })
    }))
  ],
  [
    "SerpAPI",
    (url) => RetrieverWeb.layerSerpApi({ key, url }),
    searched(inAddress("q", "num"), (pages) => ({
      search_metadata: { status: "Success" },
      ...(pages.length === 0
        ? { error: "Google hasn't returned any results for this query." }
        : { organic_results: pages.map((page, index) => ({ position: index + 1, ...page })) })
    }))
  ],
  [
    "Serper",
    (url) => RetrieverWeb.layerSerper({ key, url }),
    searched(inBody("q", "num"), (pages) => ({ searchParameters: { type: "search" }, organic: pages }))
  ],
  [
    "Brave",
    (url) => RetrieverWeb.layerBrave({ key, url }),
    searched(inAddress("q", "count"), (pages) => ({
      type: "search",
      query: { original: "x" },
      ...(pages.length === 0 ? {} : {
        web: {
          type: "search",
          results: pages.map(({ link, snippet, title }) => ({ url: link, title, description: snippet }))
        }
      })
    }))
  ],
  [
    "Tavily",
    (url) => RetrieverWeb.layerTavily({ key, url }),
    searched(inBody("query", "max_results"), (pages) => ({
      query: "x",
      answer: null,
      results: pages.map(({ link, snippet, title }, index) => ({
        url: link,
        title,
        content: snippet,
        score: 1 / (index + 2),
        raw_content: null
      }))
    }))
  ]
]

for (const [name, layer, server] of engines) {
  retrieverContract(`RetrieverWeb (${name})`, {
    layer: Layer.unwrap(Effect.map(serve(server), ({ url }) => layer(url))).pipe(
      Layer.provide(NodeHttpClient.layerUndici)
    ),
    shown: ({ id, text, title }) => ({ id: addressOf(id), title: `"${plainTitle(title)}"`, text }),
    runs: 5
  })
}

const oneLine = (text: string) => text.replaceAll("\n", " ")

const line = ({ text, title }: ScoredDocument, index: number) =>
  `Doc ${index + 1}(Title: ${plainTitle(title)}) ${oneLine(text)}`

/** A chat model that knows the passages. */
const chat: Handler = (body, response) => {
  const prompt = String(JSON.parse(body).messages[0].content)
  const [, count] = /write (\d+) documents/.exec(prompt) ?? []
  const query = prompt.slice(prompt.indexOf("\n\nQuery: ") + "\n\nQuery: ".length)
  void Effect.runPromise(memory.search(query, { topK: Number(count) })).then((hits) =>
    json(response, {
      choices: [{ index: 0, message: { role: "assistant", content: hits.map(line).join("\n") }, finish_reason: "stop" }]
    })
  )
}

retrieverContract("RetrieverSimulated", {
  layer: Layer.unwrap(
    Effect.map(serve(chat), ({ url }) => RetrieverSimulated.layer({ url: url.replace("/retrieve", "/v1"), model: "m" }))
  ).pipe(Layer.provide(NodeHttpClient.layerUndici)),
  shown: ({ text, title }): Document => ({
    id: `simulated-${sha256(`${plainTitle(title)}\n${oneLine(text)}`).slice(0, 16)}`,
    title,
    text: oneLine(text)
  }),
  runs: 5
})

retrieverContract("RetrieverFault with drops and delays, under RetrieverRetry", {
  layer: RetrieverRetry.layer({ times: 30, base: "1 millis", max: "4 millis" }).pipe(
    Layer.provide(RetrieverFault.layer({ seed: 4, drop: 0.05, delay: 0.2, maxDelay: "3 millis" })),
    Layer.provide(RetrieverMemory.layer({ documents: passages }))
  ),
  runs: 5
})
