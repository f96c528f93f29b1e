/**
 * Index files in the making, which say who makes them, so that what a killed process left is known and removed.
 *
 * @since 0.1.0
 */
// The name of this machine has no counterpart in Effect.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, Path, type Scope } from "effect"
import { hostname } from "node:os"
import * as AtomicFile from "../../atomicFile.ts"
import { alive } from "../../processIdentity.ts"

const here = hostname().replaceAll(/[^\w-]/g, "_")
const left = /^(.+)(\.([\w-]+)\.(\d+)\.[\da-f-]{36}\.tmp)(?:\.[a-z]+)?$/

/** Removes what builds of the same index left on this machine whose processes are no more. */
const removeLeft = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const { basename, dirname, join } = yield* Path.Path
  const name = basename(path)
  for (const file of yield* fs.readDirectory(dirname(path))) {
    const [, begin, suffix = "", machine, process] = left.exec(file) ?? []
    if (begin !== AtomicFile.prefixFor(name, suffix.length) || machine !== here || alive(Number(process))) continue
    yield* fs.remove(join(dirname(path), file), { force: true })
  }
})

/**
 * Stages an index file (see `AtomicFile.stage`) under a name that tells its maker, and removes what makers left that are no
 * more.
 *
 * @category writing
 * @since 0.1.0
 */
export const stage = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<
  AtomicFile.Staged,
  AtomicFile.FileUnwritable,
  FileSystem.FileSystem | Path.Path | Scope.Scope
> {
  yield* Effect.ignore(removeLeft(path))
  return yield* AtomicFile.stage(path, { maker: `${here}.${process.pid}` })
})
