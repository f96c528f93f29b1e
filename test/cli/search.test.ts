import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem, Stdio, Stream } from "effect"
import { Command } from "effect/cli"
import { TestConsole } from "effect/testing"
import { search } from "../../src/cli/search.ts"
import { formatLine } from "../../src/domain/Corpus.ts"
import { contents } from "../../src/domain/Document.ts"
import { json, serve } from "../support/httpServer.ts"
import { passages } from "../support/passages.ts"

const run = Command.runWith(search, { version: "0" })

/** The printed lines, and the error when there is one. */
const outcome = Effect.fnUntraced(function*(args: ReadonlyArray<string>, stdin = "") {
  const error = yield* run(args).pipe(
    Effect.as(undefined),
    Effect.catch(Effect.succeed),
    Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({}))),
    Effect.provideServiceEffect(
      Stdio.Stdio,
      Stdio.Stdio.useSync((stdio) => ({ ...stdio, stdin: Stream.succeed(new TextEncoder().encode(stdin)) }))
    )
  )
  const output = (yield* TestConsole.logLines).map(String).join("\n")
  return { error, output }
})

const withCorpus = <A, E>(
  use: (path: string, fs: FileSystem.FileSystem) => Effect.Effect<A, E, NodeServices.NodeServices>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = `${yield* fs.makeTempDirectoryScoped()}/corpus.jsonl`
    yield* fs.writeFileString(path, passages.map(formatLine).join("\n"))
    return yield* use(path, fs)
  }).pipe(Effect.provide([NodeServices.layer, TestConsole.layer]))

describe("search-r1 search", () => {
  it.live("shows the passages of a corpus file, plain where there is no terminal", () =>
    withCorpus((path) =>
      Effect.gen(function*() {
        const { error, output } = yield* outcome(["lighthouse of Tolm", "zyxxyqwv", "--corpus", path, "--cache", "off"])
        assert.isUndefined(error)
        assert.match(output, /^lighthouse of Tolm\n {2}1 {2}(Tolm|Twin of Tolm) {2}score \d/)
        assert.include(output, "zyxxyqwv\n  no passage found")
        assert.notInclude(output, "\u001B")
      })
    ))

  it.live("prints JSON lines for the queries of standard input, in their order", () =>
    withCorpus((path) =>
      Effect.gen(function*() {
        const { output } = yield* outcome(
          ["first", "-", "last", "--json", "-k", "1", "--corpus", path, "--cache", "off"],
          "herring\n\nGlass Isles\n"
        )
        const lines = output.split("\n").map((line) => JSON.parse(line))
        assert.deepStrictEqual(lines.map(({ query }) => query), ["first", "herring", "Glass Isles", "last"])
        const [hit] = lines[1].results
        const { score, ...document } = hit
        assert.isAbove(score, 0)
        assert.deepStrictEqual(document, passages.find(({ id }) => id === hit.id))
      })
    ))

  it.live("asks a server in its dialect", () =>
    withCorpus(() =>
      Effect.gen(function*() {
        const server = yield* serve((_, response) =>
          json(response, {
            result: [passages.slice(0, 2).map((p) => ({ document: { id: p.id, contents: contents(p) }, score: 1 }))]
          })
        )
        const { output } = yield* outcome(["x", "--remote", server.url, "--dialect", "skyrl", "--top-k", "2"])
        assert.include(output, "Orla Venn")
        assert.deepStrictEqual(server.bodies, ["{\"query\":\"x\",\"topk\":2,\"return_scores\":true}"])
      }).pipe(Effect.scoped)
    ))

  it.live("asks a cluster of Elasticsearch, or a language model that plays the engine", () =>
    withCorpus(() =>
      Effect.gen(function*() {
        const [passage] = passages
        const server = yield* serve((_, response, request) =>
          json(
            response,
            request.url === "/v1/chat/completions"
              ? { choices: [{ message: { content: "Doc 1(Title: Written) by a model" } }] }
              : { hits: { hits: [{ _id: "7", _score: 2, _source: { title: passage?.title, text: passage?.text } }] } }
          )
        )
        const { host } = new URL(server.url)
        const elastic = yield* outcome(["x", "--elastic", `http://me:p%40ss@${host}/wiki`, "--cache", "off"])
        assert.include(elastic.output, "Orla Venn")
        assert.strictEqual(server.headers[0]?.authorization, `Basic ${btoa("me:p@ss")}`)
        const simulated = yield* outcome(["x", "--simulated", `http://${host}/v1#my/model`, "--noise", "1"])
        assert.include(simulated.output, "Written")
        assert.strictEqual(JSON.parse(server.bodies[1] ?? "").model, "my/model")
        assert.include(server.bodies[1], "must not contain")
        assert.match(server.urls[0] ?? "", /^\/(wiki\/_search|_msearch)$/)
        assert.include(String((yield* outcome(["x", "--elastic", `http://${host}`])).error), "names no index")
        assert.include(String((yield* outcome(["x", "--simulated", "http://h/v1"])).error), "names no model")
      }).pipe(Effect.scoped)
    ))

  it.live("prints nothing that would steer a terminal", () =>
    withCorpus((path, fs) =>
      Effect.gen(function*() {
        yield* fs.writeFileString(
          path,
          formatLine({ id: "\u001B[2J", title: "a\u001B]0;x\u0007", text: "herring \u009B31m" })
        )
        const { output } = yield* outcome(["herring\u001B[31m", "--corpus", path, "--cache", "off"])
        // oxlint-disable-next-line no-control-regex
        assert.notMatch(output, /[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/)
      })
    ))

  it.live.each<readonly [string, (path: string) => ReadonlyArray<string>, RegExp]>([
    ["a missing file", () => ["x", "--corpus", "/no/such.jsonl"], /^\/no\/such\.jsonl: there is no such file$/],
    ["a bad line", (path) => ["x", "--corpus", path], /corpus\.jsonl:2: no JSON/],
    ["no source", () => ["x"], /--corpus FILE.*--remote URL/s],
    ["an address of another kind", () => ["x", "--remote", "ftp://h"], /no http\(s\) URL/],
    ["a web engine without its key", () => ["x", "--web", "tavily"], /needs TAVILY_API_KEY/],
    [
      "a spent budget",
      () => ["x", "--remote", "http://127.0.0.1:1", "--max-searches", "0"],
      /no searches left.*budget of 0/
    ],
    [
      "an unreachable server",
      () => ["x", "--remote", "http://127.0.0.1:1", "--retries", "0"],
      /not available.*running/s
    ]
  ])("explains %s", ([, args, message]) =>
    withCorpus((path, fs) =>
      Effect.gen(function*() {
        yield* fs.writeFileString(path, `${formatLine({ id: "1", title: "T", text: "x" })}\n{oops\n`)
        const { error } = yield* outcome([...args(path), "--cache", "off"])
        assert.strictEqual(error?._tag, "UserError")
        assert.match(error?.message ?? "", message)
      })
    ))
})
