/**
 * Directories that are replaced as a whole.
 *
 * No system exchanges two directories in one step: for a moment neither the old nor the new one is in its place. Whoever
 * dies then leaves the old one under a name by which the next writer puts it back, and readers can tell where it is.
 *
 * @since 0.2.0
 */
import { Effect, FileSystem, Path, type PlatformError } from "effect"
import * as Syncing from "./syncing.ts"

type Requirements = FileSystem.FileSystem | Path.Path

/**
 * Where the directory that is replaced lies meanwhile.
 *
 * @category getters
 * @since 0.2.0
 */
export const asideOf = (path: string): Effect.Effect<string, never, Path.Path> =>
  Effect.map(Path.Path, ({ basename, dirname, join }) => join(dirname(path), `.${basename(path)}.replaced`))

/**
 * Puts a directory back that was to be replaced when its writer died, and removes one that was.
 *
 * @category operations
 * @since 0.2.0
 */
export const recover = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<void, PlatformError.PlatformError, Requirements> {
  const fs = yield* FileSystem.FileSystem
  const aside = yield* asideOf(path)
  if (!(yield* fs.exists(aside))) return
  if (yield* fs.exists(path)) yield* fs.remove(aside, { recursive: true, force: true })
  else yield* fs.rename(aside, path)
})

/**
 * Puts a finished directory in its place for good, in that of an earlier one if there is one, which comes back should that
 * fail. Calls for {@link recover} before.
 *
 * @category operations
 * @since 0.2.0
 */
export const put = Effect.fnUntraced(function*(
  finished: string,
  path: string
): Effect.fn.Return<void, PlatformError.PlatformError, Requirements> {
  const fs = yield* FileSystem.FileSystem
  const { dirname } = yield* Path.Path
  yield* Syncing.tree(finished)
  const aside = yield* asideOf(path)
  const replaces = yield* fs.exists(path)
  if (replaces) yield* fs.rename(path, aside)
  yield* fs.rename(finished, path).pipe(
    Effect.tapError(() => replaces ? Effect.ignore(fs.rename(aside, path)) : Effect.void)
  )
  yield* Syncing.directory(dirname(path)).pipe(
    // one that stays is removed by the next writer
    Effect.ensuring(replaces ? Effect.ignore(fs.remove(aside, { recursive: true, force: true })) : Effect.void)
  )
}, Effect.uninterruptible)
