import { assert, describe, it } from "@effect/vitest"
import { Effect, Scheduler } from "effect"
import * as FairScheduler from "../../src/programs/FairScheduler.ts"

/** Turns of the event loop that pass while a hundred fibers of a thousand operations run. */
const turnsDuring = (scheduler: Scheduler.Scheduler) =>
  Effect.promise(async () => {
    let turns = 0
    let running = true
    const count = () => {
      if (!running) return
      turns++
      setImmediate(count)
    }
    setImmediate(count)
    const work = Effect.forEach(Array.from({ length: 300 }), () => Effect.void, { discard: true })
    await Effect.runPromise(
      Effect.forEach(Array.from({ length: 100 }), () => work, { concurrency: "unbounded", discard: true }).pipe(
        Effect.provideService(Scheduler.Scheduler, scheduler)
      )
    )
    running = false
    return turns
  })

describe("FairScheduler", () => {
  it.live("gives the event loop a turn after every slice", () =>
    Effect.gen(function*() {
      const fair = yield* turnsDuring(FairScheduler.make(0))
      const hogging = yield* turnsDuring(FairScheduler.make(60_000))
      assert.isAtLeast(fair, 100)
      assert.isAtMost(hogging, 20)
    }))

  it.live("keeps the order of priorities and runs synchronously where it is asked to", () =>
    Effect.sync(() => {
      const order: Array<number> = []
      const dispatcher = FairScheduler.make().makeDispatcher()
      for (const priority of [2, 0, 1, 0, 2]) dispatcher.scheduleTask(() => order.push(priority), priority)
      dispatcher.flush()
      assert.deepStrictEqual(order, [0, 0, 1, 2, 2])
    }))
})
