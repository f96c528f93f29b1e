/**
 * Keeps a new index from replacing anything but an index.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Option } from "effect"
import * as SystemReason from "../../systemReason.ts"
import { IndexIo, ioOf } from "./errors.ts"
import { magic } from "./format.ts"

const refusal = (path: string, what: string) =>
  new IndexIo({
    path,
    reason: `there is ${what} already, which no index would replace. Remove it, or name another path`
  })

/** What is there. Where the system does not say, that is an error: it may be something else than an index. */
const statOf = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.asSome(fs.stat(path)).pipe(
    Effect.catchIf(SystemReason.isAbsence, () => Effect.succeed(Option.none<FileSystem.File.Info>())),
    ioOf(path)
  )
})

/**
 * Fails where an index file cannot be written without loss: where something else than one lies.
 *
 * @category guards
 * @since 0.1.0
 */
export const file = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<void, IndexIo, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const found = yield* statOf(path)
  if (found._tag === "None") return
  if (found.value.type === "Directory") return yield* refusal(path, "a directory")
  const begin = yield* Effect.scoped(Effect.flatMap(fs.open(path), (file) => file.readAlloc(magic.length))).pipe(
    ioOf(path)
  )
  if (begin._tag === "Some" && !magic.every((byte, at) => begin.value[at] === byte)) {
    return yield* refusal(path, "another file")
  }
})

/**
 * Fails where the directory of an index cannot be written without loss: where something lies that is neither empty nor
 * holds `mark`, the file by which such a directory is known.
 *
 * @category guards
 * @since 0.1.0
 */
export const directory = Effect.fnUntraced(function*(
  path: string,
  mark: string
): Effect.fn.Return<void, IndexIo, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const found = yield* statOf(path)
  if (found._tag === "None") return
  if (found.value.type !== "Directory") return yield* refusal(path, "another file")
  const names = yield* ioOf(path)(fs.readDirectory(path))
  if (names.length > 0 && !names.some((name) => name === mark || name.startsWith(`${mark}.`))) {
    return yield* refusal(path, "a directory of other files")
  }
})
