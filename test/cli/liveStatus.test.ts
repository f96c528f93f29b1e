import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { TestClock, TestConsole } from "effect/testing"
import * as LiveStatus from "../../src/cli/liveStatus.ts"

const capabilities = { canAnimate: false, canColor: false, canPrompt: false }

describe("what is going on, where there is no terminal", () => {
  it.effect("is told at most every ten seconds, also while nothing comes, and not of what is done", () =>
    Effect.gen(function*() {
      const status = yield* LiveStatus.make
      const lines = TestConsole.errorLines
      yield* status.show("evaluation 0/64")
      yield* TestClock.adjust("9 seconds")
      yield* status.clear
      yield* TestClock.adjust("60 seconds")
      assert.deepStrictEqual(yield* lines, [], "short work is silent")

      yield* status.show("evaluation 0/64")
      for (let second = 0; second < 35; second++) yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* lines, [
        "evaluation 0/64  (11 s)",
        "evaluation 0/64  (21 s)",
        "evaluation 0/64  (31 s)"
      ])
      for (let done = 1; done <= 500; done++) yield* status.show(`evaluation ${done}/500`)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* lines).length, 4)
      assert.strictEqual((yield* lines).at(-1), "evaluation 500/500  (41 s)")
      yield* status.clear
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* lines).length, 4)
    }).pipe(
      Effect.scoped,
      Effect.provideService(TerminalCapabilities.TerminalCapabilities, capabilities as never),
      Effect.provide([NodeServices.layer, TestConsole.layer])
    ))
})
