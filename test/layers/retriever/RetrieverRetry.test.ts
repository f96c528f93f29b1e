import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as RetrieverRetry from "../../../src/layers/retriever/RetrieverRetry.ts"
import * as RetrieverTimeLimit from "../../../src/layers/retriever/RetrieverTimeLimit.ts"
import {
  Retriever,
  type RetrieverError,
  RetrieverRejected,
  RetrieverTimeout,
  RetrieverUnavailable,
  RetrieverUnexpectedShape
} from "../../../src/services/Retriever.ts"
import { controlled, hits } from "../../support/controlledRetriever.ts"

const unavailable = new RetrieverUnavailable({ retriever: "Controlled", reason: "down" })
const rejected = (status: number, retryAfterMillis?: number) =>
  new RetrieverRejected({
    retriever: "Controlled",
    status,
    body: "",
    ...(retryAfterMillis === undefined ? {} : { retryAfterMillis })
  })

const searchWith = (layer: Layer.Layer<Retriever>) =>
  Retriever.use((retriever) => retriever.search("q", { topK: 2 })).pipe(Effect.provide(layer, { local: true }))

/** Fails as listed, attempt by attempt, then succeeds; tells when each attempt began. */
const failing = (errors: ReadonlyArray<RetrieverError>) => {
  const times: Array<number> = []
  const inner = controlled((_, number) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      times.push(now)
      const error = errors[number - 1]
      return error === undefined ? Effect.void : Effect.fail(error)
    })
  )
  return { inner, times }
}

describe("RetrieverRetry", () => {
  it.effect("tries again with growing, jittered delays and gives the answer of the attempt that succeeds", () =>
    Effect.gen(function*() {
      const { inner, times } = failing([unavailable, unavailable, unavailable])
      const fiber = yield* searchWith(
        RetrieverRetry.layer({ times: 3, base: "100 millis" }).pipe(Layer.provide(inner.layer))
      ).pipe(Effect.forkChild)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(fiber), hits("q", 2))
      const delays = times.slice(1).map((time, index) => time - (times[index] ?? 0))
      assert.strictEqual(delays.length, 3)
      for (const [index, delay] of delays.entries()) {
        assert.isAtLeast(delay, 0.8 * 100 * 2 ** index - 1)
        assert.isAtMost(delay, 1.2 * 100 * 2 ** index + 1)
      }
    }))

  it.effect("passes on the last error when every attempt fails", () =>
    Effect.gen(function*() {
      const last = rejected(503)
      const { inner, times } = failing([unavailable, unavailable, last])
      const fiber = yield* searchWith(RetrieverRetry.layer({ times: 2 }).pipe(Layer.provide(inner.layer))).pipe(
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(fiber), last)
      assert.strictEqual(times.length, 3)
    }))

  it.effect.each([
    rejected(400),
    rejected(404),
    new RetrieverUnexpectedShape({ retriever: "Controlled", reason: "no result" })
  ])("does not repeat what cannot succeed (%#)", (error) =>
    Effect.gen(function*() {
      const { inner, times } = failing([error])
      assert.strictEqual(
        yield* searchWith(RetrieverRetry.layer().pipe(Layer.provide(inner.layer))).pipe(Effect.flip),
        error
      )
      assert.strictEqual(times.length, 1)
    }))

  it.effect("waits as long as Retry-After asks", () =>
    Effect.gen(function*() {
      const { inner, times } = failing([rejected(429, 5000)])
      const fiber = yield* searchWith(RetrieverRetry.layer().pipe(Layer.provide(inner.layer))).pipe(Effect.forkChild)
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(times.length, 1)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(times, [0, 5000])
    }))

  it.effect("does not wait longer than it may", () =>
    Effect.gen(function*() {
      const { inner, times } = failing([rejected(429, 61_000)])
      const error = yield* searchWith(RetrieverRetry.layer().pipe(Layer.provide(inner.layer))).pipe(Effect.flip)
      assert.strictEqual(error._tag, "RetrieverRejected")
      assert.strictEqual(times.length, 1)
    }))

  it.effect("limits the time of each attempt when a time limit is below it", () =>
    Effect.gen(function*() {
      const inner = controlled(() => Effect.never)
      const fiber = yield* searchWith(
        RetrieverRetry.layer({ times: 2 }).pipe(
          Layer.provide(RetrieverTimeLimit.layer({ duration: "1 second" })),
          Layer.provide(inner.layer)
        )
      ).pipe(Effect.flip, Effect.forkChild)
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(fiber)
      assert.instanceOf(error, RetrieverTimeout)
      assert.strictEqual(error.milliseconds, 1000)
      assert.strictEqual(inner.calls.length, 3)
      assert.deepStrictEqual(inner.running, { now: 0, most: 1, interrupted: 3 })
    }))
})
