/** The parts of a retrieval server by themselves: what it takes on, how it ends, what it says of itself. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Admission } from "../../../src/programs/retrievalServer/Admission.ts"
import { statusOf } from "../../../src/programs/retrievalServer/answers.ts"
import { Ending, type Options } from "../../../src/programs/retrievalServer/Ending.ts"
import { openApi } from "../../../src/programs/retrievalServer/openApi.ts"
import {
  RetrieverFailed,
  RetrieverMalformedJson,
  RetrieverQuotaExceeded,
  RetrieverRejected,
  RetrieverTimeout,
  RetrieverUnavailable,
  RetrieverUnexpectedShape
} from "../../../src/services/Retriever.ts"

describe("what a server takes on", () => {
  it("is as much as its limit, or one larger request where nobody else is there", () => {
    const admission = new Admission(10)
    assert.isTrue(admission.admit(6))
    assert.isTrue(admission.admit(4), "exactly the limit")
    assert.isFalse(admission.admit(1))
    assert.strictEqual(admission.pending, 10)
    admission.release(4, 1)
    assert.isFalse(admission.admit(5))
    assert.isTrue(admission.admit(4))
    admission.release(4, 1)
    admission.release(6, 1)
    assert.strictEqual(admission.pending, 0)
    assert.isTrue(admission.admit(11))
    assert.isFalse(admission.admit(1))
  })

  it("tells a refused client how long the work in hand takes at the pace so far, 1 to 60 seconds", () => {
    const waiting = (pending: number, ...releases: ReadonlyArray<readonly [amount: number, seconds: number]>) => {
      const admission = new Admission(1000)
      for (const [amount, seconds] of releases) {
        admission.admit(amount)
        admission.release(amount, seconds)
      }
      admission.admit(pending)
      return admission.retryAfterSeconds()
    }
    assert.strictEqual(waiting(0), 1)
    assert.strictEqual(waiting(7), 7, "one a second before anything is known")
    assert.strictEqual(waiting(500), 60)
    // 20 in 2 seconds: 10 a second
    assert.strictEqual(waiting(50, [20, 2]), 5)
    assert.strictEqual(waiting(51, [20, 2]), 6)
    // 0.9 · 10 + 0.1 · 60 = 15 a second
    assert.strictEqual(waiting(45, [20, 2], [60, 1]), 3)
    assert.strictEqual(waiting(46, [20, 2], [60, 1]), 4)
    assert.strictEqual(waiting(30, [1, 100]), 30, "never slower than one a second")
    // a thousandth of a second is the shortest time
    assert.strictEqual(waiting(999, [1, 0]), 1)
    assert.strictEqual(waiting(30, [5, 0.001], [5, 0.001]), 1)
  })

  it("counts its pace over all that was there when a request ended", () => {
    const admission = new Admission(100)
    admission.admit(5)
    admission.admit(15)
    admission.release(5, 2)
    // 20 in 2 seconds, 15 left
    assert.strictEqual(admission.retryAfterSeconds(), 2)
  })
})

describe("the end of a server", () => {
  interface Told {
    readonly at: string
    readonly requests?: number
  }

  /** An end that was asked for, and what was told of it. */
  const ended = Effect.fnUntraced(function*(options: Options) {
    const told: Array<Told> = []
    const ending = new Ending({
      onDrain: (requests) => Effect.sync(() => void told.push({ at: "begin", requests })),
      onDrained: (left) => Effect.sync(() => void told.push({ at: "end", requests: left })),
      drain: Effect.sync(() => void told.push({ at: "drain" })),
      ...options
    })
    const request = Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      yield* Effect.forkChild(ending.during(Deferred.await(gate)), { startImmediately: true })
      return gate
    })
    const begin = Effect.forkChild(ending.drained, { startImmediately: true })
    return { begin, ending, request, told }
  })

  it.effect("waits for what is there behind its notice, and for nothing that comes later", () =>
    Effect.gen(function*() {
      const { begin, ending, request, told } = yield* ended({ drainNotice: "1 second" })
      const before = yield* request
      assert.isFalse(ending.draining)
      const end = yield* begin
      assert.isTrue(ending.draining)
      assert.deepStrictEqual(told, [{ at: "begin", requests: 1 }])
      const during = yield* request
      yield* TestClock.adjust("1 second")
      yield* request
      yield* Deferred.succeed(before, undefined)
      yield* TestClock.adjust("1 second")
      assert.isFalse(ending.closing)
      assert.isUndefined(end.pollUnsafe())
      yield* Deferred.succeed(during, undefined)
      yield* Fiber.join(end)
      assert.isTrue(ending.closing)
      assert.deepStrictEqual(told.slice(1), [{ at: "drain" }, { at: "end", requests: 0 }])
    }))

  it.effect("lasts a quarter of a second at least, and gives up after 30 more, unless told otherwise", () =>
    Effect.gen(function*() {
      for (
        const [options, notice, limit] of [
          [{}, 250, 30_000],
          [{ drainNotice: "1 second" as const, drainLimit: "2 seconds" as const }, 1000, 2000]
        ] as const
      ) {
        const { begin, ending, request, told } = yield* ended(options)
        for (const _ of [1, 2, 3]) yield* request
        const end = yield* begin
        yield* TestClock.adjust(notice + limit - 1)
        assert.isFalse(ending.closing)
        yield* TestClock.adjust(1)
        yield* Fiber.join(end)
        assert.deepStrictEqual(told.at(-1), { at: "end", requests: 3 })
        const idle = yield* ended(options)
        const short = yield* idle.begin
        yield* TestClock.adjust(notice - 1)
        assert.isFalse(idle.ending.closing)
        yield* TestClock.adjust(1)
        yield* Fiber.join(short)
        assert.deepStrictEqual(idle.told.map(({ at, requests }) => [at, requests]), [
          ["begin", 0],
          ["drain", undefined],
          ["end", 0]
        ])
      }
    }))

  it.effect("does not wait for a request that failed or was interrupted", () =>
    Effect.gen(function*() {
      const { begin, ending, told } = yield* ended({ drainNotice: 0 })
      yield* Effect.exit(ending.during(Effect.fail("broken")))
      const fiber = yield* Effect.forkChild(ending.during(Effect.never), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      const end = yield* begin
      yield* TestClock.adjust(0)
      yield* Fiber.join(end)
      assert.deepStrictEqual(told[0], { at: "begin", requests: 0 })
    }))
})

describe("the status of an engine's failure", () => {
  it.each([
    [new RetrieverTimeout({ retriever: "r", milliseconds: 1 }), 504],
    [new RetrieverUnavailable({ retriever: "r", reason: "" }), 503],
    [new RetrieverQuotaExceeded({ retriever: "r", reason: "" }), 503],
    [new RetrieverRejected({ retriever: "r", status: 403, body: "" }), 502],
    [new RetrieverMalformedJson({ retriever: "r", body: "", reason: "" }), 502],
    [new RetrieverUnexpectedShape({ retriever: "r", reason: "" }), 502],
    [new RetrieverFailed({ retriever: "r", cause: null }), 500]
  ])("of %s is %i", (error, status) => assert.strictEqual(statusOf(error), status))
})

type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }
type Fields = { readonly [key: string]: Json }

const isFields = (value: Json | undefined): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)
const isList = (value: Json | undefined): value is ReadonlyArray<Json> => Array.isArray(value)

/** Follows keys into a description. */
const at = (value: Json | undefined, ...keys: ReadonlyArray<string>): Json | undefined =>
  keys.reduce((inner: Json | undefined, key) => isFields(inner) ? inner[key] : undefined, value)

const types: Readonly<Record<string, (value: Json) => boolean>> = {
  object: isFields,
  array: isList,
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  number: (value) => typeof value === "number",
  integer: (value) => Number.isInteger(value),
  null: (value) => value === null
}

/** Whether a value is of a JSON Schema, for the words of it that the description uses. */
const matches = (root: Json, schema: Json | undefined, value: Json): boolean => {
  assert(isFields(schema), "a schema is an object")
  const all = (key: string) => {
    const list = schema[key]
    return isList(list) ? list : []
  }
  return Object.entries(schema).every(([word, wanted]): boolean => {
    switch (word) {
      case "$ref": {
        assert(typeof wanted === "string" && wanted.startsWith("#/"))
        return matches(root, at(root, ...wanted.slice(2).split("/")), value)
      }
      case "type":
        return (isList(wanted) ? wanted : [wanted]).some((type) => {
          const check = types[String(type)]
          assert(check !== undefined, `no type of JSON Schema: "${String(type)}"`)
          return check(value)
        })
      case "required":
        return !isFields(value) || all(word).every((key) => Object.hasOwn(value, String(key)))
      case "anyOf":
        return all(word).some((one) => matches(root, one, value))
      case "oneOf":
        return all(word).filter((one) => matches(root, one, value)).length === 1
      case "properties":
        return !isFields(value) || !isFields(wanted) ||
          Object.entries(value).every(([key, inner]) => !(key in wanted) || matches(root, wanted[key], inner))
      case "items":
        return !isList(value) || value.every((inner) => matches(root, wanted, inner))
      case "minimum":
        return typeof value !== "number" || value >= Number(wanted)
      case "maximum":
        return typeof value !== "number" || value <= Number(wanted)
      case "maxItems":
        return !isList(value) || value.length <= Number(wanted)
      case "description":
      case "default":
        return true
      default:
        return assert.fail(`"${word}" is not looked at`)
    }
  })
}

const describedAs = (metrics: "token" | "open" | "off"): Json =>
  JSON.parse(
    JSON.stringify(openApi({ defaultTopK: 3, maxTopK: 50, maxQueries: 2, maxPassages: 9, metrics, version: "1.2.3" }))
  )

describe("the description of a server", () => {
  const description = describedAs("token")
  const json = ["content", "application/json", "schema"]
  const request = (path: string) => at(description, "paths", path, "post", "requestBody", ...json)
  const answer = (path: string, status: string) => at(description, "paths", path, "post", "responses", status, ...json)

  const passage = { id: "a", contents: "b" }

  it.each<readonly [Json, boolean]>([
    [{ queries: ["a"] }, true],
    [{ query: "a" }, true],
    [{}, false],
    [[], false],
    [{ topk: 1 }, false],
    [{ queries: "a" }, false],
    [{ queries: [1] }, false],
    [{ queries: ["a", "b"] }, true],
    [{ queries: ["a", "b", "c"] }, false],
    [{ query: 1 }, false],
    [{ query: "a", topk: 0 }, true],
    [{ query: "a", topk: 50 }, true],
    [{ query: "a", topk: null }, true],
    [{ query: "a", topk: 51 }, false],
    [{ query: "a", topk: -1 }, false],
    [{ query: "a", topk: 1.5 }, false],
    [{ query: "a", topk: true }, false],
    [{ query: "a", return_scores: true }, true],
    [{ query: "a", return_scores: 2 }, false]
  ])(
    "says of /retrieve's body %j: %s",
    (body, takes) => assert.strictEqual(matches(description, request("/retrieve"), body), takes)
  )

  it.each<readonly [Json, boolean]>([
    [{ queries: ["a"], documents: [[passage]] }, true],
    [{ queries: ["a"] }, false],
    [{ documents: [[passage]] }, false],
    [1, false],
    [{ queries: [1], documents: [[passage]] }, false],
    [{ queries: ["a", "b", "c"], documents: [[passage]] }, false],
    [{ queries: "a", documents: [[passage]] }, false],
    [{ queries: ["a"], documents: passage }, false],
    [{ queries: ["a"], documents: [passage] }, false],
    [{ queries: ["a"], documents: [["b"]] }, false],
    [{ queries: ["a"], documents: [[passage]], rerank_topk: 50 }, true],
    [{ queries: ["a"], documents: [[passage]], rerank_topk: null }, true],
    [{ queries: ["a"], documents: [[passage]], rerank_topk: 51 }, false],
    [{ queries: ["a"], documents: [[passage]], rerank_topk: 0 }, true],
    [{ queries: ["a"], documents: [[passage]], rerank_topk: -1 }, false],
    [{ queries: ["a"], documents: [[passage]], return_scores: "yes" }, false]
  ])(
    "says of /rerank's body %j: %s",
    (body, takes) => assert.strictEqual(matches(description, request("/rerank"), body), takes)
  )

  it.each<readonly [Json, boolean]>([
    [{ result: [[passage]] }, true],
    [{ result: [[{ document: passage, score: 0.5 }]] }, true],
    [[], false],
    [{}, false],
    [{ result: passage }, false],
    [{ result: [passage] }, false],
    [{ result: [["a"]] }, false],
    [{ result: [[{ id: "a" }]] }, false],
    [{ result: [[{ contents: "a" }]] }, false],
    [{ result: [[{ id: 1, contents: "a" }]] }, false],
    [{ result: [[{ id: "a", contents: 1 }]] }, false],
    [{ result: [[{ document: passage }]] }, false],
    [{ result: [[{ score: 1 }]] }, false],
    [{ result: [[{ document: passage, score: "1" }]] }, false],
    [{ result: [[{ document: "a", score: 1 }]] }, false]
  ])(
    "says of /retrieve's answer %j: %s",
    (body, gives) => assert.strictEqual(matches(description, answer("/retrieve", "200"), body), gives)
  )

  it("names each refusal, the form of its answer and when to come back", () => {
    const post = at(description, "paths", "/retrieve", "post")
    assert.deepStrictEqual(Object.keys(at(post, "responses") ?? {}), [
      "200",
      "400",
      "401",
      "408",
      "413",
      "415",
      "422",
      "429",
      "502",
      "503",
      "504"
    ])
    for (const status of ["400", "401", "408", "413", "415", "422", "429", "502", "503", "504"]) {
      assert.isTrue(matches(description, answer("/retrieve", status), { detail: "no" }), status)
      assert.isFalse(matches(description, answer("/retrieve", status), {}), status)
      assert.isFalse(matches(description, answer("/retrieve", status), "no"), status)
      assert.isNotEmpty(at(post, "responses", status, "description"))
    }
    assert.deepStrictEqual(at(post, "responses", "429", "headers", "Retry-After"), { schema: { type: "integer" } })
    assert.deepStrictEqual(Object.keys(at(description, "paths", "/rerank", "post", "responses") ?? {}), [
      "200",
      "404",
      "422"
    ])
    for (const path of ["/retrieve", "/rerank"]) {
      assert.isTrue(at(description, "paths", path, "post", "requestBody", "required"))
      assert.isFalse(at(request(path), "properties", "return_scores", "default"))
    }
    assert.strictEqual(at(request("/retrieve"), "properties", "topk", "default"), 3)
    assert.strictEqual(at(request("/rerank"), "properties", "rerank_topk", "default"), 3)
  })

  it("names version, licence and who needs a token", () => {
    assert.strictEqual(at(description, "openapi"), "3.1.0")
    assert.deepStrictEqual(at(description, "info"), {
      title: "search-r1 retrieval server",
      version: "1.2.3",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" }
    })
    assert.deepStrictEqual(at(description, "components", "securitySchemes"), {
      bearer: { type: "http", scheme: "bearer" }
    })
    assert.deepStrictEqual(at(description, "security"), [{}, { bearer: [] }])
    assert.deepStrictEqual(at(description, "paths", "/health", "get", "security"), [])
    assert.isUndefined(at(description, "paths", "/metrics", "get", "security"))
    assert.deepStrictEqual(at(describedAs("open"), "paths", "/metrics", "get", "security"), [])
    assert.strictEqual(
      at(describedAs("open"), "paths", "/metrics", "get", "responses", "200", "description"),
      "Metrics"
    )
    assert.deepStrictEqual(Object.keys(at(describedAs("off"), "paths") ?? {}), ["/retrieve", "/rerank", "/health"])
  })
})
