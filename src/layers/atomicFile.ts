/**
 * Files that are there whole or not at all.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path, type PlatformError, type Scope } from "effect"
import { uniqueName } from "./hash.ts"

/**
 * A file in the making: what is written to `temporary` becomes the file at `commit`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Staged {
  readonly temporary: string
  readonly commit: Effect.Effect<void, PlatformError.PlatformError>
}

/**
 * Names a temporary file beside `path`, whose directory is created; the end of the scope removes what was not committed.
 * Concurrent writers do not disturb each other: the last commit wins. `maker` becomes part of the temporary name.
 *
 * @category writing
 * @since 0.1.0
 */
export const stage = Effect.fnUntraced(function*(
  path: string,
  maker?: string
): Effect.fn.Return<Staged, PlatformError.PlatformError, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  yield* fs.makeDirectory(paths.dirname(path), { recursive: true })
  const temporary = [path, ...(maker === undefined ? [] : [maker]), uniqueName(), "tmp"].join(".")
  yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(temporary, { force: true })))
  return { temporary, commit: fs.rename(temporary, path) }
})

/**
 * Writes a text file atomically.
 *
 * @category writing
 * @since 0.1.0
 */
export const writeString = Effect.fnUntraced(function*(path: string, content: string) {
  const fs = yield* FileSystem.FileSystem
  const { commit, temporary } = yield* stage(path)
  yield* fs.writeFileString(temporary, content)
  yield* commit
}, Effect.scoped)
