/**
 * Every stack that the flags of a retriever can build, before a real server: what each part does is counted there.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Duration, Effect, Fiber, FileSystem, Layer, Option } from "effect"
import { type RetrieverInput, retrieverLayer } from "../../src/cli/retrieverFlags.ts"
import * as RetrieverMemory from "../../src/layers/retriever/RetrieverMemory.ts"
import { Retriever } from "../../src/services/Retriever.ts"
import { retrieverContract } from "../contract/retriever.ts"
import { type Handler, json, serve, type TestServer } from "../support/httpServer.ts"
import { passages } from "../support/passages.ts"
import { answer } from "../support/retrievalServer.ts"

/** A kind of server: how the flags name it, what of a request are its queries, and what it answers to each. */
interface Kind {
  readonly name: string
  readonly flags: (url: string) => Partial<RetrieverInput>
  readonly queries: (body: string) => ReadonlyArray<string>
  readonly answer: (queries: ReadonlyArray<string>, path: string) => unknown
  /** Whether searches at the same time become one request. */
  readonly batches: boolean
}

const texts = (pattern: RegExp) => (body: string): ReadonlyArray<string> =>
  [...body.matchAll(pattern)].map(([, text = ""]) => text)
const hit = (query: string) => ({ document: { id: query, contents: `T\n${query}` }, score: 1 })
const source = (query: string) => ({
  hits: { hits: [{ _id: query, _score: 1, _source: { title: "T", text: query } }] }
})

const kinds: ReadonlyArray<Kind> = [
  {
    name: "--remote",
    flags: (url) => ({ remote: Option.some(url) }),
    queries: (body) => JSON.parse(body).queries,
    answer: (queries) => ({ result: queries.map((query) => [hit(query)]) }),
    batches: true
  },
  {
    name: "--remote --dialect skyrl",
    flags: (url) => ({ remote: Option.some(url), dialect: "skyrl" }),
    queries: texts(/"query":"([^"]*)"/g),
    answer: ([query = ""]) => ({ result: [[hit(query)]] }),
    batches: false
  },
  {
    name: "--elastic",
    flags: (url) => ({ elastic: Option.some(url.replace("/retrieve", "/index")) }),
    queries: texts(/"query":"([^"]*)"/g),
    answer: (queries, path) =>
      path.endsWith("_msearch") ? { responses: queries.map(source) } : source(queries[0] ?? ""),
    batches: true
  },
  {
    name: "--simulated",
    flags: (url) => ({ simulated: Option.some(`${url.replace("/retrieve", "/v1")}#m`) }),
    queries: texts(/Query: ([^"]*)"/g),
    answer: ([query]) => ({ choices: [{ message: { role: "assistant", content: `Doc 1(Title: T) ${query}` } }] }),
    batches: false
  }
]

interface Stack {
  readonly cache: "off" | "memory" | "disk"
  readonly retries: number
  readonly timeout: number | undefined
  readonly rateLimit: number | undefined
  readonly maxSearches: number | undefined
}

const stacks: ReadonlyArray<Stack> = (["off", "memory", "disk"] as const).flatMap((cache) =>
  [0, 2].flatMap((retries) =>
    [undefined, 2500].flatMap((timeout) =>
      [undefined, 10].flatMap((rateLimit) =>
        [undefined, 12].map((maxSearches): Stack => ({ cache, retries, timeout, rateLimit, maxSearches }))
      )
    )
  )
)

const inputOf = (kind: Kind, url: string, stack: Stack): RetrieverInput => ({
  corpus: Option.none(),
  index: Option.none(),
  engine: "lunr",
  remote: Option.none(),
  dialect: "search-r1",
  cache: stack.cache,
  retries: stack.retries,
  timeout: Option.map(Option.fromNullishOr(stack.timeout), Duration.millis),
  rateLimit: Option.fromNullishOr(stack.rateLimit),
  maxSearches: Option.fromNullishOr(stack.maxSearches),
  ...kind.flags(url)
})

/**
 * A server that knows the query "flaky", which it refuses twice, "silent", which it answers at the second time, and
 * others.
 */
const start = Effect.fnUntraced(function*(kind: Kind) {
  const asked: Array<{ readonly query: string; readonly at: number }> = []
  const count = (query: string) => asked.filter((other) => other.query === query).length
  const handler: Handler = (body, response, request) => {
    const queries = kind.queries(body)
    for (const query of queries) asked.push({ query, at: performance.now() })
    if (queries.includes("silent") && count("silent") === 1) return
    if (queries.includes("flaky") && count("flaky") <= 2) return json(response, {}, 503)
    json(response, kind.answer(queries, request.url ?? ""))
  }
  const server = yield* serve(handler)
  return { server, asked, count }
})

const build = Effect.fnUntraced(function*(kind: Kind, server: TestServer, stack: Stack, directory: string) {
  const layer = retrieverLayer(inputOf(kind, server.url, stack)).pipe(
    Layer.provide(files),
    Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ SEARCH_R1_CACHE: directory })))
  )
  return Context.get(yield* Layer.build(Layer.fresh(layer)), Retriever)
})

const files = Layer.merge(NodeFileSystem.layer, NodePath.layer)

const search = (retriever: Retriever["Service"], query: string) => retriever.search(query, { topK: 1 })

const examine = Effect.fnUntraced(function*(kind: Kind, stack: Stack) {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped()
  const label = `${kind.name} ${JSON.stringify(stack)}`
  const { asked, count, server } = yield* start(kind)
  const attempts = 1 + stack.retries

  yield* Effect.scoped(Effect.gen(function*() {
    const retriever = yield* build(kind, server, stack, directory)
    // cache: within the run
    const [found] = yield* search(retriever, "plain")
    assert.strictEqual(found?.text, "plain", label)
    yield* search(retriever, "plain")
    assert.strictEqual(count("plain"), stack.cache === "off" ? 2 : 1, `${label}: requests of a repeated search`)
    // retries
    const flaky = yield* Effect.result(search(retriever, "flaky"))
    assert.strictEqual(flaky._tag, stack.retries === 0 ? "Failure" : "Success", `${label}: a server that refuses twice`)
    assert.strictEqual(count("flaky"), attempts, `${label}: attempts`)
    // time limit of an attempt
    const silent = yield* Effect.forkChild(Effect.result(search(retriever, "silent")))
    yield* server.until(() => count("silent") > 0)
    if (stack.timeout === undefined) {
      yield* Effect.sleep("100 millis")
      assert.isUndefined(silent.pollUnsafe(), `${label}: a server that is silent`)
      yield* Fiber.interrupt(silent)
    } else {
      const result = yield* Fiber.join(silent)
      assert.strictEqual(result._tag, stack.retries === 0 ? "Failure" : "Success", `${label}: a server that is silent`)
      if (result._tag === "Failure") assert.strictEqual(result.failure._tag, "RetrieverTimeout", label)
      assert.strictEqual(count("silent"), Math.min(attempts, 2), `${label}: attempts in time`)
    }
  }))

  yield* Effect.scoped(Effect.gen(function*() {
    const before = asked.length
    const retriever = yield* build(kind, server, stack, directory)
    // cache: in the next run
    yield* search(retriever, "plain")
    assert.strictEqual(asked.length - before, stack.cache === "disk" ? 0 : 1, `${label}: what the next run asks`)
    // rate
    const from = asked.length
    for (const query of ["r1", "r2", "r3", "r4"]) yield* search(retriever, query)
    const times = asked.slice(from).map(({ at }) => at)
    if (stack.rateLimit !== undefined) {
      // the first may arrive late, and the last on time
      assert.isAtLeast(
        (times.at(-1) ?? 0) - (times[0] ?? 0),
        200,
        `${label}: milliseconds of 4 requests at 10 a second`
      )
    }
    // batches
    const requests = server.bodies.length
    const together = ["b1", "b2", "b3", "b4", "b5", "b6"]
    yield* Effect.forEach(together, (query) => search(retriever, query), { concurrency: "unbounded" })
    const sent = server.bodies.length - requests
    if (!kind.batches) assert.strictEqual(sent, together.length, `${label}: requests for six searches`)
    // the disk says at different times that it does not know them
    else if (stack.cache === "disk") assert.isBelow(sent, together.length, `${label}: requests for six searches`)
    else assert.strictEqual(sent, 1, `${label}: requests for six searches`)
    // budget
    if (stack.maxSearches === undefined) return
    const distinct = Array.from({ length: stack.maxSearches + 1 }, (_, index) => `n${index}`)
    const error = yield* Effect.flip(Effect.forEach(distinct, (query) => search(retriever, query)))
    assert.strictEqual(error._tag, "RetrieverQuotaExceeded", label)
    assert.strictEqual(asked.length - before, stack.maxSearches, `${label}: searches in all`)
  }))
}, Effect.scoped)

describe("the stacks that flags build", () => {
  it.live(`are what the flags say: ${kinds.length} kinds of server by ${stacks.length} stacks`, () =>
    Effect.forEach(
      kinds.flatMap((kind) => stacks.map((stack) => [kind, stack] as const)),
      ([kind, stack]) => examine(kind, stack),
      { concurrency: 64, discard: true }
    ).pipe(Effect.provide(files)), 90_000)

  it.live.each(kinds.filter((kind) => !kind.batches))(
    "have 64 requests under way at most: $name",
    (kind) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const waiting: Array<() => void> = []
        let [running, most] = [0, 0]
        const server = yield* serve((body, response) => {
          running += 1
          most = Math.max(most, running)
          waiting.push(() => {
            running -= 1
            json(response, kind.answer(kind.queries(body), ""))
          })
          // time enough for a 65th to arrive
          if (running >= 64) setTimeout(() => waiting.splice(0).forEach((respond) => respond()), 200)
        })
        const stack: Stack = {
          cache: "off",
          retries: 0,
          timeout: undefined,
          rateLimit: undefined,
          maxSearches: undefined
        }
        const retriever = yield* build(kind, server, stack, yield* fs.makeTempDirectoryScoped())
        const queries = Array.from({ length: 128 }, (_, index) => `q${index}`)
        yield* Effect.forEach(queries, (query) => search(retriever, query), { concurrency: "unbounded" })
        assert.strictEqual(most, 64)
      }).pipe(Effect.provide(files))
  )
})

describe("--cache disk", () => {
  const stack: Stack = { cache: "disk", retries: 0, timeout: undefined, rateLimit: undefined, maxSearches: undefined }
  const [, , elastic, simulated] = kinds
  assert(elastic !== undefined && simulated !== undefined)

  /** Asks the same of both in two runs that share a directory: how many requests the second sends. */
  const second = Effect.fnUntraced(function*(one: Kind, other: Kind, servers: 1 | 2) {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped()
    const first = yield* start(one)
    const { server } = servers === 1 ? first : yield* start(other)
    yield* search(yield* build(one, first.server, stack, directory), "plain")
    const before = server.bodies.length
    yield* search(yield* build(other, server, stack, directory), "plain")
    return server.bodies.length - before
  }, Effect.provide(files))

  it.live("tells two clusters apart whose index has one name", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* second(elastic, elastic, 1), 0)
      assert.strictEqual(yield* second(elastic, elastic, 2), 1)
    }))

  it.live("tells two engines apart that a model plays, by address and by noise", () =>
    Effect.gen(function*() {
      const noisy = { ...simulated, flags: (url: string) => ({ ...simulated.flags(url), noise: 0.5 }) }
      assert.strictEqual(yield* second(simulated, simulated, 1), 0)
      assert.strictEqual(yield* second(simulated, simulated, 2), 1)
      assert.strictEqual(yield* second(simulated, noisy, 1), 1)
    }))
})

const memory = RetrieverMemory.make({ documents: passages })

for (const kind of kinds.slice(0, 2)) {
  for (const cache of ["off", "memory", "disk"] as const) {
    const stack: Stack = { cache, retries: 2, timeout: 5000, rateLimit: 1e6, maxSearches: 1e9 }
    retrieverContract(`${kind.name} --cache ${cache} with all flags`, {
      layer: Layer.unwrap(Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { url } = yield* serve(answer(memory))
        return retrieverLayer(inputOf(kind, url, stack)).pipe(
          Layer.provide(
            ConfigProvider.layer(ConfigProvider.fromUnknown({ SEARCH_R1_CACHE: yield* fs.makeTempDirectoryScoped() }))
          )
        )
      })).pipe(Layer.provide(files)),
      runs: 5
    })
  }
}
