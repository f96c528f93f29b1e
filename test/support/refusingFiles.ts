/** A file system on which everything that is written fails, as a full disk or a read-only one does. */
import { Effect, FileSystem, Layer, PlatformError } from "effect"
import { constants } from "node:os"

export type Refusal = "ENOSPC" | "EFBIG" | "EROFS" | "EACCES" | "EDQUOT" | "EIO"

/** What the system's own functions would fail with. */
export const refused = (code: Refusal, method: string, path: string) =>
  PlatformError.systemError({
    _tag: code === "EACCES" ? "PermissionDenied" : "Unknown",
    module: "FileSystem",
    method,
    pathOrDescriptor: path,
    cause: Object.assign(new Error(`${code}: refused, ${method} '${path}'`), { code, errno: -constants.errno[code] })
  })

/** Codes by which not even an empty file can be made. */
const closed: ReadonlySet<Refusal> = new Set(["EROFS", "EACCES"])

/**
 * The file system, but that paths of which `matches` is true cannot be written: names can be made, and nothing put into
 * them, or neither where the code says so.
 */
export const refusing = (code: Refusal, matches: (path: string) => boolean) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const guard = <A, R>(
        method: string,
        path: string,
        effect: Effect.Effect<A, PlatformError.PlatformError, R>
      ): Effect.Effect<A, PlatformError.PlatformError, R> =>
        Effect.suspend(() => matches(path) ? Effect.fail(refused(code, method, path)) : effect)
      const made = <A, R>(method: string, path: string, effect: Effect.Effect<A, PlatformError.PlatformError, R>) =>
        closed.has(code) ? guard(method, path, effect) : effect
      return FileSystem.make({
        ...fs,
        copy: (from, to, options) => guard("copy", to, fs.copy(from, to, options)),
        copyFile: (from, to) => guard("copyFile", to, fs.copyFile(from, to)),
        makeDirectory: (path, options) => made("makeDirectory", path, fs.makeDirectory(path, options)),
        makeTempDirectory: (options) =>
          made("makeTempDirectory", `${options?.directory ?? ""}/`, fs.makeTempDirectory(options)),
        writeFile: (path, data, options) => guard("writeFile", path, fs.writeFile(path, data, options)),
        open: (path, options) => {
          const { flag = "r" } = options ?? {}
          if (flag === "r") return fs.open(path, options)
          return made(
            "open",
            path,
            Effect.map(fs.open(path, options), (file) =>
              !matches(path) ? file : new Proxy(file, {
                get: (target, key) =>
                  key === "write" || key === "writeAll"
                    ? () => Effect.fail(refused(code, String(key), path))
                    : Reflect.get(target, key, target)
              }))
          )
        }
      })
    })
  )
