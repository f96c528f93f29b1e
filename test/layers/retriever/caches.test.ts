import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as RetrieverCache from "../../../src/layers/retriever/RetrieverCache.ts"
import * as RetrieverDiskCache from "../../../src/layers/retriever/RetrieverDiskCache.ts"
import { Retriever, RetrieverUnavailable } from "../../../src/services/Retriever.ts"
import { controlled, hits } from "../../support/controlledRetriever.ts"

const down = new RetrieverUnavailable({ retriever: "Controlled", reason: "down" })
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const asked = (inner: ReturnType<typeof controlled>) => inner.calls.flatMap(({ queries }) => queries)

describe("RetrieverCache", () => {
  it.effect("asks once for equal searches, one after the other or at once", () => {
    const inner = controlled(() => Effect.sleep("1 second"))
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      const fibers = yield* Effect.forEach(["a", "a", "b"], (query) => fork(retriever.search(query, { topK: 1 })))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.joinAll(fibers), [hits("a", 1), hits("a", 1), hits("b", 1)])
      const batch = yield* fork(retriever.searchMany(["b", "c", "a", "c"], { topK: 1 }))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(batch), ["b", "c", "a", "c"].map((query) => hits(query, 1)))
      assert.deepStrictEqual(asked(inner), ["a", "b", "c"])
    }).pipe(Effect.provide(RetrieverCache.layer().pipe(Layer.provide(inner.layer))))
  })

  it.effect("does not take the answer for another topK", () => {
    const inner = controlled()
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      assert.strictEqual((yield* retriever.search("a", { topK: 3 })).length, 3)
      assert.strictEqual((yield* retriever.search("a", { topK: 1 })).length, 1)
      assert.strictEqual(inner.calls.length, 2)
    }).pipe(Effect.provide(RetrieverCache.layer().pipe(Layer.provide(inner.layer))))
  })

  it.effect("forgets the answer used longest ago", () => {
    const inner = controlled()
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      for (const query of ["a", "b", "a", "c", "a", "b"]) yield* retriever.search(query, { topK: 1 })
      assert.deepStrictEqual(asked(inner), ["a", "b", "c", "b"])
    }).pipe(Effect.provide(RetrieverCache.layer({ capacity: 2 }).pipe(Layer.provide(inner.layer))))
  })

  it.effect("forgets the answers used longest ago when all together are too large", () => {
    const inner = controlled()
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      // an answer takes 400 bytes, 2 for each of 8,000 characters of the query, and as much for each of id and title
      const long = (letter: string) => letter.repeat(8000)
      for (const letter of ["a", "b", "c", "c", "b", "a", "c"]) yield* retriever.search(long(letter), { topK: 1 })
      assert.deepStrictEqual(asked(inner).map(([first]) => first), ["a", "b", "c", "a", "c"])
      // what does not fit by itself is not remembered, and costs all others
      for (const letter of ["d", "d"]) yield* retriever.search(long(letter), { topK: 3 })
      assert.deepStrictEqual(asked(inner).slice(5).map(([first]) => first), ["d", "d"])
    }).pipe(Effect.provide(RetrieverCache.layer({ maxBytes: 104_000 }).pipe(Layer.provide(inner.layer))))
  })

  it.effect("forgets an answer when its time is over", () => {
    const inner = controlled()
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      yield* retriever.search("a", { topK: 1 })
      yield* TestClock.adjust("59 seconds")
      yield* retriever.search("a", { topK: 1 })
      yield* TestClock.adjust("1 second")
      yield* retriever.search("a", { topK: 1 })
      assert.strictEqual(inner.calls.length, 2)
    }).pipe(Effect.provide(RetrieverCache.layer({ timeToLive: "1 minute" }).pipe(Layer.provide(inner.layer))))
  })

  it.effect("does not remember failures", () => {
    const inner = controlled((_, number) => number === 1 ? Effect.fail(down) : Effect.void)
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      assert.strictEqual(yield* Effect.flip(retriever.search("a", { topK: 1 })), down)
      assert.deepStrictEqual(yield* retriever.search("a", { topK: 1 }), hits("a", 1))
    }).pipe(Effect.provide(RetrieverCache.layer().pipe(Layer.provide(inner.layer))))
  })

  it.effect("answers those who joined a search when the first to ask is interrupted", () => {
    const inner = controlled(() => Effect.sleep("1 second"))
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      const first = yield* fork(retriever.search("a", { topK: 1 }))
      const second = yield* fork(retriever.search("a", { topK: 1 }))
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(second), hits("a", 1))
      assert.strictEqual(inner.calls.length, 1)
    }).pipe(Effect.provide(RetrieverCache.layer().pipe(Layer.provide(inner.layer))))
  })
})

describe("RetrieverDiskCache", () => {
  const inDirectory = <A, E>(
    use: (directory: string) => Effect.Effect<A, E, FileSystem.FileSystem>
  ) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      return yield* use(yield* fs.makeTempDirectoryScoped())
    }).pipe(Effect.provide(NodeServices.layer))

  const over = (inner: ReturnType<typeof controlled>, options: RetrieverDiskCache.Options) =>
    RetrieverDiskCache.layer(options).pipe(Layer.provide(inner.layer), Layer.provide(NodeServices.layer))

  const searchMany = (layer: Layer.Layer<Retriever>, queries: ReadonlyArray<string>) =>
    Retriever.use((retriever) => retriever.searchMany(queries, { topK: 1 })).pipe(
      Effect.provide(layer, { local: true })
    )

  const files = Effect.fnUntraced(function*(directory: string) {
    const fs = yield* FileSystem.FileSystem
    const names = yield* fs.readDirectory(directory, { recursive: true })
    return names.filter((name) => name.includes(".")).map((name) => `${directory}/${name}`)
  })

  it.effect("answers the next run from disk", () =>
    inDirectory(Effect.fnUntraced(function*(directory) {
      const first = controlled()
      const second = controlled()
      const queries = ["a", "b", "a", "ü\uD800/..\u0000"]
      const expected = queries.map((query) => hits(query, 1))
      assert.deepStrictEqual(yield* searchMany(over(first, { directory }), queries), expected)
      assert.deepStrictEqual(yield* searchMany(over(second, { directory }), queries), expected)
      assert.strictEqual(asked(first).length, 3)
      // a lone surrogate has no UTF-8: what is read back is not what was asked, and counts as no answer
      assert.deepStrictEqual(asked(second).filter((query) => !query.startsWith("ü")), [])
    })))

  it.effect.each(["", "{", "null", "{\"query\":\"a\"}", "\u0000\u0000"])(
    "takes a damaged file for no answer (%#)",
    (damage) =>
      inDirectory(Effect.fnUntraced(function*(directory) {
        const fs = yield* FileSystem.FileSystem
        const inner = controlled()
        yield* searchMany(over(inner, { directory }), ["a"])
        for (const file of yield* files(directory)) yield* fs.writeFileString(file, damage)
        assert.deepStrictEqual(yield* searchMany(over(inner, { directory }), ["a"]), [hits("a", 1)])
        assert.deepStrictEqual(yield* searchMany(over(inner, { directory }), ["a"]), [hits("a", 1)])
        assert.strictEqual(inner.calls.length, 2)
      }))
  )

  it.effect("keeps namespaces apart, and forgets answers when their time is over", () =>
    inDirectory(Effect.fnUntraced(function*(directory) {
      const inner = controlled()
      yield* searchMany(over(inner, { directory, namespace: "one" }), ["a"])
      yield* searchMany(over(inner, { directory, namespace: "two" }), ["a"])
      assert.strictEqual(inner.calls.length, 2)
      yield* TestClock.adjust("1 hour")
      yield* searchMany(over(inner, { directory, namespace: "one", timeToLive: "2 hours" }), ["a"])
      assert.strictEqual(inner.calls.length, 2)
      yield* searchMany(over(inner, { directory, namespace: "one", timeToLive: "1 hour" }), ["a"])
      assert.strictEqual(inner.calls.length, 3)
    })))

  it.effect("keeps neither failures nor temporary files", () =>
    inDirectory(Effect.fnUntraced(function*(directory) {
      const inner = controlled((_, number) => number === 1 ? Effect.fail(down) : Effect.void)
      assert.strictEqual(yield* Effect.flip(searchMany(over(inner, { directory }), ["a"])), down)
      assert.deepStrictEqual(yield* files(directory), [])
      yield* searchMany(over(inner, { directory }), ["a"])
      assert.deepStrictEqual((yield* files(directory)).map((file) => file.split(".").at(-1)), ["json"])
    })))

  it.effect("searches even where nothing can be written", () =>
    inDirectory(Effect.fnUntraced(function*(directory) {
      const fs = yield* FileSystem.FileSystem
      yield* fs.writeFileString(`${directory}/file`, "")
      const inner = controlled()
      const layer = over(inner, { directory: `${directory}/file/below` })
      assert.deepStrictEqual(yield* searchMany(layer, ["a", "b"]), [hits("a", 1), hits("b", 1)])
    })))
})
