/**
 * What holds for every layer that puts something around a retriever, however it is shared.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, type FileSystem, Layer, type Path } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as index from "../../../src/index.ts"
import * as RetrieverBatching from "../../../src/layers/retriever/RetrieverBatching.ts"
import * as RetrieverBudget from "../../../src/layers/retriever/RetrieverBudget.ts"
import * as RetrieverCache from "../../../src/layers/retriever/RetrieverCache.ts"
import * as RetrieverConcurrency from "../../../src/layers/retriever/RetrieverConcurrency.ts"
import * as RetrieverDiskCache from "../../../src/layers/retriever/RetrieverDiskCache.ts"
import * as RetrieverFault from "../../../src/layers/retriever/RetrieverFault.ts"
import * as RetrieverRateLimit from "../../../src/layers/retriever/RetrieverRateLimit.ts"
import * as RetrieverRemote from "../../../src/layers/retriever/RetrieverRemote.ts"
import * as RetrieverRerank from "../../../src/layers/retriever/RetrieverRerank.ts"
import * as RetrieverResilient from "../../../src/layers/retriever/RetrieverResilient.ts"
import * as RetrieverRetry from "../../../src/layers/retriever/RetrieverRetry.ts"
import * as RetrieverTimeLimit from "../../../src/layers/retriever/RetrieverTimeLimit.ts"
import * as RetrieverWeb from "../../../src/layers/retriever/RetrieverWeb.ts"
import { Reranker } from "../../../src/services/Reranker.ts"
import { Retriever } from "../../../src/services/Retriever.ts"
import { hits } from "../../support/controlledRetriever.ts"

type Decorator = Layer.Layer<Retriever, never, Retriever | Reranker | FileSystem.FileSystem | Path.Path>

/** What decorators need besides a retriever; the reranker leaves the order as it is. */
const environment = Layer.merge(
  NodeServices.layer,
  Layer.succeed(
    Reranker,
    Reranker.of({
      name: "none",
      scores: (requests) => Effect.succeed(requests.map(({ documents }) => documents.map((_, index) => -index)))
    })
  )
)

const directory = mkdtempSync(join(tmpdir(), "answers-"))
afterAll(() => rmSync(directory, { recursive: true }))

/** One value of every decorator that there is; the test below fails when one is missing. */
const decorators: Readonly<Record<string, Decorator>> = {
  RetrieverBatching: RetrieverBatching.layer({ window: "1 millis" }),
  RetrieverBudget: RetrieverBudget.layer({ budget: 1e9 }),
  RetrieverCache: RetrieverCache.layer(),
  RetrieverConcurrency: RetrieverConcurrency.layer(),
  RetrieverDiskCache: RetrieverDiskCache.layer({ directory }),
  RetrieverFault: RetrieverFault.layer({ seed: 1 }),
  RetrieverRateLimit: RetrieverRateLimit.layer({ limit: 1e6 }),
  RetrieverRerank: RetrieverRerank.layer(),
  RetrieverResilient: RetrieverResilient.layer(),
  RetrieverRetry: RetrieverRetry.layer(),
  RetrieverTimeLimit: RetrieverTimeLimit.layer()
}

const engines = [
  "RetrieverBm25",
  "RetrieverDense",
  "RetrieverElastic",
  "RetrieverHybrid",
  "RetrieverIndex",
  "RetrieverLance",
  "RetrieverLunr",
  "RetrieverMemory",
  "RetrieverRandom",
  "RetrieverRemote",
  "RetrieverSimulated",
  "RetrieverWeb"
]

/** An engine that answers with its own name. */
const engine = (name: string, counter = { calls: 0 }) =>
  Layer.succeed(
    Retriever,
    Retriever.fromSearchMany(name, (queries, { topK }) =>
      Effect.sync(() => {
        counter.calls += 1
        return queries.map(() => hits(name, topK))
      }))
  )

class First extends Context.Service<First, Retriever["Service"]>()("test/First") {}
class Second extends Context.Service<Second, Retriever["Service"]>()("test/Second") {}

const as = <I, E, R>(tag: Context.Key<I, Retriever["Service"]>, layer: Layer.Layer<Retriever, E, R>) =>
  Layer.effect(tag, Retriever).pipe(Layer.provide(layer))

const found = (retriever: Retriever["Service"]) =>
  Effect.map(retriever.search("q", { topK: 1 }), ([document]) => document?.title)

describe("a decorator", () => {
  it("is one of those that are tested here, or it is an engine", () => {
    const modules = Object.entries(index).flatMap(([name, module]) =>
      /^Retriever[A-Z]/.test(name) && typeof module === "object" && "layer" in module ? [name] : []
    )
    assert.isAbove(modules.length, 15)
    for (const name of modules) assert.include([...engines, ...Object.keys(decorators)], name)
  })

  it.live.each(Object.entries(decorators))(
    "stands around each of two engines of one program, shared as it may be: %s",
    ([, decorator]) =>
      Effect.gen(function*() {
        const first = as(First, decorator.pipe(Layer.provide(engine("first"))))
        const second = as(Second, decorator.pipe(Layer.provide(engine("second"))))
        const context = yield* Layer.build(Layer.merge(first, second).pipe(Layer.provide(environment)))
        assert.strictEqual(yield* found(Context.get(context, First)), "first")
        assert.strictEqual(yield* found(Context.get(context, Second)), "second")
      })
  )

  it.live.each(Object.entries(decorators))(
    "may stand around itself: %s",
    ([, decorator]) =>
      Effect.gen(function*() {
        const counter = { calls: 0 }
        const cached = RetrieverCache.layer().pipe(Layer.provide(engine("inner", counter)))
        const twice = decorator.pipe(
          Layer.provide(RetrieverCache.layer()),
          Layer.provide(decorator),
          Layer.provide(cached)
        )
        const retriever = Context.get(yield* Layer.build(twice.pipe(Layer.provide(environment))), Retriever)
        assert.strictEqual(yield* found(retriever), "inner")
        assert.strictEqual(yield* found(retriever), "inner")
        assert.strictEqual(counter.calls, 1)
      })
  )

  it.live("is built once where the layer that it and its engine make is shared", () =>
    Effect.gen(function*() {
      const counter = { calls: 0 }
      const cached = RetrieverCache.layer().pipe(Layer.provide(engine("first", counter)))
      const context = yield* Layer.build(Layer.merge(as(First, cached), as(Second, cached)))
      yield* found(Context.get(context, First))
      yield* found(Context.get(context, Second))
      assert.strictEqual(counter.calls, 1)
    }))
})

describe("a layer that takes its options from the environment", () => {
  /** A client that notes the addresses that it is asked for. */
  const client = (urls: Array<string>) =>
    Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request, url) =>
        Effect.sync(() => {
          urls.push(url.href)
          const body = {
            result: [[]],
            results: [],
            items: [],
            organic: [],
            type: "search",
            search_metadata: {},
            queries: []
          }
          return HttpClientResponse.fromWeb(request, Response.json(body))
        })
      )
    )

  const configured: ReadonlyArray<readonly [string, Layer.Layer<Retriever, unknown, HttpClient.HttpClient>]> = [
    ["RetrieverRemote", RetrieverRemote.layerConfig],
    ["Google", RetrieverWeb.layerGoogleConfig],
    ["SerpAPI", RetrieverWeb.layerSerpApiConfig]
  ]

  const settings = (own: string) =>
    ConfigProvider.layer(ConfigProvider.fromUnknown({
      RETRIEVER: { URL: `http://${own}.example/` },
      GOOGLE_API_KEY: own,
      GOOGLE_CSE_ID: own,
      SERPAPI_API_KEY: own
    }))

  it.live.each(configured)("may be used with two of them in one program: %s", ([, layer]) =>
    Effect.gen(function*() {
      const urls: Array<string> = []
      const from = (own: string) => layer.pipe(Layer.provide(client(urls)), Layer.provide(settings(own)))
      const context = yield* Layer.build(Layer.merge(as(First, from("first")), as(Second, from("second"))))
      yield* Context.get(context, First).search("q", { topK: 1 })
      yield* Context.get(context, Second).search("q", { topK: 1 })
      assert.include(urls[0], "first")
      assert.include(urls[1], "second")
    }))
})
