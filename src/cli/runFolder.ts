/**
 * The directory of a run: its configuration, log, checkpoints and whatever was made for it.
 *
 * @since 0.1.0
 */
import { DateTime, Effect, FileSystem, Path, Result, Schema } from "effect"
import type { CliError } from "effect/cli"
import * as RunConfig from "../domain/RunConfig.ts"
import * as AtomicFile from "../layers/atomicFile.ts"
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
  for (let attempt = 1; attempt < 100; attempt++) {
    const directory = attempt === 1 ? wanted : `${wanted}-${attempt}`
    if (yield* Effect.orElseSucceed(fs.exists(directory), () => false)) continue
    yield* fs.makeDirectory(directory, { recursive: true }).pipe(
      Effect.mapError((error) => userError(`${directory}: the run's directory cannot be made (${error.message})`))
    )
    return yield* at(directory)
  }
  return yield* userError(`${wanted}: too many runs of this name were begun in this second`)
})

const Json = Schema.fromJsonString(Schema.toCodecJson(RunConfig.RunConfig))

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
    Effect.mapError((error) => userError(`${folder.config}: cannot be written (${error.message})`))
  )
})

/**
 * The configuration that a run was made with.
 *
 * @category readers
 * @since 0.1.0
 */
export const readConfig = Effect.fnUntraced(function*(
  folder: RunFolder
): Effect.fn.Return<RunConfig.RunConfig, CliError.UserError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const text = yield* fs.readFileString(folder.config).pipe(
    Effect.mapError(() =>
      userError(`${folder.directory} is no run: there is no config.json in it`, "\"search-r1 runs\" lists the runs.")
    )
  )
  return yield* Schema.decodeEffect(Json)(text).pipe(
    Effect.mapError((error) => userError(`${folder.config}: ${error.message}`))
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
