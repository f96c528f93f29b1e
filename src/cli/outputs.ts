/**
 * What commands write: never a file that they read.
 *
 * @since 0.2.0
 */
import { Brand, Effect, FileSystem, Option, Path } from "effect"
import type { CliError } from "effect/cli"
import type { EmbedderSpec } from "../domain/EmbedderSpec.ts"
import { isOpenAlready } from "../layers/atomicFile.ts"
import { isModelFile } from "../layers/model/HuggingFaceWriter.ts"
import { locate } from "../layers/model/location.ts"
import type { RunFolder } from "./runFolder.ts"
import { userError } from "./userError.ts"

/**
 * A path that {@link claim} has found to be none that the command reads.
 *
 * @category models
 * @since 0.2.0
 */
export type Claimed = string & Brand.Brand<"effect-search-r1/cli/Claimed">

const Claimed = Brand.nominal<Claimed>()

/**
 * Something that a command reads: a file, `-` for standard input, or a directory. Of a directory, `holds` tells by their
 * names within it which files are read; unless given none is, though nothing may replace the directory itself.
 *
 * @category models
 * @since 0.2.0
 */
export interface Read {
  readonly path: string
  readonly holds?: ((name: string) => boolean) | undefined
}

/**
 * Something that a command writes. `flag` is what the user knows it by. A `directory` is one whose content is replaced:
 * it must not lie around what is read either.
 *
 * @category models
 * @since 0.2.0
 */
export interface Write {
  readonly flag: string
  readonly path: string
  readonly kind: "file" | "directory"
}

/** Everything in a directory. */
const all = (): boolean => true

/**
 * Files by their paths, as flags give them.
 *
 * @category constructors
 * @since 0.2.0
 */
export const files = (
  ...paths: ReadonlyArray<string | Option.Option<string> | ReadonlyArray<string> | null | undefined>
): ReadonlyArray<Read> =>
  paths.flatMap((path): ReadonlyArray<Read> =>
    path === null || path === undefined
      ? []
      : typeof path === "string"
      ? [{ path }]
      : Option.isOption(path)
      ? Option.toArray(Option.map(path, (path) => ({ path })))
      : path.map((path) => ({ path }))
  )

/**
 * A directory of which everything is read, such as an index; it may be a file as well.
 *
 * @category constructors
 * @since 0.2.0
 */
export const tree = (path: string): Read => ({ path, holds: all })

/**
 * A model: a folder or a file.
 *
 * @category constructors
 * @since 0.2.0
 */
export const model = (path: string): Effect.Effect<Read, never, Path.Path> =>
  Effect.map(locate(path), (path) => ({ path, holds: isModelFile }))

/**
 * The model of an embedder, where it is one of this machine's.
 *
 * @category constructors
 * @since 0.2.0
 */
export const embedder = (spec: Option.Option<EmbedderSpec>): ReadonlyArray<Read> =>
  Option.toArray(spec).flatMap((spec) => spec._tag === "transformers" ? [tree(spec.model)] : [])

/**
 * A run, with all that is known about it.
 *
 * @category constructors
 * @since 0.2.0
 */
export const run = (folder: RunFolder): ReadonlyArray<Read> => [
  ...files(folder.config),
  tree(folder.log),
  tree(folder.checkpoints),
  tree(folder.world)
]

/** What a path names, however it is spelled: the file itself where there is one, and its place by its directory. */
interface Identity {
  readonly file: string | undefined
  readonly place: string
}

const identify = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const file = yield* fs.stat(path).pipe(
    Effect.map(({ dev, ino }) => Option.getOrUndefined(Option.map(ino, (ino) => `${dev}:${ino}`))),
    Effect.orElseSucceed(() => undefined)
  )
  // links above what is not there yet are followed all the same
  const absolute = paths.resolve(path)
  let above = absolute
  while (above !== paths.dirname(above)) {
    const real = yield* Effect.option(fs.realPath(above))
    if (Option.isSome(real)) {
      const identity: Identity = { file, place: paths.join(real.value, paths.relative(above, absolute)) }
      return identity
    }
    above = paths.dirname(above)
  }
  const identity: Identity = { file, place: absolute }
  return identity
})

const same = (a: Identity, b: Identity): boolean => a.place === b.place || (a.file !== undefined && a.file === b.file)

/** The identities of the directories that a path lies in, from the nearest. */
const around = Effect.fnUntraced(function*(identity: Identity) {
  const paths = yield* Path.Path
  const directories: Array<Identity> = []
  let directory = paths.dirname(identity.place)
  while (directory !== directories.at(-1)?.place) {
    directories.push(yield* identify(directory))
    directory = paths.dirname(directory)
  }
  return directories
})

const standardInput = "/dev/stdin"
const standardOutput = "/dev/stdout"

/** Whether standard input or output is a file: a terminal or a pipe is nobody's. */
const isFile = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* fs.stat(path).pipe(Effect.map(({ type }) => type === "File"), Effect.orElseSucceed(() => false))
})

/** Whether something is neither a file nor a directory: a terminal, a pipe or /dev/null keeps nothing that could be lost. */
const isNobodys = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* fs.stat(path).pipe(
    Effect.map(({ type }) => type !== "File" && type !== "Directory"),
    Effect.orElseSucceed(() => false)
  )
})

const hint = "Nothing was read or written. Name another place."

const spoken = ({ flag, path }: Write): string => path === standardOutput ? flag : `${flag} ${path}`

const conflict = Effect.fnUntraced(function*(write: Write, written: Identity, { holds, path }: Read) {
  const paths = yield* Path.Path
  const name = path === standardInput ? "standard input" : path
  const read = yield* identify(path)
  const would = (what: string) => `${spoken(write)} would ${what} ${name}, which this command reads`
  if (same(written, read)) return would("overwrite")
  if (write.kind === "directory" && (yield* around(read)).some((directory) => same(directory, written))) {
    return would("replace the directory around")
  }
  if (holds === undefined || written.file === undefined) return undefined
  const inside = (yield* around(written)).find((directory) => same(directory, read))
  return inside !== undefined && holds(paths.relative(inside.place, written.place))
    ? would("overwrite a part of")
    : undefined
})

/**
 * Fails where a command would write what it reads, through whatever link or spelling, or one file twice: by device and
 * inode, before anything is opened. Standard input and output count where they are files. The result are the paths of
 * `writes`, in order.
 *
 * @category guards
 * @since 0.2.0
 */
export const claim = Effect.fnUntraced(function*(
  writes: ReadonlyArray<Write>,
  reads: ReadonlyArray<Read>
): Effect.fn.Return<ReadonlyArray<Claimed>, CliError.UserError, FileSystem.FileSystem | Path.Path> {
  const read: Array<Read> = []
  for (const one of reads) {
    if (one.path !== "-") read.push(one)
    else if (yield* isFile(standardInput)) read.push({ path: standardInput })
  }
  const written: Array<Write> = [...writes]
  if (yield* isFile(standardOutput)) {
    written.push({ flag: "standard output", path: standardOutput, kind: "file" })
  }
  const identities: Array<Identity> = []
  for (const [index, write] of written.entries()) {
    if (write.path === "-") {
      return yield* userError(`${write.flag} -: name a file`, "Standard output is /dev/stdout.")
    }
    const identity = yield* identify(write.path)
    identities.push(identity)
    if (yield* isNobodys(write.path)) continue
    for (const one of read) {
      const problem = yield* conflict(write, identity, one)
      if (problem !== undefined) return yield* userError(problem, hint)
    }
    const twice = written.find((other, before) =>
      before < index && !isOpenAlready(other.path) && same(identities[before] ?? identity, identity)
    )
    if (twice !== undefined) return yield* userError(`${spoken(twice)} and ${spoken(write)} are one file`, hint)
  }
  return writes.map(({ path }) => Claimed(path))
})

/**
 * {@link claim} of one path.
 *
 * @category guards
 * @since 0.2.0
 */
export const claimOne = (write: Write, reads: ReadonlyArray<Read>) =>
  Effect.map(claim([write], reads), ([claimed = Claimed(write.path)]) => claimed)

/**
 * {@link claim} of the file that `--out` names, where it names one.
 *
 * @category guards
 * @since 0.2.0
 */
export const claimOut = (out: Option.Option<string>, reads: ReadonlyArray<Read>) =>
  Option.match(out, {
    onNone: () => Effect.as(claim([], reads), undefined),
    onSome: (path) => claimOne({ flag: "--out", path, kind: "file" }, reads)
  })

/**
 * {@link claim} of a directory whose content is replaced.
 *
 * @category guards
 * @since 0.2.0
 */
export const claimDirectory = (path: string, reads: ReadonlyArray<Read>) =>
  claimOne({ flag: "the directory", path, kind: "directory" }, reads)
