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

  /** What three tasks have done after each of four turns of the event loop. */
  const afterTurns = (sliceMillis: number) =>
    Effect.promise(async () => {
      const done: Array<string> = []
      const dispatcher = FairScheduler.make(sliceMillis).makeDispatcher()
      dispatcher.scheduleTask(() => done.push("a"), 1)
      dispatcher.scheduleTask(() => {
        done.push("b")
        dispatcher.scheduleTask(() => done.push("d"), 0)
      }, 0)
      dispatcher.scheduleTask(() => done.push("c"), 1)
      const seen = [done.join("")]
      for (let turn = 0; turn < 4; turn++) {
        await new Promise((resolve) => setImmediate(resolve))
        seen.push(done.join(""))
      }
      return seen
    })

  it.live("runs what is ready from the next turn on, the urgent first, as much as a slice holds", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* afterTurns(0), ["", "b", "bd", "bda", "bdac"])
      assert.deepStrictEqual(yield* afterTurns(60_000), ["", "bdac", "bdac", "bdac", "bdac"])
    }))

  it.live("asks a fiber to yield at every eighth operation of a slice that is over, and where Effect's own would", () =>
    Effect.promise(async () => {
      const asks = (scheduler: Scheduler.Scheduler) =>
        [7, 8, 9, 16, 100_000, 100_001].map((currentOpCount) =>
          scheduler.shouldYield({ currentOpCount, cache: { maxOpsBeforeYield: 2048 } } as never)
        )
      const scheduler = FairScheduler.make(60_000)
      assert.deepStrictEqual(asks(scheduler), [false, true, false, true, true, true], "outside of a slice")
      const within = await new Promise((resolve) =>
        scheduler.makeDispatcher().scheduleTask(() => resolve(asks(scheduler)), 0)
      )
      assert.deepStrictEqual(within, [false, false, false, false, true, true])
    }))
})
