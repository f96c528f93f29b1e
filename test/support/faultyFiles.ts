/** A file system of which one operation goes wrong: it fails, hangs, or is the last of its process or machine. */
// @effect-diagnostics nodeBuiltinImport:off
import { Deferred, Effect, Exit, FileSystem, Layer, type PlatformError } from "effect"
import { readdirSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { Disk, type Outage } from "./disk.ts"
import { refused } from "./refusingFiles.ts"

export type Fault =
  /** The operation fails with a code of the system. Where the disk is full everything that is written after it fails too. */
  | "ENOSPC"
  | "EIO"
  | "EACCES"
  /** It hangs. What it was to do is done when its caller has been interrupted: nothing calls a system's operation back. */
  | "stalls"
  /** The process is killed: the operation is half done, and none comes behind it. */
  | "killed"
  /** The machine loses its power: so, and what was not synced is lost. */
  | Outage

export const isDeath = (fault: Fault): fault is "killed" | Outage =>
  fault === "killed" || fault === "lost" || fault === "torn"

export type Access = "reads" | "writes" | "renames" | "removes"

const openedFor = (flag: FileSystem.OpenFlag): Access => flag === "r" ? "reads" : "writes"

/** The first file in a folder, or the folder where there is none. */
const firstIn = (path: string): string => {
  if (!statSync(path).isDirectory()) return path
  const [first] = readdirSync(path).sort()
  return first === undefined ? path : firstIn(join(path, first))
}

const quietly = (effect: () => void) =>
  Effect.sync(() => {
    try {
      effect()
    } catch {
      // there was nothing to be half done
    }
  })

/**
 * The file system, but that of the operations on paths in `root`, counted from 1, the `at`-th goes wrong. `reached` is done
 * when it is begun, and `operations` counts. What stalls goes on when `release` is done, and `ended` then tells when.
 */
export const faulty = (root: string, at: number, fault: Fault) => {
  const disk = new Disk(root)
  const state: { operations: number; removing: boolean; readonly kinds: Array<Access> } = {
    operations: 0,
    removing: false,
    kinds: []
  }
  const reached = Deferred.makeUnsafe<void>()
  const release = Deferred.makeUnsafe<void>()
  const ended = Deferred.makeUnsafe<void>()
  const within = (path: string) => path.startsWith(root)

  /** Nothing that is asked comes behind a death, but what has gone on meanwhile. */
  const die = (method: string, path: string) => Effect.fail(refused("EIO", method, path))

  const operation = <A, R>(
    access: Access,
    method: string,
    path: string,
    whole: Effect.Effect<A, PlatformError.PlatformError, R>,
    options?: {
      readonly half?: Effect.Effect<unknown, PlatformError.PlatformError, R> | undefined
      readonly done?: ((result: A) => void) | undefined
    }
  ): Effect.Effect<A, PlatformError.PlatformError, R> =>
    Effect.suspend(() => {
      const doing = options?.done === undefined ?
        whole :
        Effect.tap(whole, (result) => Effect.sync(() => options.done?.(result)))
      if (!within(path)) return whole
      const number = ++state.operations
      state.kinds.push(access)
      if (number < at) return doing
      if (number === at) {
        // whoever waits for it goes on at once, and the operation is to be under way by then
        setImmediate(() => Deferred.doneUnsafe(reached, Exit.void))
        state.removing = access === "removes"
      }
      if (fault === "stalls") {
        if (number > at) return doing
        const late = Deferred.await(release).pipe(
          Effect.andThen(doing),
          Effect.onExit(() => Deferred.succeed(ended, undefined))
        )
        // an open file is waited for: who would close it?
        if (method === "open") return Effect.uninterruptible(late)
        return Effect.context<R>().pipe(
          Effect.flatMap((context) =>
            Effect.callback<A, PlatformError.PlatformError>((resume) => {
              Effect.runForkWith(context)(Effect.onExit(late, (exit) => Effect.sync(() => resume(exit))))
            })
          )
        )
      }
      if (isDeath(fault)) {
        if (number > at) return die(method, path)
        return Effect.uninterruptible(
          (options?.half ?? Effect.void).pipe(
            Effect.ignore,
            Effect.andThen(Effect.sync(() => fault === "killed" ? undefined : disk.lose(fault))),
            Effect.andThen(die(method, path))
          )
        )
      }
      if (number > at && (fault !== "ENOSPC" || access !== "writes")) return doing
      // a full disk keeps nobody from reading and removing
      if (fault === "ENOSPC" && access !== "writes" && access !== "renames") return doing
      return Effect.andThen(Effect.ignore(options?.half ?? Effect.void), Effect.fail(refused(fault, method, path)))
    })

  const file = (path: string, file: FileSystem.File): FileSystem.File =>
    !within(path) ? file : new Proxy(file, {
      get: (target, key) => {
        switch (key) {
          case "stat":
            return operation("reads", "stat", path, target.stat)
          case "read":
            return (...args: Parameters<typeof target.read>) => operation("reads", key, path, target.read(...args))
          case "readAlloc":
            return (...args: Parameters<typeof target.readAlloc>) =>
              operation("reads", key, path, target.readAlloc(...args))
          case "write":
            return (bytes: Uint8Array) =>
              operation("writes", key, path, target.write(bytes), {
                half: target.writeAll(bytes.subarray(0, bytes.length >> 1))
              })
          case "writeAll":
            return (bytes: Uint8Array) =>
              operation("writes", key, path, target.writeAll(bytes), {
                half: target.writeAll(bytes.subarray(0, bytes.length >> 1))
              })
          case "truncate":
            return (length?: number) =>
              operation("writes", key, path, target.truncate(length), {
                done: () => disk.truncated(path, length ?? 0)
              })
          case "sync":
            // which the disk of the test keeps account of: the machine's own need not be waited for
            return operation("writes", key, path, Effect.void, { done: () => disk.synced(path) })
          default:
            return Reflect.get(target, key, target)
        }
      }
    })

  const layer = Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) =>
      FileSystem.make({
        ...fs,
        access: (path, options) => operation("reads", "access", path, fs.access(path, options)),
        chmod: (path, mode) => operation("writes", "chmod", path, fs.chmod(path, mode)),
        copy: (from, to, options) =>
          operation("writes", "copy", to, fs.copy(from, to, options), {
            half: Effect.suspend(() => fs.stat(from)).pipe(
              Effect.flatMap(({ type }) =>
                type === "Directory" ? fs.makeDirectory(to) : fs.writeFile(to, new Uint8Array())
              )
            ),
            done: () => disk.copied(to)
          }),
        copyFile: (from, to) =>
          operation("writes", "copyFile", to, fs.copyFile(from, to), {
            half: fs.writeFile(to, new Uint8Array()),
            done: () => disk.copied(to)
          }),
        link: (from, to) => operation("writes", "link", to, fs.link(from, to), { done: () => disk.linked(from, to) }),
        makeDirectory: (path, options) =>
          operation("writes", "makeDirectory", path, fs.makeDirectory(path, options), { done: () => disk.made(path) }),
        makeTempDirectory: (options) =>
          operation("writes", "makeTempDirectory", `${options?.directory ?? ""}`, fs.makeTempDirectory(options), {
            done: (path) => disk.made(path)
          }),
        open: (path, options) => {
          const flag = options?.flag ?? "r"
          return Effect.map(
            operation(openedFor(flag), "open", path, fs.open(path, options), {
              done: () => flag === "r" ? undefined : disk.opened(path, flag.startsWith("w"))
            }),
            (opened) => file(path, opened)
          )
        },
        readDirectory: (path, options) => operation("reads", "readDirectory", path, fs.readDirectory(path, options)),
        readFile: (path) => operation("reads", "readFile", path, fs.readFile(path)),
        readLink: (path) => operation("reads", "readLink", path, fs.readLink(path)),
        realPath: (path) => operation("reads", "realPath", path, fs.realPath(path)),
        remove: (path, options) =>
          operation("removes", "remove", path, fs.remove(path, options), {
            half: options?.recursive === true
              ? quietly(() => {
                const first = firstIn(path)
                rmSync(first, { recursive: true })
                disk.removed(first)
              })
              : undefined,
            done: () => disk.removed(path)
          }),
        rename: (from, to) =>
          operation("renames", "rename", from, fs.rename(from, to), { done: () => disk.renamed(from, to) }),
        stat: (path) => operation("reads", "stat", path, fs.stat(path)),
        truncate: (path, length) =>
          operation("writes", "truncate", path, fs.truncate(path, length), {
            done: () => disk.truncated(path, Number(length ?? 0))
          }),
        writeFile: (path, bytes, options) =>
          operation("writes", "writeFile", path, fs.writeFile(path, bytes, options), {
            half: fs.writeFile(path, bytes.subarray(0, bytes.length >> 1), options),
            done: () => disk.opened(path, true)
          })
      }))
  )
  return { disk, ended, layer, reached, release, state }
}

/** The file system, but that nothing waits for the machine's disk: tests that write a thousand times are quicker. */
export const unsynced = Layer.effect(
  FileSystem.FileSystem,
  Effect.map(FileSystem.FileSystem, (fs) =>
    FileSystem.make({
      ...fs,
      open: (path, options) =>
        Effect.map(fs.open(path, options), (file) =>
          new Proxy(file, {
            get: (target, key) => key === "sync" ? Effect.void : Reflect.get(target, key, target)
          }))
    }))
)
