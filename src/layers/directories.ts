/**
 * Makes directories.
 *
 * @since 0.2.0
 */
import { Effect, FileSystem, Path, PlatformError } from "effect"

/** The error of a directory that cannot be made though the one that it lies in is there. */
const impossible = (path: string, description: string): PlatformError.PlatformError =>
  PlatformError.systemError({
    _tag: "Unknown",
    module: "FileSystem",
    method: "makeDirectory",
    description,
    pathOrDescriptor: path,
    cause: Object.assign(new Error(description), { code: "ENOTSUP" })
  })

/**
 * Makes a directory and those above it that are not there yet. Node's own recursion never ends where the system says of a
 * directory that is there that it is not, as in `/proc`: here that is an error.
 *
 * @category operations
 * @since 0.2.0
 */
export const make: (
  path: string
) => Effect.Effect<void, PlatformError.PlatformError, FileSystem.FileSystem | Path.Path> = Effect.fnUntraced(
  function*(path: string) {
    const fs = yield* FileSystem.FileSystem
    const { dirname } = yield* Path.Path
    const isDirectory = fs.stat(path).pipe(
      Effect.map(({ type }) => type === "Directory"),
      Effect.orElseSucceed(() => false)
    )
    /** Whether it is there now; false where the one above it is missing. */
    const made = fs.makeDirectory(path).pipe(
      Effect.as(true),
      Effect.catchIf(
        ({ reason }) => reason._tag === "NotFound",
        () => Effect.succeed(false)
      ),
      // somebody else made it, or it cannot be made because it is the root
      Effect.catch((error) => Effect.flatMap(isDirectory, (there) => there ? Effect.succeed(true) : Effect.fail(error)))
    )
    if (yield* made) return
    const above = dirname(path)
    if (above !== path) {
      yield* make(above)
      if (yield* made) return
    }
    return yield* impossible(path, "no directory can be made there")
  }
)
