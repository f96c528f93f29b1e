/**
 * What every RunLog must do, wherever it keeps its records.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { RunLog, type RunLogError } from "../../src/services/RunLog.ts"
import { randomScored } from "../support/samples.ts"

export const runLogContract = (name: string, fresh: () => Layer.Layer<RunLog, RunLogError>): void => {
  const withLog = <A, E>(use: (log: RunLog["Service"]) => Effect.Effect<A, E>) =>
    Effect.suspend(() => Effect.provide(Effect.flatMap(RunLog, use), fresh()))

  describe(`${name} keeps the contract of RunLog`, () => {
    it.effect("gives records back as they were, in order", () =>
      withLog((log) =>
        Effect.gen(function*() {
          const metrics = [{ step: 0, metrics: { "actor/lr": 1e-6, ü: -0.5 } }, { step: 1, metrics: {} }]
          const trajectories = [0, 1, 2].map((index) => ({
            step: index,
            scored: randomScored(`log/${index}`, "p\n\"ü", index)
          }))
          for (const record of metrics) yield* log.metrics(record)
          for (const record of trajectories) yield* log.trajectory(record)
          yield* TestClock.adjust("5 seconds")
          yield* log.event("saved\u2028", { path: "a\nb", steps: [1, null, true] })
          assert.deepStrictEqual(yield* Stream.runCollect(log.readMetrics), metrics)
          assert.deepStrictEqual(yield* Stream.runCollect(log.readTrajectories), trajectories)
          assert.deepStrictEqual(yield* Stream.runCollect(log.readEvents), [
            { time: 5000, event: "saved\u2028", detail: { path: "a\nb", steps: [1, null, true] } }
          ])
        })
      ))

    it.effect("an empty log has no records", () =>
      withLog((log) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* Stream.runCollect(log.readMetrics), [])
          assert.deepStrictEqual(yield* Stream.runCollect(log.readTrajectories), [])
        })
      ))

    it.effect("a number that JSON cannot hold is an error, and nothing is recorded", () =>
      withLog((log) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(log.metrics({ step: 0, metrics: { "actor/pg_loss": Number.NaN } }))
          assert.strictEqual(error._tag, "RunLogError")
          assert.match(error.message, /metrics\.jsonl: this record cannot be written: .*actor\/pg_loss/)
          assert.deepStrictEqual(yield* Stream.runCollect(log.readMetrics), [])
        })
      ))

    it.effect("concurrent appends are all whole, and readers see a prefix of whole records meanwhile", () =>
      withLog((log) =>
        Effect.gen(function*() {
          const steps = Array.from({ length: 200 }, (_, step) => step)
          const writer = yield* Effect.forkChild(
            Effect.forEach(steps, (step) => log.metrics({ step, metrics: { [`m${"x".repeat(step)}`]: step } }), {
              concurrency: 16
            })
          )
          for (let round = 0; round < 10; round++) {
            const seen = yield* Stream.runCollect(log.readMetrics)
            for (const record of seen) assert.deepStrictEqual(Object.values(record.metrics), [record.step])
            yield* Effect.yieldNow
          }
          yield* Fiber.join(writer)
          const all = yield* Stream.runCollect(log.readMetrics)
          assert.deepStrictEqual(all.map((record) => record.step).toSorted((a, b) => a - b), steps)
        })
      ))

    it.effect("rewinds to a step: later metrics and trajectories are gone, events stay, appending goes on", () =>
      withLog((log) =>
        Effect.gen(function*() {
          for (let step = 0; step < 5; step++) {
            yield* log.metrics({ step, metrics: { step } })
            yield* log.trajectory({ step, scored: randomScored(`rewind/${step}`, "p", 0) })
            yield* log.event("step", step)
          }
          yield* log.rewind(2)
          yield* log.rewind(9)
          yield* log.metrics({ step: 3, metrics: { again: 1 } })
          assert.deepStrictEqual(yield* Stream.runCollect(log.readMetrics), [
            { step: 0, metrics: { step: 0 } },
            { step: 1, metrics: { step: 1 } },
            { step: 2, metrics: { step: 2 } },
            { step: 3, metrics: { again: 1 } }
          ])
          assert.strictEqual((yield* Stream.runCollect(log.readTrajectories)).length, 3)
          assert.strictEqual((yield* Stream.runCollect(log.readEvents)).length, 5)
        })
      ))

    it.effect("rewinds metrics and trajectories to steps of their own", () =>
      withLog((log) =>
        Effect.gen(function*() {
          for (let step = 0; step < 4; step++) {
            yield* log.metrics({ step, metrics: {} })
            yield* log.trajectory({ step, scored: randomScored(`rewind/${step}`, "p", 0) })
          }
          yield* log.sync
          yield* log.rewind(1, { trajectories: 2 })
          assert.deepStrictEqual((yield* Stream.runCollect(log.readMetrics)).map(({ step }) => step), [0, 1])
          assert.deepStrictEqual((yield* Stream.runCollect(log.readTrajectories)).map(({ step }) => step), [0, 1, 2])
          yield* log.rewind(-1)
          assert.deepStrictEqual(yield* Stream.runCollect(log.readMetrics), [])
          assert.deepStrictEqual(yield* Stream.runCollect(log.readTrajectories), [])
        })
      ))
  })
}
