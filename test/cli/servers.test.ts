/**
 * What commands send to servers of others, and how often.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, FileSystem, Layer, Logger, References } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import type { IncomingMessage, ServerResponse } from "node:http"
import { index } from "../../src/cli/indexes.ts"
import { search } from "../../src/cli/search.ts"
import { serve } from "../../src/cli/serve.ts"
import { formatLine } from "../../src/domain/Corpus.ts"
import * as HttpServer from "../support/httpServer.ts"
import { passages } from "../support/passages.ts"

const { json } = HttpServer

const inDirectory = <A, E, R>(
  use: (files: {
    readonly fs: FileSystem.FileSystem
    readonly directory: string
    readonly corpus: string
  }) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped()
    const corpus = `${directory}/corpus.jsonl`
    yield* fs.writeFileString(corpus, passages.map(formatLine).join("\n"))
    return yield* use({ fs, directory, corpus })
  }).pipe(
    Effect.provide(Layer.mergeAll(
      NodeServices.layer,
      TestConsole.layer,
      ConfigProvider.layer(ConfigProvider.fromUnknown({ SEARCH_R1_CACHE: "/nonexistent", RERANKER_API_KEY: "k3y" }))
    ))
  )

const run = {
  index: Command.runWith(index, { version: "0" }),
  search: Command.runWith(search, { version: "0" }),
  serve: Command.runWith(serve, { version: "0" })
}

const output = Effect.map(TestConsole.logLines, (lines) => lines.map(String))

/** Runs `search-r1 serve`; its address once it listens. */
const serving = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
  const announced = Effect.map(
    output,
    (lines) => [...lines.join("\n").matchAll(/answers on (http:\/\/\S+)\/retrieve/g)]
  )
  const before = (yield* announced).length
  const fiber = yield* Effect.forkChild(run.serve([...args, "--port", "0", "--drain-notice", "0 millis"]))
  while (fiber.pollUnsafe() === undefined) {
    const url = (yield* announced).slice(before)[0]?.[1]
    if (url !== undefined) return { url, stop: Fiber.interrupt(fiber) }
    yield* Effect.sleep("5 millis")
  }
  return yield* Effect.die(yield* Fiber.await(fiber))
})

const post = (url: string, body: unknown) =>
  Effect.promise(async () => {
    const response = await fetch(url, { method: "POST", body: JSON.stringify(body) })
    return { status: response.status, body: JSON.parse(await response.text()) }
  })

/** An embedding server of text-embeddings-inference: what it got, and answers as told. */
const embedding = (
  respond: (texts: ReadonlyArray<string>, response: ServerResponse, request: IncomingMessage) => boolean = () => false
) => {
  const sizes: Array<number> = []
  const handler: HttpServer.Handler = (body, response, request) => {
    const texts: ReadonlyArray<string> = body === "" ? [] : JSON.parse(body).inputs
    sizes.push(texts.length)
    if (!respond(texts, response, request)) json(response, texts.map((text) => [text.length, 1]))
  }
  return Effect.map(HttpServer.serve(handler), (server) => ({ sizes, url: server.url.replace("/retrieve", "/embed") }))
}

describe("index bench", () => {
  it.live("searches each time instead of remembering", () =>
    inDirectory(({ directory, fs }) =>
      Effect.gen(function*() {
        const asked: Array<string> = []
        const server = yield* HttpServer.serve((body, response) => {
          const { queries } = JSON.parse(body)
          asked.push(...queries)
          json(response, { result: queries.map(() => []) })
        })
        const questions = `${directory}/q.jsonl`
        const names = ["a", "b", "c"]
        yield* fs.writeFileString(
          questions,
          names.map((question) => JSON.stringify({ id: question, question, golden_answers: ["x"] })).join("\n")
        )
        yield* run.index(["bench", "--remote", server.url, "--questions", questions, "--json"])
        // warming up, three speeds and the quality
        for (const name of names) assert.isAtLeast(asked.filter((query) => query === name).length, 4, name)
      })
    ))
})

describe("a server that embeds", () => {
  it.live("gets as many texts as the flag says, and is asked again as often as the flags say", () =>
    inDirectory(({ corpus, directory }) =>
      Effect.gen(function*() {
        const { sizes, url } = yield* embedding()
        const file = `${directory}/i.idx`
        yield* run.index([
          "build",
          corpus,
          "--engine",
          "dense",
          "--embedder",
          `${url}#m`,
          "--embedder-batch",
          "3",
          "--out",
          file
        ])
        assert.strictEqual(Math.max(...sizes), 3)
        assert.strictEqual(sizes.reduce((a, b) => a + b, 0), passages.length)

        let failures = 2
        const flaky = yield* embedding((_, response) => {
          if (failures <= 0) return false
          failures -= 1
          json(response, {}, 503)
          return true
        })
        const args = ["herring", "--index", file, "--embedder", `${flaky.url}#m`]
        assert.include((yield* Effect.flip(run.search([...args, "--retries", "1"]))).message, "503")
        assert.strictEqual(flaky.sizes.length, 2)
        failures = 2
        yield* run.search([...args, "--retries", "2"])
        // three attempts to embed passages of the index again, and the query
        assert.strictEqual(flaky.sizes.length, 6)
        assert.strictEqual(flaky.sizes.at(-1), 1)

        const silent = yield* embedding(() => true)
        const error = yield* Effect.flip(
          run.search([
            "herring",
            "--index",
            file,
            "--embedder",
            `${silent.url}#m`,
            "--retries",
            "0",
            "--timeout",
            "100 millis"
          ])
        )
        assert.include(error.message, "did not answer within 100 ms")
        assert.strictEqual(silent.sizes.length, 1)
      })
    ))
})

describe("serve --reranker", () => {
  it.live("asks it about as many passages as the flag says, with key and model, and remembers its answers", () =>
    inDirectory(({ corpus }) =>
      Effect.gen(function*() {
        let failures = 1
        const reranker = yield* HttpServer.serve((body, response) => {
          if (failures-- > 0) return json(response, {}, 503)
          const { documents } = JSON.parse(body)
          json(response, {
            results: documents.map((text: string, index: number) => ({ index, relevance_score: -text.length }))
          })
        })
        const flags = ["--reranker-dialect", "cohere", "--reranker-batch", "2", "--candidates", "5"]
        const address = `${reranker.url.replace("/retrieve", "/rerank")}#rerank-v3.5`
        const { stop, url } = yield* serving(["--corpus", corpus, "--reranker", address, ...flags])
        const body = { queries: ["the island of the lighthouse"], topk: 2, return_scores: true }
        const first = yield* post(`${url}/retrieve`, body)
        assert.strictEqual(first.status, 200)
        const [[best, second]] = first.body.result
        assert.isAtLeast(best.score, second.score)
        assert.isBelow(best.score, 0)
        const sent = reranker.bodies.map((text) => JSON.parse(text))
        assert.deepStrictEqual([...new Set(sent.map(({ model }) => model))], ["rerank-v3.5"])
        assert.strictEqual(Math.max(...sent.map(({ documents }) => documents.length)), 2)
        assert.strictEqual(reranker.headers[0]?.authorization, "Bearer k3y")
        const requests = reranker.bodies.length
        assert.deepStrictEqual((yield* post(`${url}/retrieve`, body)).body, first.body)
        assert.strictEqual(reranker.bodies.length, requests)
        yield* stop
      })
    ))

  it.live("explains what is no reranker", () =>
    inDirectory(({ corpus }) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(run.serve(["--corpus", corpus, "--reranker", "ftp://x"]))
        assert.match(error.message, /--reranker ftp:\/\/x is neither/)
      })
    ))
})

describe("serve", () => {
  it.live("remembers as many answers as the flags say", () =>
    inDirectory(() =>
      Effect.gen(function*() {
        const asked: Array<string> = []
        const engine = yield* HttpServer.serve((body, response) => {
          const { queries } = JSON.parse(body)
          asked.push(...queries)
          json(response, {
            result: queries.map((query: string) => [{ id: query, contents: `T\n${query.repeat(300_000)}` }])
          })
        })
        const askAll = Effect.fnUntraced(function*(flags: ReadonlyArray<string>) {
          const { stop, url } = yield* serving(["--remote", engine.url, ...flags])
          asked.length = 0
          for (const query of ["a", "b", "a", "b"]) yield* post(`${url}/retrieve`, { queries: [query], topk: 1 })
          yield* stop
          return asked.join("")
        })
        assert.strictEqual(yield* askAll([]), "ab")
        assert.strictEqual(yield* askAll(["--cache-size", "1"]), "abab")
        // an answer takes 600 kB
        assert.strictEqual(yield* askAll(["--cache-memory", "1"]), "abab")
        assert.strictEqual(yield* askAll(["--cache-memory", "2"]), "ab")
        assert.strictEqual(yield* askAll(["--cache", "off"]), "abab")
      })
    ))

  it.live.each<readonly [string, ReadonlyArray<string>, boolean]>([
    ["0.0.0.0", [], true],
    ["0.0.0.0", ["--token", "secret"], false],
    ["127.0.0.1", [], false],
    ["127.0.0.2", [], false]
  ])(
    "warns of an open door, and of nothing else: %s %j",
    ([host, flags, warned]) =>
      inDirectory(({ corpus }) =>
        Effect.gen(function*() {
          const warnings: Array<string> = []
          const { stop } = yield* serving(["--corpus", corpus, "--host", host, ...flags]).pipe(
            Effect.provide(Logger.layer([Logger.make(({ message }) => warnings.push(String(message)))])),
            Effect.provideService(References.MinimumLogLevel, "Warn")
          )
          yield* stop
          assert.deepStrictEqual(
            warnings.map((warning) => warning.includes("may search: set SEARCH_R1_TOKEN")),
            warned ? [true] : []
          )
        })
      )
  )

  it.live("says that this machine has no such address", () =>
    inDirectory(({ corpus }) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(run.serve(["--corpus", corpus, "--host", "203.0.113.1", "--port", "0"]))
        assert.match(error.message, /no address 203\.0\.113\.1/)
      })
    ))
})
