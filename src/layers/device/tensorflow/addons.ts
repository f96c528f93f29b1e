/**
 * Addons that an installation of TensorFlow compiles from this package's `native/tensorflow`.
 *
 * @since 0.2.0
 */
// The processor's model is not in Effect's modules.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, Path } from "effect"
import { createHash } from "node:crypto"
import { createRequire } from "node:module"
import { cpus } from "node:os"

/**
 * An addon: the name of its source without `.cc`, and the compiler's flags that decide what it can do.
 *
 * @category models
 * @since 0.2.0
 */
export interface AddonSource {
  readonly name: string
  readonly flags: ReadonlyArray<string>
}

/**
 * What an addon is compiled from.
 *
 * @category getters
 * @since 0.2.0
 */
export const sourceFile = Effect.fnUntraced(function*({ name }: AddonSource) {
  const path = yield* Path.Path
  return path.resolve(import.meta.dirname, `../../../../native/tensorflow/${name}.cc`)
})

/**
 * The addon's name in an installation. Other sources, flags or processors have another name, so an addon that does not fit
 * is never loaded.
 *
 * @category getters
 * @since 0.2.0
 */
export const fileName = Effect.fnUntraced(function*(addon: AddonSource) {
  const fs = yield* FileSystem.FileSystem
  const source = yield* fs.readFileString(yield* sourceFile(addon))
  const hash = createHash("sha256")
  for (const part of [source, process.arch, cpus()[0]?.model ?? "", ...addon.flags]) hash.update(`${part}\0`)
  return `${addon.name}-${hash.digest("hex").slice(0, 12)}.node`
})

/**
 * Loads the addon of an installation into this process and gives its exports; undefined where there is none that works.
 *
 * @category constructors
 * @since 0.2.0
 */
export const load = Effect.fnUntraced(function*(addon: AddonSource, directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = path.join(directory, yield* fileName(addon))
  if (!(yield* fs.exists(file))) return undefined
  return yield* Effect.try({ try: (): unknown => createRequire(import.meta.url)(file), catch: String })
}, Effect.orElseSucceed(() => undefined))
