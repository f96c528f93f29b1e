/**
 * Keeps two processes from building the same index.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path, type Scope } from "effect"
import { IndexIo } from "./errors.ts"

/**
 * The file that names the process which builds in a directory.
 *
 * @category constants
 * @since 0.1.0
 */
export const fileName = "building.pid"

/**
 * Whether a process of this machine runs.
 *
 * @category guards
 * @since 0.1.0
 */
export const alive = (pid: number): boolean => {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // another user's process
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/**
 * Gives the directory free.
 *
 * @category operations
 * @since 0.1.0
 */
export const release = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  yield* Effect.ignore(fs.remove(join(directory, fileName), { force: true }))
})

/**
 * Claims a directory for this process until the end of the scope; fails while another process that runs has it.
 *
 * @category operations
 * @since 0.1.0
 */
export const acquire = Effect.fnUntraced(function*(
  directory: string
): Effect.fn.Return<void, IndexIo, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const file = join(directory, fileName)
  const claim = fs.writeFileString(file, String(process.pid), { flag: "wx" })
  yield* claim.pipe(
    Effect.catch(() =>
      Effect.gen(function*() {
        const holder = Number(yield* Effect.orElseSucceed(fs.readFileString(file), () => "0"))
        if (alive(holder)) {
          return yield* new IndexIo({ path: directory, reason: `process ${holder} is building this index` })
        }
        yield* Effect.ignore(fs.remove(file, { force: true }))
        yield* Effect.mapError(claim, (error) => new IndexIo({ path: directory, reason: error.message }))
      })
    )
  )
  yield* Effect.addFinalizer(() => release(directory))
})
