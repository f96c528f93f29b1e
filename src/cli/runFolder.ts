/**
 * The directory of a run: its configuration, log, checkpoints and whatever was made for it.
 *
 * @since 0.1.0
 */
import { DateTime, Effect, FileSystem, Path, type PlatformError, Result, Schema } from "effect"
import type { CliError } from "effect/cli"
import * as Json from "../domain/Json.ts"
import * as RunConfig from "../domain/RunConfig.ts"
import * as AtomicFile from "../layers/atomicFile.ts"
import * as Directories from "../layers/directories.ts"
import * as SystemReason from "../layers/systemReason.ts"
import * as TextFile from "../layers/textFile.ts"
import * as WriterLock from "../layers/writerLock.ts"
import { isThere } from "./isThere.ts"
import * as PathKind from "./pathKind.ts"
import { userError } from "./userError.ts"

/**
 * Where the parts of a run are.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunFolder {
  readonly directory: string
  readonly config: string
  /** What the run read when it began, by content. */
  readonly inputs: string
  readonly log: string
  readonly checkpoints: string
  /** Corpus and questions of a run in a world of its own. */
  readonly world: string
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const at = Effect.fnUntraced(function*(directory: string): Effect.fn.Return<RunFolder, never, Path.Path> {
  const path = yield* Path.Path
  const root = path.resolve(directory)
  return {
    directory: root,
    config: path.join(root, "config.json"),
    inputs: path.join(root, "inputs.json"),
    log: path.join(root, "log"),
    checkpoints: path.join(root, "checkpoints"),
    world: path.join(root, "world")
  }
})

/**
 * A new directory `<base>/<time>-<name>`, the time in UTC down to the second.
 *
 * @category constructors
 * @since 0.1.0
 */
export const create = Effect.fnUntraced(function*(
  base: string,
  name: string
): Effect.fn.Return<RunFolder, CliError.UserError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const now = yield* DateTime.now
  const time = DateTime.formatIso(now).slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-")
  const wanted = path.join(base, `${time}-${name}`)
  const failed = (error: PlatformError.PlatformError) =>
    userError(`${wanted}: the run's directory cannot be made: ${SystemReason.of(error)}`)
  yield* Effect.mapError(Directories.make(base), failed)
  for (let attempt = 1; attempt < 100; attempt++) {
    const directory = attempt === 1 ? wanted : `${wanted}-${attempt}`
    // made by whoever makes it first
    const made = yield* fs.makeDirectory(directory).pipe(
      Effect.as(true),
      Effect.catchIf((error) => error.reason._tag === "AlreadyExists", () => Effect.succeed(false)),
      Effect.mapError(failed)
    )
    if (made) return yield* at(directory)
  }
  return yield* userError(`${wanted}: too many runs of this name were begun in this second`)
})

/**
 * Claims a run's directory until the end of the scope; fails while another process writes to it.
 *
 * @category operations
 * @since 0.2.0
 */
export const claim = ({ directory }: RunFolder) =>
  Effect.mapError(WriterLock.acquireDirectory(directory), (error) =>
    userError(
      error,
      error._tag === "InUse"
        ? "A run has one writer: wait for it, or end it. \"search-r1 runs show\" looks on meanwhile."
        : undefined
    ))

/**
 * Removes a directory at the end of the scope whose run has not begun by then, for it has no configuration.
 *
 * @category operations
 * @since 0.2.0
 */
export const removeUnbegun = Effect.fnUntraced(function*(folder: RunFolder) {
  const fs = yield* FileSystem.FileSystem
  yield* Effect.addFinalizer(() =>
    Effect.ignore(
      Effect.flatMap(exists(folder), (begun) =>
        begun ? Effect.void : fs.remove(folder.directory, { recursive: true, force: true }))
    )
  )
})

/**
 * A new directory (see {@link create}) that is claimed; one whose run has not begun, for it has no configuration yet, is
 * removed at the end of the scope.
 *
 * @category constructors
 * @since 0.2.0
 */
export const begin = Effect.fnUntraced(function*(base: string, name: string) {
  const folder = yield* Effect.uninterruptible(Effect.tap(create(base, name), removeUnbegun))
  yield* claim(folder)
  return folder
})

const decodeConfig = Json.decode(Schema.toCodecJson(RunConfig.RunConfig))

const encodeJson = Schema.encodeEffect(Schema.toCodecJson(RunConfig.RunConfig))

/**
 * A resolved configuration as indented JSON text.
 *
 * @category conversions
 * @since 0.1.0
 */
export const encodeConfig = (config: RunConfig.RunConfig): Effect.Effect<string> =>
  Effect.map(Effect.orDie(encodeJson(config)), (json) => JSON.stringify(json, null, 2))

/**
 * @category writers
 * @since 0.1.0
 */
export const writeConfig = Effect.fnUntraced(function*(folder: RunFolder, config: RunConfig.RunConfig) {
  const text = yield* encodeConfig(config)
  yield* AtomicFile.writeString(folder.config, `${text}\n`).pipe(
    Effect.mapError((error) => userError(error))
  )
})

/**
 * Whether a run has begun in a directory: it has a configuration.
 *
 * @category predicates
 * @since 0.2.0
 */
export const exists = ({ config }: RunFolder): Effect.Effect<boolean, CliError.UserError, FileSystem.FileSystem> =>
  isThere(config)

/**
 * The configuration that a run was made with. `ways` tells how the caller takes what is none.
 *
 * @category readers
 * @since 0.1.0
 */
export const readConfig = Effect.fnUntraced(function*(
  folder: RunFolder,
  ways: PathKind.Ways = {}
): Effect.fn.Return<RunConfig.RunConfig, CliError.UserError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const told = PathKind.explain(PathKind.given("run", folder.directory), ways)
  const hint = "\"search-r1 runs\" lists the runs."
  if (!(yield* Effect.orElseSucceed(fs.exists(folder.directory), () => true))) {
    return yield* userError(`${folder.directory}: there is no such directory`, hint)
  }
  const text = yield* TextFile.whole(folder.config).pipe(
    Effect.mapError((error) =>
      error._tag === "FileUnreadable"
        ? userError(error)
        : userError(`${folder.directory} is no run: there is no config.json in it`, hint)
    ),
    told
  )
  return yield* Effect.fromResult(decodeConfig(text)).pipe(
    Effect.mapError((reason) => userError(`${folder.config}: ${reason}`)),
    told
  )
})

/**
 * A resolved configuration from what a user wrote, or the problems in it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const resolve = (input: Schema.Json): Effect.Effect<RunConfig.RunConfig, CliError.UserError> =>
  Result.match(RunConfig.resolve(input), {
    onFailure: (error) => Effect.fail(userError(error)),
    onSuccess: Effect.succeed
  })

/** What a run keeps of its own world: the files are in its directory wherever that is. */
const inOwnWorld = Effect.fnUntraced(function*({ world }: RunFolder, file: string | null) {
  if (file === null) return null
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const there = (file: string) => Effect.orElseSucceed(fs.exists(file), () => false)
  if (yield* there(file)) return file
  const own = path.join(world, path.basename(file))
  return path.basename(path.dirname(file)) === path.basename(world) && (yield* there(own)) ? own : file
})

/**
 * The configuration of a run that may have been moved, and has taken its own world with it.
 *
 * @category combinators
 * @since 0.2.0
 */
export const relocate = Effect.fnUntraced(function*(folder: RunFolder, config: RunConfig.RunConfig) {
  const { evaluation, questions, retriever } = config
  const relocated: RunConfig.RunConfig = {
    ...config,
    questions: {
      ...questions,
      train: yield* inOwnWorld(folder, questions.train),
      evaluate: yield* inOwnWorld(folder, questions.evaluate)
    },
    retriever: { ...retriever, corpus: yield* inOwnWorld(folder, retriever.corpus) },
    evaluation: { ...evaluation, corpus: yield* inOwnWorld(folder, evaluation.corpus) }
  }
  return relocated
})
