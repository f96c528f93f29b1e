import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as RetrieverConcurrency from "../../../src/layers/retriever/RetrieverConcurrency.ts"
import * as RetrieverRateLimit from "../../../src/layers/retriever/RetrieverRateLimit.ts"
import { Retriever } from "../../../src/services/Retriever.ts"
import { controlled } from "../../support/controlledRetriever.ts"

const startTimes = (options: RetrieverRateLimit.Options, searches: number) =>
  Effect.gen(function*() {
    const times: Array<number> = []
    const inner = controlled(() => Effect.map(Clock.currentTimeMillis, (now) => void times.push(now)))
    const fiber = yield* Retriever.use((retriever) =>
      Effect.forEach(Array.from({ length: searches }), () => retriever.search("q", { topK: 1 }), {
        concurrency: "unbounded"
      })
    ).pipe(Effect.provide(RetrieverRateLimit.layer(options).pipe(Layer.provide(inner.layer))), Effect.forkChild)
    yield* TestClock.adjust("1 hour")
    yield* Fiber.join(fiber)
    return times
  })

describe("RetrieverRateLimit", () => {
  it.effect("spaces calls evenly", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* startTimes({ limit: 4 }, 5), [0, 250, 500, 750, 1000])
    }))

  it.effect("lets a burst through after a pause", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* startTimes({ limit: 60, interval: "1 minute", burst: 3 }, 5), [0, 0, 0, 1000, 2000])
    }))

  it.effect("counts the queries of a batch where the engine does", () =>
    Effect.gen(function*() {
      const times: Array<number> = []
      const inner = controlled(() => Effect.map(Clock.currentTimeMillis, (now) => void times.push(now)))
      const fiber = yield* Retriever.use((retriever) =>
        Effect.forEach([["a", "b", "c"], ["d"], [], ["e"]], (queries) => retriever.searchMany(queries, { topK: 1 }))
      ).pipe(
        Effect.provide(RetrieverRateLimit.layer({ limit: 1, countQueries: true }).pipe(Layer.provide(inner.layer))),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(times, [0, 3000, 3000, 4000])
    }))
})

describe("RetrieverConcurrency", () => {
  it.effect("lets only so many calls run at once, and all in the end", () =>
    Effect.gen(function*() {
      const inner = controlled(() => Effect.sleep("1 second"))
      const fiber = yield* Retriever.use((retriever) =>
        Effect.forEach(Array.from({ length: 10 }, (_, n) => n), (n) => retriever.search(`q${n}`, { topK: 1 }), {
          concurrency: "unbounded"
        })
      ).pipe(
        Effect.provide(RetrieverConcurrency.layer({ limit: 3 }).pipe(Layer.provide(inner.layer))),
        Effect.forkChild
      )
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).length, 10)
      assert.strictEqual(inner.running.most, 3)
    }))

  it.effect("gives a waiting call's place back when it is interrupted", () =>
    Effect.gen(function*() {
      const inner = controlled(() => Effect.sleep("1 second"))
      yield* Effect.gen(function*() {
        const retriever = yield* Retriever
        const first = yield* Effect.forkChild(retriever.search("a", { topK: 1 }), { startImmediately: true })
        const second = yield* Effect.forkChild(retriever.search("b", { topK: 1 }), { startImmediately: true })
        const third = yield* Effect.forkChild(retriever.search("c", { topK: 1 }), { startImmediately: true })
        yield* Fiber.interrupt(second)
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(first)
        yield* Fiber.join(third)
      }).pipe(Effect.provide(RetrieverConcurrency.layer({ limit: 1 }).pipe(Layer.provide(inner.layer))))
      assert.deepStrictEqual(inner.calls.map(({ queries }) => queries), [["a"], ["c"]])
    }))
})
