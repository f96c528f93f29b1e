/**
 * What is written down about a built addon, in the user's cache.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path, Schema } from "effect"
import * as AtomicFile from "../../atomicFile.ts"
import * as UserCache from "../../userCache.ts"

/**
 * A built addon: which PyTorch it is built against, and by what one sees that this PyTorch has changed (the size of
 * its main library).
 *
 * @category models
 * @since 0.1.0
 */
export class TorchInstallation
  extends Schema.Class<TorchInstallation>("effect-search-r1/layers/device/torch/TorchInstallation")({
    addon: Schema.String,
    torch: Schema.String,
    cuda: Schema.NullOr(Schema.String),
    library: Schema.String,
    fingerprint: Schema.String
  })
{}

/**
 * Where addons are built.
 *
 * @category getters
 * @since 0.1.0
 */
export const installDirectory = Effect.gen(function*() {
  const path = yield* Path.Path
  return path.join(yield* UserCache.directory, "torch")
})

const Record = Schema.fromJsonString(TorchInstallation)

const recordFile = Effect.gen(function*() {
  const path = yield* Path.Path
  return path.join(yield* installDirectory, "installation.json")
})

/**
 * The installation that devices use, where there is one.
 *
 * @category getters
 * @since 0.1.0
 */
export const readInstallation = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.option(fs.readFileString(yield* recordFile))
  if (text._tag === "None") return undefined
  const decoded = yield* Effect.option(Schema.decodeEffect(Record)(text.value))
  return decoded._tag === "None" ? undefined : decoded.value
})

/**
 * Makes an installation the one that devices use.
 *
 * @category operations
 * @since 0.1.0
 */
export const writeInstallation = Effect.fnUntraced(function*(installation: TorchInstallation) {
  const text = yield* Effect.orDie(Schema.encodeEffect(Record)(installation))
  yield* AtomicFile.writeString(yield* recordFile, `${text}\n`)
})
