import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, FileSystem, type Path, Scope } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { hostname } from "node:os"
import * as ProcessIdentity from "../../src/layers/processIdentity.ts"
import * as WriterLock from "../../src/layers/writerLock.ts"

const inDirectory = <A, E>(
  use: (paths: { readonly directory: string; readonly file: string }) => Effect.Effect<
    A,
    E,
    FileSystem.FileSystem | Path.Path | Scope.Scope
  >
) =>
  Effect.gen(function*() {
    const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
    return yield* use({ directory, file: `${directory}/${WriterLock.fileName}` })
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

const exists = (file: string) => Effect.flatMap(FileSystem.FileSystem, (fs) => fs.exists(file))

const left = Effect.fnUntraced(function*(directory: string, holder: Partial<ProcessIdentity.ProcessIdentity>) {
  const fs = yield* FileSystem.FileSystem
  const own = yield* ProcessIdentity.own
  yield* fs.writeFileString(
    `${directory}/${WriterLock.fileName}`,
    JSON.stringify({ ...own, ...holder, since: "2026-01-01T00:00:00.000Z", token: "left" })
  )
})

/** A number that no process has now: that of one which has ended. */
const deadPid = Effect.promise(async () => {
  const child = spawn(process.execPath, ["-e", ""], { stdio: "ignore" })
  await once(child, "exit")
  return child.pid ?? 0
})

const held = (directory: string) => Effect.scoped(WriterLock.acquireDirectory(directory))

describe("the lock of a writer", () => {
  it.live("is held by one at a time, and says by whom", () =>
    inDirectory(({ directory, file }) =>
      Effect.gen(function*() {
        const error = yield* Effect.scoped(Effect.gen(function*() {
          yield* WriterLock.acquireDirectory(directory)
          return yield* Effect.flip(held(directory))
        }))
        if (error._tag !== "InUse") return assert.fail(error._tag)
        assert.include(error.message, `${directory} is in use by process ${process.pid} on ${hostname()} (since 20`)
        assert.strictEqual(error.file, file)
        assert.isFalse(yield* exists(file), "the end of the scope gives it free")
        yield* held(directory)
      })
    ))

  it.live("is given free by success, failure, a defect and interruption", () =>
    inDirectory(({ directory, file }) =>
      Effect.gen(function*() {
        for (
          const work of [Effect.void, Effect.fail("no"), Effect.die("no"), Effect.interrupt] as ReadonlyArray<
            Effect.Effect<void, string>
          >
        ) {
          yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
            yield* WriterLock.acquireDirectory(directory)
            assert.isTrue(yield* exists(file))
            yield* work
          })))
          assert.deepStrictEqual(yield* (yield* FileSystem.FileSystem).readDirectory(directory), [])
        }
        const begun = yield* Deferred.make<void>()
        const fiber = yield* Effect.scoped(Effect.gen(function*() {
          yield* WriterLock.acquireDirectory(directory)
          yield* Deferred.succeed(begun, undefined)
          yield* Effect.never
        })).pipe(Effect.forkChild)
        yield* Deferred.await(begun)
        assert.isTrue(yield* exists(file))
        yield* Fiber.interrupt(fiber)
        assert.isFalse(yield* exists(file))
      })
    ))

  it.live("makes a directory that is not there, and leaves none behind in which nothing was written", () =>
    inDirectory(({ directory }) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        yield* held(`${directory}/a/b`)
        assert.isFalse(yield* exists(`${directory}/a`))
        yield* Effect.scoped(Effect.gen(function*() {
          yield* WriterLock.acquireDirectory(`${directory}/a/b`)
          yield* fs.writeFileString(`${directory}/a/b/model`, "")
        }))
        assert.deepStrictEqual(yield* fs.readDirectory(`${directory}/a/b`), ["model"])
      })
    ))

  it.live("whose process is no more is taken over", () =>
    inDirectory(({ directory }) =>
      Effect.gen(function*() {
        const own = yield* ProcessIdentity.own
        yield* left(directory, { pid: yield* deadPid })
        yield* held(directory)
        // after a start of the machine the number may be anybody's
        if (own.boot !== "") {
          yield* left(directory, { boot: "another" })
          yield* held(directory)
        }
        // and without one too, when all numbers have been given out once
        if (own.started !== "") {
          yield* left(directory, { started: "1" })
          yield* held(directory)
        }
        for (const text of ["", "{\"pid\":"]) {
          yield* (yield* FileSystem.FileSystem).writeFileString(`${directory}/${WriterLock.fileName}`, text)
          yield* held(directory)
        }
        assert.deepStrictEqual(yield* (yield* FileSystem.FileSystem).readDirectory(directory), [])
      })
    ))

  it.live("of another machine or container is never taken over, and the message says how to go on", () =>
    inDirectory(({ directory, file }) =>
      Effect.gen(function*() {
        const pid = yield* deadPid
        for (const holder of [{ host: "elsewhere" }, { machine: "another", boot: "another" }]) {
          if ("machine" in holder && (yield* ProcessIdentity.own).machine === "") continue
          yield* left(directory, { pid, ...holder })
          const error = yield* Effect.flip(held(directory))
          assert.strictEqual(error._tag, "InUse")
          assert.include(error.message, `in use by process ${pid} on ${holder.host ?? hostname()}`)
          if (holder.host !== undefined) {
            assert.include(error.message, `If that process is gone, remove ${file}`)
          }
        }
        if ((yield* ProcessIdentity.own).namespace !== "") {
          yield* left(directory, { pid, namespace: "pid:[1]" })
          assert.strictEqual((yield* Effect.flip(held(directory)))._tag, "InUse")
        }
      })
    ))

  it.live("a stale one is taken over by one of many", () =>
    inDirectory(({ directory }) =>
      Effect.gen(function*() {
        for (let round = 0; round < 5; round++) {
          yield* left(directory, { pid: yield* deadPid })
          const scope = yield* Scope.make()
          const exits = yield* Effect.forEach(
            Array.from({ length: 12 }),
            () => Effect.exit(Scope.provide(WriterLock.acquireDirectory(directory), scope)),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
          yield* Scope.close(scope, Exit.void)
          assert.deepStrictEqual(yield* (yield* FileSystem.FileSystem).readDirectory(directory), [])
        }
      })
    ))

  it.live(
    "another process that holds it is named while it lives, and forgotten when it was killed",
    () =>
      inDirectory(({ directory }) =>
        Effect.gen(function*() {
          const script = `
          import * as NodeServices from "@effect/platform-node/NodeServices"
          import { Effect } from "effect"
          import * as WriterLock from ${JSON.stringify(new URL("../../src/layers/writerLock.ts", import.meta.url).href)}
          const work = Effect.andThen(WriterLock.acquireDirectory(process.argv[1]), Effect.sync(() => console.log("held")))
          Effect.runPromise(Effect.andThen(work, Effect.never).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
          setInterval(() => {}, 1000)
        `
          const child = spawn(process.execPath, ["--input-type=module", "-e", script, directory], {
            stdio: ["ignore", "pipe", "inherit"]
          })
          yield* Effect.promise(() => once(child.stdout, "data"))
          const error = yield* Effect.flip(held(directory))
          assert.include(error.message, `in use by process ${child.pid} on`)
          const ended = once(child, "exit")
          child.kill("SIGKILL")
          yield* Effect.promise(() => ended)
          yield* held(directory)
        })
      ),
    20_000
  )

  it.live("does not take away what somebody else took after it was removed by hand", () =>
    inDirectory(({ directory, file }) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        yield* Effect.scoped(Effect.gen(function*() {
          yield* WriterLock.acquireDirectory(directory)
          yield* fs.remove(file)
          yield* left(directory, {})
        }))
        assert.include(yield* fs.readFileString(file), "\"token\":\"left\"")
      })
    ))

  it.live("that cannot be written says so", () =>
    inDirectory(({ directory }) =>
      Effect.gen(function*() {
        yield* (yield* FileSystem.FileSystem).writeFileString(`${directory}/file`, "")
        const error = yield* Effect.flip(held(`${directory}/file/run`))
        assert.strictEqual(error._tag, "LockUnavailable")
        assert.include(error.message, `${directory}/file/run/writer.lock: the lock cannot be written`)
      })
    ))
})
