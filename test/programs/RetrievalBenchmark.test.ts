import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Layer } from "effect"
import { TestClock } from "effect/testing"
import * as RetrievalBenchmark from "../../src/programs/RetrievalBenchmark.ts"
import { type Retriever, RetrieverUnavailable } from "../../src/services/Retriever.ts"
import { controlled } from "../support/controlledRetriever.ts"

const queries = (count: number): ReadonlyArray<RetrievalBenchmark.Query> =>
  Array.from({ length: count }, (_, index) => ({ question: `q${index}`, goldIds: [] }))

/** Answers the n-th search after n times 10 ms. */
const slower = () => controlled((_, number) => Effect.sleep(10 * number))

const measured = Effect.fnUntraced(function*(
  layer: Layer.Layer<Retriever>,
  count: number,
  concurrency: number
) {
  yield* TestClock.adjust("1 hour")
  const fiber = yield* Effect.forkChild(
    RetrievalBenchmark.speed(queries(count), { concurrency, topK: 4 }).pipe(Effect.provide(layer))
  )
  yield* TestClock.adjust("1 hour")
  return yield* Fiber.join(fiber)
})

describe("the speed of a retriever", () => {
  it.effect("is counted over the time of all searches, its percentiles over each one's", () =>
    Effect.gen(function*() {
      const { calls, layer, running } = slower()
      // 10 + 20 + … + 100 ms, one after the other
      assert.deepStrictEqual(yield* measured(layer, 10, 1), {
        concurrency: 1,
        queriesPerSecond: 10 / 0.55,
        p50: 60,
        p99: 100
      })
      assert.strictEqual(running.most, 1)
      assert.deepStrictEqual(
        calls.map(({ queries, topK }) => [...queries, topK]),
        Array.from({ length: 10 }, (_, index) => [`q${index}`, 4])
      )
    }))

  it.effect("is that of as many searches at a time as asked for", () =>
    Effect.gen(function*() {
      const { layer, running } = slower()
      const speed = yield* measured(layer, 10, 10)
      assert.strictEqual(running.most, 10)
      assert.closeTo(speed.queriesPerSecond, 100, 1e-9)
      const reversed = controlled((_, number) => Effect.sleep(1000 - 10 * number))
      const { p50, p99 } = yield* measured(reversed.layer, 3, 3)
      assert.deepStrictEqual([p50, p99], [980, 990], "sorted by time, not by question")
    }))

  it.effect("is 0 where nothing takes time or nothing is asked, and no number where a search fails", () =>
    Effect.gen(function*() {
      const instant = yield* measured(controlled().layer, 3, 1)
      assert.deepStrictEqual([instant.queriesPerSecond, instant.p50, instant.p99], [0, 0, 0])
      const nothing = yield* measured(controlled().layer, 0, 1)
      assert.deepStrictEqual([nothing.queriesPerSecond, nothing.p50, nothing.p99], [0, 0, 0])
      const error = new RetrieverUnavailable({ retriever: "test", reason: "gone" })
      const failing = controlled(() => Effect.fail(error)).layer
      assert.strictEqual(yield* Effect.flip(measured(failing, 3, 1)), error)
    }))
})

describe("the quality of a retriever", () => {
  // finds question-0, question-1, … up to topK
  const judged = (known: ReadonlyArray<RetrievalBenchmark.Query>, topK: number, concurrency?: number) => {
    const retriever = controlled(() => Effect.yieldNow)
    return Effect.map(
      RetrievalBenchmark.quality(known, { topK, concurrency }).pipe(Effect.provide(retriever.layer)),
      (quality) => ({ quality, ...retriever })
    )
  }

  it.effect("is the mean share of a question's gold passages, and the share of questions with all of theirs", () =>
    Effect.gen(function*() {
      const { calls, quality } = yield* judged([
        { question: "all", goldIds: ["all-0", "all-1"] },
        { question: "half", goldIds: ["half-1", "half-2"] },
        { question: "none", goldIds: ["half-0"] },
        { question: "neither", goldIds: ["x"] },
        { question: "unknown", goldIds: [] }
      ], 2)
      assert.deepStrictEqual(quality, { topK: 2, questions: 4, recall: 1.5 / 4, allGold: 1 / 4 })
      assert.deepStrictEqual(
        calls.map(({ queries, topK }) => `${queries.join()} ${topK}`),
        ["all 2", "half 2", "none 2", "neither 2"]
      )
    }))

  it.effect("is 0 of no questions", () =>
    Effect.gen(function*() {
      const { quality } = yield* judged([{ question: "unknown", goldIds: [] }], 5)
      assert.deepStrictEqual(quality, { topK: 5, questions: 0, recall: 0, allGold: 0 })
    }))

  it.effect("is asked for with 8 searches at a time, or with as many as are asked for", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 20 }, (_, index) => ({ question: `q${index}`, goldIds: ["x"] }))
      assert.strictEqual((yield* judged(many, 1)).running.most, 8)
      assert.strictEqual((yield* judged(many, 1, 3)).running.most, 3)
    }))
})
