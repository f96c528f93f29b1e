/**
 * What everything that writes must hold when any operation on its files goes wrong: what was there before is whole and can
 * be read, or what is new is; a reader never finds a mixture; a failure and an interruption leave no other names behind; the
 * next attempt succeeds and leaves what an undisturbed one does; and what a write that returned has written outlives the
 * loss of power.
 */
// Between two attempts the folder is set up by the shortest way.
// @effect-diagnostics nodeBuiltinImport:off
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, FileSystem, References } from "effect"
import { TestConsole } from "effect/testing"
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import * as Prng from "../../src/domain/Prng.ts"
import { type Access, type Fault, faulty, isDeath, unsynced } from "../support/faultyFiles.ts"

type Files = NodeServices.NodeServices

export interface Writer {
  readonly name: string
  /** Makes what is there before. */
  readonly before?: ((root: string) => Effect.Effect<unknown, unknown, Files>) | undefined
  readonly write: (root: string) => Effect.Effect<unknown, unknown, Files>
  /** What a reader finds: a value that tells the old from the new, or a typed error where nothing is there. */
  readonly read: (root: string) => Effect.Effect<unknown, unknown, Files>
  /** Tags of the errors by which a reader is told of what a death has cut off. */
  readonly incomplete?: ReadonlyArray<string> | undefined
  /** Which names mean the same, such as those of a step that was saved again. */
  readonly alias?: ((name: string) => string) | undefined
  /** Operations that are tried at most with each fault: all unless given. */
  readonly sample?: number | undefined
  /** Whether what is written may be lost with the power, and is not needed for success, as with caches. */
  readonly cache?: boolean | undefined
  /** Whether files are written past the file system, so that nothing can be known of what an outage leaves. */
  readonly native?: boolean | undefined
  /** Names that may stay after a failure, and that differ from one attempt to the next. */
  readonly keeps?: RegExp | undefined
}

/** Ways to go wrong; operations are refused with one code and the other in turns. */
export const ways = {
  "the disk is full": () => "ENOSPC",
  "it is refused": (at) => at % 2 === 0 ? "EIO" : "EACCES",
  "it hangs and is interrupted": () => "stalls",
  "the process is killed": () => "killed",
  "the power fails, and nothing unsynced is kept": () => "lost",
  "the power fails, and names are kept before contents": () => "torn"
} satisfies Record<string, (at: number) => Fault>

/** Whether something goes wrong with reading too: a full disk and a death at one are those before the next change. */
const concernsReading = (fault: Fault): boolean => fault === "EIO" || fault === "EACCES"

/** What a reader found, as a text that can be compared. */
const found = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.match(exit, {
    onSuccess: (value) => JSON.stringify(value),
    onFailure: (cause) => `error: ${tagOf(Cause.squash(cause))}`
  })

const tagOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)

/** All files, and hidden directories: others that were made on the way may stay. */
const namesIn = (root: string, alias: (name: string) => string): ReadonlyArray<string> => {
  const names = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory() || entry.name.startsWith("."))
    .map(({ name, parentPath }) => alias(relative(root, join(parentPath, name))))
  return [...new Set(names)].sort()
}

/** No process has it: Linux counts to 2 ** 22. */
const noProcess = 2 ** 22 + 1

/** What a death leaves is that of a process which is no more: this one goes on. */
const bury = (root: string): void => {
  for (const name of readdirSync(root, { recursive: true, encoding: "utf8" }).toReversed()) {
    const path = join(root, name)
    if (path.endsWith(".lock")) {
      const text = readFileSync(path, "utf8")
      writeFileSync(path, text.replace(`"pid":${process.pid},`, `"pid":${noProcess},`))
    }
    const own = name.lastIndexOf(`.${process.pid}.`)
    if (own > name.lastIndexOf("/")) {
      const rest = name.slice(own + `.${process.pid}.`.length)
      renameSync(path, join(root, `${name.slice(0, own)}.${noProcess}.${rest}`))
    }
  }
}

/** Runs a write under a fault to its end, or to that of its caller. */
export const disturbed = Effect.fnUntraced(function*<A, E>(
  write: (root: string) => Effect.Effect<A, E, Files>,
  root: string,
  at: number,
  fault: Fault
) {
  const files = faulty(root, at, fault)
  const writing = write(root).pipe(Effect.provide(files.layer))
  if (fault !== "stalls") return { files, exit: yield* Effect.exit(writing) }
  const fiber = yield* Effect.forkChild(writing)
  yield* Effect.raceFirst(Deferred.await(files.reached), Fiber.await(fiber))
  const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
  // time to clean up for those who do not wait for the operation
  yield* Effect.raceFirst(Fiber.await(fiber), Effect.sleep("5 millis"))
  yield* Deferred.succeed(files.release, undefined)
  yield* Fiber.join(interruption)
  if (files.state.operations >= at) yield* Deferred.await(files.ended)
  return { files, exit: yield* Fiber.await(fiber) }
})

const quiet = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(
    Effect.provide(unsynced),
    Effect.provide(NodeServices.layer),
    Effect.provideService(References.MinimumLogLevel, "None"),
    Effect.provide(TestConsole.layer)
  )

/** With FAULTS=all every operation of every writer is tried, which takes minutes. */
export const everything = process.env["FAULTS"] === "all"

/** The operations that are tried: all, or some that a seed chooses. */
export const chosen = (
  name: string,
  kinds: ReadonlyArray<Access>,
  faultAt: (at: number) => Fault,
  most = kinds.length
): ReadonlyArray<number> => {
  const all = kinds.flatMap((kind, index) => kind !== "reads" || concernsReading(faultAt(index + 1)) ? [index + 1] : [])
  if (everything) return all
  const prng = Prng.make(`faults/${name}`)
  while (all.length > most) all.splice(prng.below(all.length), 1)
  return all
}

export const faultsContract = (writer: Writer): void => {
  const { alias = (name) => name, before, cache, incomplete, keeps, name, native, read, sample, write } = writer
  const listed = (root: string) => namesIn(root, alias).filter((name) => keeps === undefined || !keeps.test(name))
  describe(`${name}, whatever operation on its files goes wrong`, () => {
    for (const [way, faultAt] of Object.entries(ways)) {
      if (native === true && /power/.test(way)) continue
      it.live(`is there as before or as it should be: ${way}`, () =>
        quiet(Effect.scoped(Effect.gen(function*() {
          const fs = yield* FileSystem.FileSystem
          const base = yield* fs.makeTempDirectoryScoped()
          const template = `${base}/template`
          yield* fs.makeDirectory(template)
          yield* before?.(template) ?? Effect.void
          // the names of paths may be in what is read: all attempts are made at one
          const root = `${base}/root`
          const fresh = () => {
            rmSync(root, { recursive: true, force: true })
            cpSync(template, root, { recursive: true })
          }
          fresh()
          const oldNames = listed(root)
          const old = found(yield* Effect.exit(read(root)))
          const { exit: first, files: undisturbed } = yield* disturbed(write, root, Number.POSITIVE_INFINITY, "killed")
          assert.isTrue(Exit.isSuccess(first), `nothing goes wrong: ${String(first)}`)
          const whole = yield* Effect.exit(read(root))
          assert.isTrue(Exit.isSuccess(whole), `nothing goes wrong: ${String(whole)}`)
          const fine = found(whole)
          assert.notStrictEqual(fine, old, "a reader can tell the old from the new")
          const newNames = listed(root)
          const { kinds, operations } = undisturbed.state
          assert.isAbove(operations, 1)

          for (const at of [...chosen(name, kinds, faultAt, sample), operations + 1]) {
            const fault = faultAt(at)
            fresh()
            const { exit, files } = yield* disturbed(write, root, at, fault)
            const here = `${fault} at operation ${at} of ${operations}`
            const ended = Exit.isSuccess(exit)
            if (at > operations && isDeath(fault)) {
              assert.isTrue(ended, here)
              if (fault !== "killed") files.disk.lose(fault)
            }
            const state = found(yield* Effect.exit(read(root)))
            const names = listed(root)
            if (isDeath(fault)) {
              const allowed = [old, fine, ...(incomplete ?? []).map((tag) => `error: ${tag}`)]
              if (at > operations && cache !== true) {
                assert.strictEqual(state, fine, `${here}: what was written is lost`)
              } else assert.include(allowed, state, `${here}: ${names.join(" ")}`)
            } else {
              assert.strictEqual(
                state,
                (ended && cache !== true) || state === fine ? fine : old,
                `${here}: ${String(exit)}`
              )
              // what cannot be removed stays
              if (!files.state.removing) {
                // the new is in its place, and what it makes superfluous could not be removed
                const left = names.filter((name) =>
                  !(state === fine && oldNames.includes(name)) || newNames.includes(name)
                )
                assert.deepStrictEqual(left, state === fine ? newNames : oldNames, `${here}: ${String(exit)}`)
              }
            }
            // what could not be removed is that of a process which ends with it
            if (isDeath(fault) || files.state.removing) bury(root)
            const again = yield* Effect.exit(write(root))
            assert.isTrue(Exit.isSuccess(again), `${here}, and once more: ${String(again)}`)
            assert.strictEqual(found(yield* Effect.exit(read(root))), fine, `${here}, and once more`)
            if (isDeath(fault) || !files.state.removing) {
              assert.deepStrictEqual(listed(root), newNames, `${here}, and once more`)
            }
          }
        }))), everything ? 600_000 : 60_000)
    }
  })
}
