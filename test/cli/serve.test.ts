// The end of a process by a signal needs a process, and many kept-alive connections Node's own client.
// @effect-diagnostics nodeBuiltinImport:off
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem } from "effect"
import { Command } from "effect/cli"
import { spawn } from "node:child_process"
import { Agent, request } from "node:http"
import { connect } from "node:net"
import { fileURLToPath } from "node:url"
import { serve } from "../../src/cli/serve.ts"
import { formatLine } from "../../src/domain/Corpus.ts"
import * as HttpServer from "../support/httpServer.ts"
import { passages } from "../support/passages.ts"

const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))

const withCorpus = <A, E>(use: (path: string) => Effect.Effect<A, E, NodeServices.NodeServices>) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = `${yield* fs.makeTempDirectoryScoped()}/corpus.jsonl`
    yield* fs.writeFileString(path, passages.map(formatLine).join("\n"))
    return yield* use(path)
  }).pipe(Effect.provide(NodeServices.layer))

interface Process {
  readonly url: string
  readonly terminate: () => void
  /** The exit code and the lines on standard output. */
  readonly ended: Promise<{ readonly code: number | null; readonly lines: ReadonlyArray<string> }>
}

/** Starts the server and resolves when it has said its address. */
const start = (args: ReadonlyArray<string>) =>
  Effect.callback<Process>((resume) => {
    const child = spawn(process.execPath, [cli, "serve", "--port", "0", "--cache", "off", ...args])
    let output = ""
    const ended = new Promise<{ readonly code: number | null; readonly lines: ReadonlyArray<string> }>((resolve) =>
      child.on("close", (code) => resolve({ code, lines: output.trim().split("\n") }))
    )
    child.stdout.on("data", (bytes: Buffer) => {
      output += bytes.toString("utf8")
      const url = /answers on (http:\/\/\S+)\/retrieve/.exec(output)?.[1]
      if (url !== undefined) resume(Effect.succeed({ url, terminate: () => child.kill("SIGTERM"), ended }))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** The status of one search, or the error code of a connection that came to nothing. */
const ask = (url: string, agent: Agent): Effect.Effect<string> =>
  Effect.callback((resume) => {
    const body = "{\"queries\":[\"herring\",\"lighthouse\"]}"
    const sent = request(`${url}/retrieve`, {
      method: "POST",
      agent,
      headers: { "content-length": body.length }
    }, (response) => {
      response.on("end", () => resume(Effect.succeed(String(response.statusCode)))).resume()
      response.on("error", () => resume(Effect.succeed("cut off")))
    })
    sent.on("error", (error) => resume(Effect.succeed("code" in error ? String(error.code) : error.message)))
    sent.end(body)
  })

describe("search-r1 serve", () => {
  it.live("answers every request it took when it is terminated in the middle", () =>
    withCorpus((corpus) =>
      Effect.gen(function*() {
        const { ended, terminate, url } = yield* start(["--corpus", corpus, "--drain-notice", "100 millis"])
        const agent = new Agent({ keepAlive: true, maxSockets: 16 })
        const statuses: Array<string> = []
        yield* Effect.forEach(Array.from({ length: 16 }), () =>
          Effect.gen(function*() {
            while (true) {
              const status = yield* ask(url, agent)
              statuses.push(status)
              if (statuses.length === 200) terminate()
              if (status !== "200") return
            }
          }), { concurrency: "unbounded" })
        const { code, lines } = yield* Effect.promise(() => ended)
        agent.destroy()
        assert.isAtLeast(statuses.length, 200)
        // a connection that was never taken is refused; none that was is cut
        assert.deepStrictEqual([...new Set(statuses)].toSorted(), ["200", "ECONNREFUSED"])
        assert.strictEqual(code, 0)
        const answered = lines.filter((line) => / POST \/retrieve 200 [\d.]+ ms$/.test(line))
        assert.strictEqual(answered.length, statuses.filter((status) => status === "200").length)
        assert.match(lines.at(-1) ?? "", /^drained/)
      })
    ))

  it.live("says that it is about to end while it answers what it took, in JSON where asked, and ends with 0", () =>
    Effect.gen(function*() {
      let release = () => {}
      const gate = new Promise<void>((resolve) => {
        release = resolve
      })
      const engine = yield* HttpServer.serve((_, response) => {
        void gate.then(() => HttpServer.json(response, { result: [[], []] }))
      })
      const flags = ["--access-log", "json", "--drain-notice", "50 millis", "--body-timeout", "300 millis"]
      const { ended, terminate, url } = yield* start(["--remote", engine.url, ...flags])
      // a client that never comes to the end of its head
      const slow = connect(Number(new URL(url).port), "127.0.0.1")
      slow.write("POST /retrieve HTTP/1.1\r\nhost: h\r\nx: ")
      const refused = new Promise<string>((resolve) => slow.once("data", (bytes: Buffer) => resolve(bytes.toString())))
      assert.match(yield* Effect.promise(() => refused), /^HTTP\/1\.1 408 /)
      const agent = new Agent({ keepAlive: false })
      const taken = yield* Effect.forkChild(ask(url, agent))
      yield* engine.until(() => engine.bodies.length > 0)
      terminate()
      yield* Effect.sleep("500 millis")
      const health = yield* Effect.promise(() => fetch(`${url}/health`))
      assert.strictEqual(health.status, 503)
      release()
      assert.strictEqual(yield* Fiber.join(taken), "200")
      const { code, lines } = yield* Effect.promise(() => ended)
      assert.strictEqual(code, 0)
      const records = lines.map((line) => JSON.parse(line))
      assert.deepStrictEqual(
        records.map(({ message, method, path, status }) => message?.split(" ")[0] ?? `${method} ${path} ${status}`),
        [`RetrieverRemote(${engine.url})`, "- - 408", "draining:", "GET /health 503", "POST /retrieve 200", "drained:"]
      )
      assert.include(records[2].message, "1 request being answered")
      assert.isAbove(records[4].milliseconds, 400)
      for (const { time } of records) assert.match(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    }).pipe(Effect.scoped))

  it.live("speaks MCP on standard input and output until the input ends, whatever is on it", () =>
    withCorpus((corpus) =>
      Effect.gen(function*() {
        const call = (id: number, method: string, params?: object) =>
          `${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`
        const client = { name: "test", version: "1" }
        const { code, lines } = yield* Effect.promise(() =>
          new Promise<{ readonly code: number | null; readonly lines: ReadonlyArray<string> }>((resolve) => {
            const child = spawn(process.execPath, [cli, "serve", "--corpus", corpus, "--cache", "off", "--mcp"])
            let output = ""
            child.stdout.on("data", (bytes: Buffer) => {
              output += bytes.toString("utf8")
              if (/"id":2\b/.test(output)) child.stdin.end()
            })
            child.on("close", (code) => resolve({ code, lines: output.trim().split("\n") }))
            child.stdin.write(
              call(1, "initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: client }) +
                "this is no JSON\n\n" +
                call(2, "tools/call", { name: "search", arguments: { query: "herring market", topK: 1 } })
            )
          })
        )
        const answers = lines.map((line) => JSON.parse(line))
        assert.deepStrictEqual(answers.find(({ id }) => id === null)?.error.code, -32_700)
        assert.deepStrictEqual(
          answers.find(({ id }) => id === 2)?.result.structuredContent.passages[0].title,
          "Herring market"
        )
        assert.strictEqual(code, 0)
      })
    ))

  it.live("explains a port that is taken", () =>
    withCorpus((corpus) =>
      Effect.gen(function*() {
        const { url } = yield* HttpServer.serve(() => {})
        const port = new URL(url).port
        const error = yield* Effect.flip(
          Command.runWith(serve, { version: "0" })(["--corpus", corpus, "--port", port, "--cache", "off"])
        )
        assert.include(error.message, `port ${port} of 127.0.0.1 is taken`)
      }).pipe(Effect.scoped)
    ))
})
