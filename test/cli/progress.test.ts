import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stdio } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { progress, rateText } from "../../src/cli/progress.ts"

const on = (terminal: boolean) =>
  Layer.merge(TestConsole.layer, Stdio.layerTest({ stderrIsTerminal: Effect.succeed(terminal) }))

describe("progress", () => {
  it.effect("writes to a log every ten seconds at most, and only what is new", () =>
    Effect.gen(function*() {
      const { advance, reached } = yield* progress({ unit: "question", total: 100 })
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(yield* TestConsole.errorLines, [])
      yield* advance(20)
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(yield* TestConsole.errorLines, ["20 of 100 questions · 2.0/s, 40 s left"])
      // nothing happens for a minute
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual((yield* TestConsole.errorLines).length, 1)
      yield* reached(22, "loss 0.1")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* TestConsole.errorLines).slice(1), [
        "22 of 100 questions · loss 0.1 · 0.3/s, 4 m 44 s left"
      ])
    }).pipe(Effect.scoped, Effect.provide(on(false))))

  it.effect("is told every three seconds on a terminal", () =>
    Effect.gen(function*() {
      const { tick } = yield* progress({ unit: "rollout" })
      yield* TestClock.adjust("3 seconds")
      yield* tick
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(yield* TestConsole.errorLines, ["0 rollouts", "1 rollout · 0.2/s"])
    }).pipe(Effect.scoped, Effect.provide(on(true))))

  it("says how long one takes where less than one happens in ten seconds", () => {
    assert.deepStrictEqual([0.01, 0.5, 12.3].map(rateText), ["1 m 40 s each", "0.5/s", "12/s"])
  })
})
