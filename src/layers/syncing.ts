/**
 * What has to outlive the loss of power is forced to the disk: contents before the names under which they are found.
 *
 * @since 0.2.0
 */
import { Effect, FileSystem, Path, type PlatformError } from "effect"
import * as SystemReason from "./systemReason.ts"

/** What a system says which syncs no directories, or opens none. */
const isRefusal = (error: PlatformError.PlatformError): boolean => !SystemReason.isLoss(error)

/**
 * Forces the names in a directory to the disk. Some systems cannot; there the rename alone has to do.
 *
 * @category operations
 * @since 0.2.0
 */
export const directory = (path: string): Effect.Effect<void, PlatformError.PlatformError, FileSystem.FileSystem> =>
  FileSystem.FileSystem.pipe(
    Effect.flatMap((fs) => Effect.scoped(Effect.flatMap(fs.open(path, { flag: "r" }), (file) => file.sync))),
    Effect.catchIf(isRefusal, () => Effect.void)
  )

/**
 * Forces the content of a file to the disk.
 *
 * @category operations
 * @since 0.2.0
 */
export const file = (path: string): Effect.Effect<void, PlatformError.PlatformError, FileSystem.FileSystem> =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => {
    const sync = (flag: "r" | "r+") => Effect.scoped(Effect.flatMap(fs.open(path, { flag }), (file) => file.sync))
    // one that is write-protected is synced by whoever reads it, where the system allows that
    return Effect.catchIf(sync("r+"), (error) => error.reason._tag === "PermissionDenied", () => sync("r"))
  })

/**
 * Forces all that is in a directory to the disk, and its names.
 *
 * @category operations
 * @since 0.2.0
 */
export const tree: (
  path: string
) => Effect.Effect<void, PlatformError.PlatformError, FileSystem.FileSystem | Path.Path> = Effect.fnUntraced(
  function*(path: string) {
    const fs = yield* FileSystem.FileSystem
    const { join } = yield* Path.Path
    for (const name of yield* fs.readDirectory(path)) {
      const entry = join(path, name)
      const { type } = yield* fs.stat(entry)
      if (type === "Directory") yield* tree(entry)
      else if (type === "File") yield* file(entry)
    }
    yield* directory(path)
  }
)
