/**
 * Files that are there whole or not at all.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path, type PlatformError } from "effect"
import { uniqueName } from "./hash.ts"

/**
 * Runs `write` with a temporary path beside `path` and renames the result to `path`; a failure or interruption leaves
 * nothing behind. Creates the directory. Concurrent writers do not disturb each other: the last rename wins.
 *
 * @category writing
 * @since 0.1.0
 */
export const writeWith = Effect.fnUntraced(function*<E, R>(
  path: string,
  write: (temporary: string) => Effect.Effect<void, E, R>
): Effect.fn.Return<void, E | PlatformError.PlatformError, R | FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  yield* fs.makeDirectory(paths.dirname(path), { recursive: true })
  const temporary = `${path}.${uniqueName()}.tmp`
  yield* write(temporary).pipe(
    Effect.andThen(fs.rename(temporary, path)),
    Effect.onError(() => Effect.ignore(fs.remove(temporary, { force: true })))
  )
})

/**
 * Writes a text file atomically.
 *
 * @category writing
 * @since 0.1.0
 */
export const writeString = Effect.fnUntraced(function*(path: string, content: string) {
  const fs = yield* FileSystem.FileSystem
  yield* writeWith(path, (temporary) => fs.writeFileString(temporary, content))
})
