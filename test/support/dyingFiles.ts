/** A file system of a process that dies at one of its operations: killed, or with the power of its machine. */
import { Effect, FileSystem, Layer, PlatformError } from "effect"
import { truncateSync } from "node:fs"

export type Death = "killed" | "power"

const dead = (method: string, path: string) =>
  PlatformError.systemError({
    _tag: "Unknown",
    module: "FileSystem",
    method,
    pathOrDescriptor: path,
    cause: new Error("the process is no more")
  })

/**
 * The file system, but that the `at`-th operation that changes something, counted from 1, is the last: it is half done, and
 * none comes behind it. Without power what was written and not synced is forgotten besides. `operations` counts.
 */
export const dying = (at: number, death: Death) => {
  const counter = { operations: 0 }
  /** How much of each file that was written to has reached the disk. */
  const synced = new Map<string, number>()
  const layer = Layer.effect(
    FileSystem.FileSystem,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const loosePower = Effect.sync(() => {
        if (death === "killed") return
        for (const [path, bytes] of synced) {
          try {
            truncateSync(path, bytes)
          } catch {
            // it was renamed or removed
          }
        }
      })
      const change = <A, R>(
        method: string,
        path: string,
        whole: Effect.Effect<A, PlatformError.PlatformError, R>,
        half: Effect.Effect<unknown, PlatformError.PlatformError, R> = Effect.void
      ): Effect.Effect<A, PlatformError.PlatformError, R> =>
        Effect.suspend(() => {
          const operation = ++counter.operations
          if (operation < at) return whole
          return operation > at
            ? Effect.fail(dead(method, path))
            : half.pipe(Effect.ignore, Effect.andThen(loosePower), Effect.andThen(Effect.fail(dead(method, path))))
        })
      const size = (file: FileSystem.File) => Effect.map(file.stat, ({ size }) => Number(size))
      const wrapped = (path: string, file: FileSystem.File): FileSystem.File =>
        new Proxy(file, {
          get: (target, key) => {
            switch (key) {
              case "writeAll":
                return (bytes: Uint8Array) =>
                  change(
                    "writeAll",
                    path,
                    target.writeAll(bytes),
                    target.writeAll(bytes.subarray(0, Math.floor(bytes.length / 2)))
                  )
              case "truncate":
                return (length?: number) => change("truncate", path, target.truncate(length))
              case "sync":
                return change(
                  "sync",
                  path,
                  Effect.tap(target.sync, () => Effect.map(size(target), (bytes) => void synced.set(path, bytes)))
                )
              default:
                return Reflect.get(target, key, target)
            }
          }
        })
      return FileSystem.make({
        ...fs,
        makeDirectory: (path, options) => change("makeDirectory", path, fs.makeDirectory(path, options)),
        remove: (path, options) => change("remove", path, fs.remove(path, options)),
        rename: (from, to) => change("rename", from, fs.rename(from, to)),
        open: (path, options) => {
          const { flag = "r" } = options ?? {}
          if (flag === "r") return fs.open(path, options)
          const open = Effect.flatMap(fs.open(path, options), (file) =>
            Effect.map(size(file), (bytes) => {
              if (!synced.has(path)) synced.set(path, bytes)
              return wrapped(path, file)
            }))
          return flag === "r+" ? open : change("open", path, open)
        }
      })
    })
  )
  return { counter, layer }
}
