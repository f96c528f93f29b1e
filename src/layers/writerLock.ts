/**
 * One writer at a time: a lock file that names the process which writes.
 *
 * The operating systems' own locks are out of Node's reach, and a sign of life by the clock would declare a process dead that
 * computes for minutes: a lock is stale when its process is no more, which its number, its start and the machine's tell.
 *
 * @since 0.2.0
 */
// Effect removes a directory with all that is in it only.
// @effect-diagnostics nodeBuiltinImport:off
import { DateTime, Effect, FileSystem, Option, Path, type PlatformError, Schema, type Scope } from "effect"
import { rmdir } from "node:fs/promises"
import * as Directories from "./directories.ts"
import { uniqueName } from "./hash.ts"
import * as Leftovers from "./leftovers.ts"
import * as ProcessIdentity from "./processIdentity.ts"
import * as SystemReason from "./systemReason.ts"

/**
 * Somebody else writes there.
 *
 * @category errors
 * @since 0.2.0
 */
export class InUse extends Schema.TaggedError<InUse>()("InUse", {
  path: Schema.String,
  pid: Schema.Int,
  host: Schema.String,
  /** ISO 8601. */
  since: Schema.String,
  /** The lock's file. */
  file: Schema.String,
  /** Whether the process is one of this machine, so that it is known to run. */
  here: Schema.Boolean
}) {
  override get message() {
    const who = `${this.path} is in use by process ${this.pid} on ${this.host} (since ${this.since})`
    return this.here ? who : `${who}. If that process is gone, remove ${this.file}`
  }
}

/**
 * The lock cannot be written.
 *
 * @category errors
 * @since 0.2.0
 */
export class LockUnavailable extends Schema.TaggedError<LockUnavailable>()("LockUnavailable", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}: ${this.reason}`
  }
}

/**
 * The lock file of what is kept in a directory: a run, a model in the making.
 *
 * @category constants
 * @since 0.2.0
 */
export const fileName = "writer.lock"

const Holder = Schema.Struct({
  ...ProcessIdentity.ProcessIdentity.fields,
  since: Schema.String,
  /** Another one for each lock. */
  token: Schema.String
})

type Holder = typeof Holder.Type

const Text = Schema.fromJsonString(Holder)

type Requirements = FileSystem.FileSystem | Path.Path

const isTaken = ({ reason }: PlatformError.PlatformError): boolean => reason._tag === "AlreadyExists"

/** Who holds a lock: nobody, or what its text says; a text that says nothing is being written, or was cut off. */
const holderOf = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.option(fs.readFileString(file))
  return Option.flatMap(text, (text) => Option.some(Schema.decodeOption(Text)(text)))
})

/**
 * Whether a process that may run holds the lock of a directory, see {@link acquireDirectory}. One that cannot be read is
 * nobody's.
 *
 * @category getters
 * @since 0.2.0
 */
export const isHeld = Effect.fnUntraced(function*(directory: string) {
  const { join } = yield* Path.Path
  const found = Option.flatten(yield* holderOf(join(directory, fileName)))
  return Option.isSome(found) && (yield* ProcessIdentity.mayRun(found.value))
})

/** Makes the lock where there is none: it appears with its whole text. */
const place = Effect.fnUntraced(function*(file: string, text: string) {
  const fs = yield* FileSystem.FileSystem
  const { basename, dirname, join } = yield* Path.Path
  yield* Effect.ignore(Leftovers.remove(file))
  const own = join(dirname(file), Leftovers.nameFor(basename(file)))
  const linked = Effect.andThen(fs.writeFileString(own, text), fs.link(own, file))
  return yield* linked.pipe(
    // some file systems know no second name for a file
    Effect.catchIf(
      (error) => !isTaken(error),
      () =>
        fs.writeFileString(file, text, { flag: "wx" }).pipe(
          // a part of the text would be a lock that nobody holds
          Effect.tapError((error) => isTaken(error) ? Effect.void : Effect.ignore(fs.remove(file, { force: true })))
        )
    ),
    Effect.as(true),
    Effect.catchIf(isTaken, () => Effect.succeed(false)),
    Effect.ensuring(Effect.ignore(fs.remove(own, { force: true })))
  )
})

/** How often an unreadable lock is looked at again before it counts as cut off, and how long lies between. */
const looks = 5
const between = "100 millis"

/** The holder who may still run, or the stale lock's, or nobody. */
const inspect = Effect.fnUntraced(function*(file: string) {
  for (let look = 1;; look++) {
    const found = yield* holderOf(file)
    if (Option.isNone(found)) return { _tag: "Free" as const }
    if (Option.isSome(found.value)) {
      const holder = found.value.value
      return (yield* ProcessIdentity.mayRun(holder))
        ? { _tag: "Held" as const, holder }
        : { _tag: "Stale" as const }
    }
    if (look === looks) return { _tag: "Stale" as const }
    yield* Effect.sleep(between)
  }
})

const take = (
  file: string,
  path: string,
  holder: Holder,
  text: string
): Effect.Effect<void, InUse | PlatformError.PlatformError, Requirements> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    while (!(yield* place(file, text))) {
      const found = yield* inspect(file)
      if (found._tag === "Free") continue
      if (found._tag === "Held") {
        const { host, pid, since } = found.holder
        return yield* new InUse({ path, pid, host, since, file, here: host === holder.host })
      }
      yield* Effect.scoped(Effect.gen(function*() {
        // of several that find a stale lock one at a time removes it, and looks once more before it does
        yield* Effect.acquireRelease(take(`${file}.stale`, path, holder, text), () => release(`${file}.stale`, holder))
        if ((yield* inspect(file))._tag === "Stale") yield* fs.remove(file, { force: true })
      }))
    }
  })

/**
 * Only one's own: somebody may have removed it by hand, and somebody else have taken it. One that cannot be read just now
 * is more likely one's own than nobody's.
 */
const release = Effect.fnUntraced(function*(file: string, { token }: Holder) {
  const fs = yield* FileSystem.FileSystem
  const own = yield* fs.readFileString(file).pipe(
    Effect.map((text) => Option.exists(Schema.decodeOption(Text)(text), (holder) => holder.token === token)),
    Effect.catch(({ reason }) => Effect.succeed(reason._tag !== "NotFound"))
  )
  if (own) yield* Effect.ignore(fs.remove(file, { force: true }))
})

/** Directories that are not there yet are made, and removed at the end where nothing has come into them. */
const directory = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const { dirname } = yield* Path.Path
  const missing: Array<string> = []
  for (let at = path; !(yield* fs.exists(at)) && dirname(at) !== at; at = dirname(at)) missing.push(at)
  yield* Effect.acquireRelease(
    Directories.make(path),
    () => Effect.ignore(Effect.forEach(missing, (made) => Effect.tryPromise(() => rmdir(made)), { discard: true }))
  )
})

/**
 * Claims the right to write to `path` until the end of the scope, by the lock file `file`; fails while another process, or
 * another part of this one, has it. Lock files that processes have left which are no more are taken over.
 *
 * @category operations
 * @since 0.2.0
 */
export const acquire = Effect.fn("WriterLock.acquire")(function*(
  file: string,
  path: string
): Effect.fn.Return<void, InUse | LockUnavailable, Requirements | Scope.Scope> {
  const { dirname } = yield* Path.Path
  const unavailable = (error: PlatformError.PlatformError) =>
    new LockUnavailable({ path: file, reason: `the lock cannot be written: ${SystemReason.of(error)}` })
  yield* Effect.mapError(directory(dirname(file)), unavailable)
  const holder: Holder = {
    ...yield* ProcessIdentity.own,
    since: DateTime.formatIso(yield* DateTime.now),
    token: uniqueName()
  }
  const text = yield* Effect.orDie(Schema.encodeEffect(Text)(holder))
  yield* Effect.acquireRelease(take(file, path, holder, `${text}\n`), () => release(file, holder)).pipe(
    Effect.catchTag("PlatformError", (error) => unavailable(error))
  )
})

/**
 * Claims a directory, see {@link acquire}. One that is not there yet is made, and removed at the end where nothing has come
 * into it.
 *
 * @category operations
 * @since 0.2.0
 */
export const acquireDirectory = Effect.fnUntraced(function*(path: string) {
  const { join } = yield* Path.Path
  yield* acquire(join(path, fileName), path)
})

/**
 * Claims a file, or a directory that is replaced as a whole, by a lock file of its name with `.lock`, see {@link acquire}.
 *
 * @category operations
 * @since 0.2.0
 */
export const acquireBeside = (path: string) => acquire(`${path}.lock`, path)
