/**
 * Index files in the making, which say who makes them, so that what a killed process left is known and removed.
 *
 * @since 0.1.0
 */
// The name of this machine has no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, Path, type PlatformError, type Scope } from "effect"
import { hostname } from "node:os"
import type { Staged } from "../../atomicFile.ts"
import { uniqueName } from "../../hash.ts"
import { alive } from "./lock.ts"

const here = hostname().replaceAll(/[^\w-]/g, "_")
const maker = /^\.([\w-]+)\.(\d+)\.[\da-f-]{36}\.tmp(?:\.[a-z]+)?$/

/** Removes what builds of the same index left on this machine whose processes are no more. */
const removeLeft = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const { basename, dirname, join } = yield* Path.Path
  const name = basename(path)
  for (const file of yield* fs.readDirectory(dirname(path))) {
    const [, machine, process] = file.startsWith(name) ? maker.exec(file.slice(name.length)) ?? [] : []
    if (machine === here && !alive(Number(process))) yield* fs.remove(join(dirname(path), file), { force: true })
  }
})

/**
 * Names a temporary file beside `path`, whose directory is created; the end of the scope removes what was not committed.
 * Concurrent writers do not disturb each other: the last commit wins.
 *
 * @category writing
 * @since 0.1.0
 */
export const stage = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<Staged, PlatformError.PlatformError, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const { dirname } = yield* Path.Path
  yield* fs.makeDirectory(dirname(path), { recursive: true })
  yield* Effect.ignore(removeLeft(path))
  const temporary = `${path}.${here}.${process.pid}.${uniqueName()}.tmp`
  yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(temporary, { force: true })))
  return { temporary, commit: fs.rename(temporary, path) }
})
