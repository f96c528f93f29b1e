/**
 * What every layer must leave behind: nothing. Fibers, sockets, file descriptors, threads, processes, timers, tensors and
 * files are as many as before it, after success, failure and an interruption at any point of its work.
 */
// What a process has open is asked of the process.
// @effect-diagnostics nodeBuiltinImport:off
import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { Deferred, Effect, Exit, Fiber, Metric, type Scope } from "effect"
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Work over a layer that is built and left in its course. `begun` is done where the work cannot go on by itself. */
export type Work = (place: {
  /** An empty directory. */
  readonly directory: string
  readonly begun: Deferred.Deferred<void>
}) => Effect.Effect<unknown, unknown, Scope.Scope>

export interface Lifetime {
  readonly name: string
  /** Why it cannot be had here. */
  readonly absent?: string | undefined
  readonly succeeds: Work
  /** Work that ends in a typed error. */
  readonly fails?: Work
  /** Work that is in the middle of something when it says so, and goes no further. */
  readonly hangs?: Work
  /** Names in the directory when all is done; failures and interruptions leave fewer. None unless given. */
  readonly leaves?: ReadonlyArray<string>
  /** What a failure or an interruption may leave besides, for a later attempt to go on from. */
  readonly mayLeave?: ReadonlyArray<string>
  /** Points of an interruption that are tried, in turns of the scheduler. Fewer where each costs seconds. */
  readonly interruptions?: ReadonlyArray<number>
  /** Whether a single run costs seconds: then each way of ending is tried once. */
  readonly slow?: boolean
}

interface Open {
  readonly fibers: number
  readonly tensors: number
  /** What the file descriptors point to. */
  readonly descriptors: ReadonlyArray<string>
  /** Sockets, pipes, threads, processes and watchers of the process by kind. */
  readonly resources: ReadonlyArray<string>
}

/** Fibers that were started under it and have not ended. */
const makeCensus = () => {
  const census = { fibers: 0 }
  return {
    census,
    metrics: {
      recordFiberStart: () => void census.fibers++,
      recordFiberEnd: () => void census.fibers--
    }
  }
}

const descriptors = (): ReadonlyArray<string> => {
  const folder = "/proc/self/fd"
  try {
    return readdirSync(folder).flatMap((name) => {
      try {
        const target = readlinkSync(`${folder}/${name}`)
        // the descriptor of this very reading is gone again
        return target.startsWith("/proc/") ? [] : [target]
      } catch {
        return []
      }
    }).sort()
  } catch {
    return []
  }
}

/** Kinds that a test runner opens and closes in its own time. */
const others = /^(Timeout|Immediate|TickObject|RandomBytesRequest)$/

const openNow = (fibers: number): Open => ({
  fibers,
  tensors: tf.engine().state.numTensors,
  descriptors: descriptors(),
  resources: process.getActiveResourcesInfo().filter((kind) => !others.test(kind)).sort()
})

/** What of `now` was not there `before`. */
const added = (before: Open, now: Open): ReadonlyArray<string> => {
  const more = (kind: "descriptors" | "resources"): ReadonlyArray<string> => {
    const known = [...before[kind]]
    return now[kind].filter((one) => {
      const at = known.indexOf(one)
      if (at !== -1) known.splice(at, 1)
      return at === -1
    })
  }
  return [
    ...(now.fibers > before.fibers ? [`${now.fibers - before.fibers} fibers`] : []),
    ...(now.tensors > before.tensors ? [`${now.tensors - before.tensors} tensors`] : []),
    ...more("descriptors"),
    ...more("resources")
  ]
}

/** What is open when what was opened before has had its time to close. */
const settled = Effect.gen(function*() {
  let [found, same] = [openNow(0), 0]
  while (same < 3) {
    yield* Effect.sleep("3 millis")
    const next = openNow(0)
    same = JSON.stringify(next) === JSON.stringify(found) ? same + 1 : 0
    found = next
  }
  return found
})

/** Waits until no more is open than was before; after five seconds it says what is. */
const returns = Effect.fnUntraced(function*(before: Open, census: { readonly fibers: number }, what: string) {
  for (let round = 0;; round++) {
    const more = added(before, openNow(census.fibers))
    if (more.length === 0) return
    if (round === 1000) assert.deepStrictEqual(more, [], `still open after ${what}`)
    yield* Effect.sleep("5 millis")
  }
})

const defaultInterruptions = [0, 1, 2, 3, 4, 6, 9, 14, 25, 60]

export const lifetimes = (service: string, cases: ReadonlyArray<Lifetime>): void => {
  describe(`${service}: nothing is left open`, () => {
    for (const one of cases) {
      const titled = one.absent === undefined ? one.name : `${one.name} (${one.absent})`
      const test = it.live.skipIf(one.absent !== undefined)

      /** Runs the work as `run` says, in a directory of its own, and compares. */
      const leavesNothing = (
        what: string,
        work: Work,
        run: (
          work: Effect.Effect<unknown, unknown>,
          begun: Deferred.Deferred<void>,
          exact: (expected: boolean) => void
        ) => Effect.Effect<void>
      ) =>
        Effect.gen(function*() {
          const directory = mkdtempSync(join(tmpdir(), "lifetimes-"))
          const temporary = mkdtempSync(join(tmpdir(), "lifetimes-tmp-"))
          const { TMPDIR } = process.env
          const { census, metrics } = makeCensus()
          let exact = true
          const before = yield* settled
          const begun = yield* Deferred.make<void>()
          process.env["TMPDIR"] = temporary
          yield* run(Effect.scoped(work({ directory, begun })), begun, (expected) => {
            exact = expected
          }).pipe(
            Effect.provideService(Metric.FiberRuntimeMetrics, metrics),
            Effect.ensuring(Effect.sync(() => {
              if (TMPDIR === undefined) delete process.env["TMPDIR"]
              else process.env["TMPDIR"] = TMPDIR
            }))
          )
          yield* returns(before, census, `${one.name}, ${what}`)
          const leaves = one.leaves ?? []
          const left = readdirSync(directory).sort()
          if (exact) assert.deepStrictEqual(left, [...leaves].sort(), `${one.name}, ${what}`)
          else assert.includeMembers([...leaves, ...one.mayLeave ?? []], left, `${one.name}, ${what}`)
          assert.deepStrictEqual(readdirSync(temporary), [], `temporary files of ${one.name}, ${what}`)
          rmSync(directory, { recursive: true })
          rmSync(temporary, { recursive: true })
        })

      test(`${titled}, after success`, () =>
        Effect.gen(function*() {
          const succeed = leavesNothing("success", one.succeeds, (work) => Effect.asVoid(Effect.orDie(work)))
          // libraries keep what they make once
          yield* Effect.orDie(Effect.scoped(one.succeeds({
            directory: mkdtempSync(join(tmpdir(), "lifetimes-")),
            begun: yield* Deferred.make<void>()
          })))
          yield* succeed
          if (one.slow !== true) yield* succeed
        }))

      if (one.fails !== undefined) {
        const { fails } = one
        test(`${titled}, after failure`, () =>
          Effect.repeat(
            leavesNothing("failure", fails, (work, _, exact) =>
              Effect.gen(function*() {
                exact(false)
                const exit = yield* Effect.exit(work)
                assert(Exit.isFailure(exit), "it did not fail")
                assert(
                  exit.cause.reasons.every(({ _tag }) => _tag === "Fail"),
                  `it failed with a defect: ${exit.cause}`
                )
              })),
            { times: one.slow === true ? 0 : 1 }
          ))
      }

      test(`${titled}, after an interruption at any point`, () =>
        Effect.forEach(
          one.interruptions ?? defaultInterruptions,
          (turns) =>
            leavesNothing(`an interruption after ${turns} turns`, one.succeeds, (work, _, exact) =>
              Effect.gen(function*() {
                exact(false)
                const fiber = yield* Effect.forkChild(work, { startImmediately: true })
                for (let turn = 0; turn < turns; turn++) {
                  yield* turn % 4 === 3
                    ? Effect.promise(() =>
                      new Promise(setImmediate)
                    )
                    : Effect.yieldNow
                }
                yield* Fiber.interrupt(fiber)
              })),
          { discard: true }
        ))

      if (one.hangs !== undefined) {
        const { hangs } = one
        test(`${titled}, after an interruption in the middle`, () =>
          Effect.repeat(
            leavesNothing("an interruption in the middle", hangs, (work, begun, exact) =>
              Effect.gen(function*() {
                exact(false)
                const fiber = yield* Effect.forkChild(work, { startImmediately: true })
                yield* Effect.raceFirst(Deferred.await(begun), Effect.asVoid(Effect.exit(Fiber.join(fiber))))
                assert.isUndefined(fiber.pollUnsafe(), "it ended by itself")
                yield* Fiber.interrupt(fiber)
              })),
            { times: one.slow === true ? 0 : 1 }
          ))
      }
    }
  })
}
