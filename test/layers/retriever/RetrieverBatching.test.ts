import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as RetrieverBatching from "../../../src/layers/retriever/RetrieverBatching.ts"
import { Retriever, RetrieverUnavailable } from "../../../src/services/Retriever.ts"
import { type Call, controlled, hits } from "../../support/controlledRetriever.ts"

const batching = (respond: Parameters<typeof controlled>[0], options?: RetrieverBatching.Options) => {
  const inner = controlled(respond)
  return {
    ...inner,
    layer: RetrieverBatching.layer({ window: "10 millis", ...options }).pipe(Layer.provide(inner.layer))
  }
}

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describe("RetrieverBatching", () => {
  it.effect("sends the searches of one window as one call, equal ones once", () => {
    const { calls, layer } = batching(undefined)
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      const fiber = yield* fork(Effect.forEach(
        ["a", "b", "a", "c", "b"],
        (query) => retriever.search(query, { topK: 2 }),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust("9 millis")
      assert.strictEqual(calls.length, 0)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["a", "b", "a", "c", "b"].map((query) => hits(query, 2)))
      assert.deepStrictEqual(calls, [{ queries: ["a", "b", "c"], topK: 2 }])
    }).pipe(Effect.provide(layer))
  })

  it.effect("keeps searches with another topK apart", () => {
    const { calls, layer } = batching(undefined)
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      const fibers = yield* Effect.forEach([1, 2, 1], (topK) => fork(retriever.search("a", { topK })))
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(yield* Fiber.joinAll(fibers), [hits("a", 1), hits("a", 2), hits("a", 1)])
      assert.deepStrictEqual(calls, [{ queries: ["a"], topK: 1 }, { queries: ["a"], topK: 2 }])
    }).pipe(Effect.provide(layer))
  })

  it.effect("sends a full batch at once", () => {
    const { calls, layer } = batching(undefined, { maxBatch: 2, window: "1 hour" })
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      const full = yield* fork(retriever.searchMany(["a", "b", "c", "d"], { topK: 1 }))
      assert.strictEqual((yield* Fiber.join(full)).length, 4)
      assert.deepStrictEqual(calls.map(({ queries }) => queries), [["a", "b"], ["c", "d"]])
    }).pipe(Effect.provide(layer))
  })

  it.effect("joins a search that is under way", () => {
    const { calls, layer } = batching(() => Effect.sleep("1 second"))
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      const first = yield* fork(retriever.search("a", { topK: 1 }))
      yield* TestClock.adjust("500 millis")
      const second = yield* fork(retriever.search("a", { topK: 1 }))
      yield* TestClock.adjust("510 millis")
      assert.deepStrictEqual(yield* Fiber.joinAll([first, second]), [hits("a", 1), hits("a", 1)])
      assert.strictEqual(calls.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails exactly the searches of the failed call", () => {
    const down = new RetrieverUnavailable({ retriever: "Controlled", reason: "down" })
    const respond = ({ queries }: Call) => queries.includes("bad") ? Effect.fail(down) : Effect.sleep("1 second")
    const { layer } = batching(respond)
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      const before = yield* fork(retriever.search("before", { topK: 1 }))
      yield* TestClock.adjust("10 millis")
      const failing = yield* Effect.forEach(
        ["bad", "with"],
        (query) => fork(Effect.flip(retriever.search(query, { topK: 1 })))
      )
      yield* TestClock.adjust("10 millis")
      const after = yield* fork(retriever.search("with", { topK: 1 }))
      yield* TestClock.adjust("2 seconds")
      for (const error of yield* Fiber.joinAll(failing)) assert.strictEqual(error, down)
      assert.deepStrictEqual(yield* Fiber.joinAll([before, after]), [hits("before", 1), hits("with", 1)])
    }).pipe(Effect.provide(layer))
  })

  it.effect("leaves the others alone when one search is interrupted, before or after the call began", () => {
    const { calls, layer, running } = batching(() => Effect.sleep("1 second"))
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      const early = yield* fork(retriever.search("early", { topK: 1 }))
      const late = yield* fork(retriever.search("late", { topK: 1 }))
      const kept = yield* fork(retriever.search("kept", { topK: 1 }))
      yield* Fiber.interrupt(early)
      yield* TestClock.adjust("10 millis")
      yield* Fiber.interrupt(late)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(kept), hits("kept", 1))
      assert.deepStrictEqual(calls.map(({ queries }) => queries), [["late", "kept"]])
      assert.strictEqual(running.interrupted, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("interrupts the call when nobody waits for it any more, and asks again for the next", () => {
    const { calls, layer, running } = batching((_, number) => number === 1 ? Effect.never : Effect.void)
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      const fibers = yield* Effect.forEach(["a", "a", "b"], (query) => fork(retriever.search(query, { topK: 1 })))
      yield* TestClock.adjust("10 millis")
      yield* Fiber.interruptAll(fibers)
      assert.deepStrictEqual({ ...running }, { now: 0, most: 1, interrupted: 1 })
      const again = yield* fork(retriever.search("a", { topK: 1 }))
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(yield* Fiber.join(again), hits("a", 1))
      assert.strictEqual(calls.length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("sends nothing when all leave before the window ends", () => {
    const { calls, layer } = batching(undefined)
    return Effect.gen(function*() {
      const retriever = yield* Retriever
      const fiber = yield* fork(retriever.searchMany(["a", "b"], { topK: 1 }))
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(calls.length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails the waiting searches when it is closed", () => {
    const { layer } = batching(() => Effect.never)
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      const retriever = Context.get(yield* Layer.buildWithScope(layer, scope), Retriever)
      const fiber = yield* fork(Effect.flip(retriever.search("a", { topK: 1 })))
      yield* TestClock.adjust("10 millis")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "RetrieverUnavailable")
      const late = yield* fork(Effect.flip(retriever.search("b", { topK: 1 })))
      assert.strictEqual((yield* Fiber.join(late))._tag, "RetrieverUnavailable")
    })
  })
})
