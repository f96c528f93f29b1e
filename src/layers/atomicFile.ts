/**
 * Files that are there whole or not at all.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Option, Path, type PlatformError, Schema, type Scope } from "effect"
import * as Directories from "./directories.ts"
import * as Leftovers from "./leftovers.ts"
import * as SettledFiles from "./settledFiles.ts"
import * as Syncing from "./syncing.ts"
import * as SystemReason from "./systemReason.ts"

/**
 * A file could not be written; what was there is there still.
 *
 * @category errors
 * @since 0.2.0
 */
export class FileUnwritable extends Schema.TaggedError<FileUnwritable>()("FileUnwritable", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}: cannot be written: ${this.reason}`
  }
}

/**
 * The error of writing `path`, in words.
 *
 * @category conversions
 * @since 0.2.0
 */
export const unwritable = (path: string) => (error: PlatformError.PlatformError): FileUnwritable =>
  new FileUnwritable({ path, reason: SystemReason.of(error) })

/**
 * A file in the making: what is written to `temporary` becomes the file at `commit`. `naming` makes failures of what
 * writes there failures of the file itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface Staged {
  readonly temporary: string
  /** How to open it: what was open already, such as standard output, may hold something. */
  readonly flag: "w" | "a"
  readonly naming: <A, R>(
    writing: Effect.Effect<A, PlatformError.PlatformError, R>
  ) => Effect.Effect<A, FileUnwritable, R>
  readonly commit: Effect.Effect<void, FileUnwritable>
}

/**
 * @category models
 * @since 0.2.0
 */
export interface StageOptions {
  /**
   * Whether the content reaches the disk before the file takes its place, and its name behind that, so that it outlives a
   * loss of power. Default true; caches need it not.
   */
  readonly durable?: boolean | undefined
}

/** Symbolic links that are followed at most, as Linux has it. */
const mostLinks = 40

/** Where a file really lies: a link stays one, and what it names is replaced, even where that is not there yet. */
const target = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  let current = path
  for (let followed = 0; followed < mostLinks; followed++) {
    const link = yield* Effect.option(fs.readLink(current))
    if (Option.isNone(link)) return current
    current = paths.resolve(paths.dirname(current), link.value)
  }
  return current
})

/** What lies at a path, if anything. */
const found = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* fs.stat(path).pipe(
    Effect.map(Option.some),
    Effect.catchIf(
      (error) => error.reason._tag === "NotFound",
      () => Effect.succeed(Option.none<FileSystem.File.Info>())
    )
  )
})

/**
 * Whether a path is a name under which the system hands out what is open already: terminals, pipes, standard output.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isOpenAlready = (path: string): boolean => /^\/(dev|proc)\//.test(path)

/**
 * Opens a temporary file beside `path`, whose directory is created; the end of the scope removes what was not committed.
 * Concurrent writers do not disturb each other: the last commit wins. A file that is replaced keeps its permissions, a
 * symbolic link goes on naming the file. What is no file, such as a pipe, is written as it is.
 *
 * @category writing
 * @since 0.1.0
 */
export const stage = Effect.fnUntraced(function*(
  path: string,
  options?: StageOptions
): Effect.fn.Return<Staged, FileUnwritable, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const naming = <A, R>(writing: Effect.Effect<A, PlatformError.PlatformError, R>) =>
    Effect.mapError(writing, unwritable(path))
  if (path === "") return yield* new FileUnwritable({ path: "\"\"", reason: "a file needs a name" })
  const before = yield* naming(found(path))
  const type = Option.map(before, (info) => info.type)
  if (Option.contains(type, "Directory") || /[/\\]$/.test(path)) {
    return yield* new FileUnwritable({ path, reason: "this is a directory, a file is needed" })
  }
  if (Option.isNone(before) && paths.resolve(path).startsWith("/proc/")) {
    return yield* new FileUnwritable({ path, reason: "no file can be made there" })
  }
  if (Option.exists(type, (type) => type !== "File") || isOpenAlready(paths.resolve(path))) {
    return { temporary: path, flag: "a", naming, commit: Effect.void }
  }
  // a file that is write-protected stays, though its directory would let another take its place
  if (Option.isSome(before)) yield* naming(fs.access(path, { writable: true }))
  const real = yield* target(path)
  const directory = paths.dirname(real)
  yield* naming(Directories.make(directory))
  yield* Effect.ignore(Leftovers.remove(real))
  const temporary = paths.join(directory, Leftovers.nameFor(paths.basename(real)))
  yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(temporary, { force: true })))
  const mode = Option.match(before, { onNone: () => undefined, onSome: (info) => info.mode & 0o777 | 0o600 })
  // what cannot be written is known before any work
  yield* naming(Effect.scoped(fs.open(temporary, { flag: "wx", mode })))

  const commit = Effect.gen(function*() {
    if (options?.durable !== false) {
      yield* Syncing.file(temporary)
    }
    if (Option.isSome(before)) yield* Effect.ignore(fs.chmod(temporary, before.value.mode & 0o7777))
    yield* fs.rename(temporary, real).pipe(
      // a file that a container was given by itself cannot be renamed over
      Effect.catchIf((error) => error.reason._tag === "Busy", () => fs.copyFile(temporary, real))
    )
    if (options?.durable !== false) yield* Syncing.directory(directory)
  }).pipe(Effect.provideService(FileSystem.FileSystem, fs))
  return { temporary, flag: "w", naming, commit: naming(commit) }
}, SettledFiles.settled)

/**
 * Fails where a file could not be written: to be asked before long work whose result goes there.
 *
 * @category guards
 * @since 0.2.0
 */
export const check = (path: string): Effect.Effect<void, FileUnwritable, FileSystem.FileSystem | Path.Path> =>
  Effect.scoped(Effect.asVoid(stage(path)))

/**
 * Writes a text file atomically.
 *
 * @category writing
 * @since 0.1.0
 */
export const writeString = Effect.fnUntraced(
  function*(path: string, content: string, options?: StageOptions) {
    const fs = yield* FileSystem.FileSystem
    const { commit, flag, naming, temporary } = yield* stage(path, options)
    yield* naming(fs.writeFileString(temporary, content, { flag }))
    yield* commit
  },
  Effect.scoped,
  SettledFiles.settled
)
