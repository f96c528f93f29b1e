/**
 * Operations of our own for TensorFlow: an addon built from `native/tensorflow` that registers them when it is loaded.
 *
 * @since 0.1.0
 */
// The processor's model is not in Effect's modules.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FileSystem, Path } from "effect"
import { createHash } from "node:crypto"
import { createRequire } from "node:module"
import { cpus } from "node:os"

/**
 * What the addon is compiled from.
 *
 * @category getters
 * @since 0.1.0
 */
export const sourceFile = Effect.gen(function*() {
  const path = yield* Path.Path
  return path.resolve(import.meta.dirname, "../../../../native/tensorflow/operations.cc")
})

/**
 * Flags of the compiler that decide what the addon can do.
 *
 * @category constants
 * @since 0.1.0
 */
export const flags: ReadonlyArray<string> = [
  "-O3",
  "-march=native",
  "-fopenmp-simd",
  "-fno-math-errno",
  "-fno-trapping-math",
  "-std=c++17",
  "-shared",
  "-fPIC",
  "-w",
  "-DNDEBUG",
  "-DNAPI_VERSION=8",
  // The library is built with vectors of its own choice; only the alignment of its buffers must agree.
  "-DEIGEN_DONT_VECTORIZE",
  "-DEIGEN_MAX_ALIGN_BYTES=64"
]

/**
 * The addon's name in an installation. Other sources, flags or processors have another name, so an addon that does not fit
 * is never loaded.
 *
 * @category getters
 * @since 0.1.0
 */
export const fileName = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const source = yield* fs.readFileString(yield* sourceFile)
  const hash = createHash("sha256")
  for (const part of [source, process.arch, cpus()[0]?.model ?? "", ...flags]) hash.update(`${part}\0`)
  return `operations-${hash.digest("hex").slice(0, 12)}.node`
})

/**
 * Loads the addon of an installation into this process; false where there is none that works.
 *
 * @category constructors
 * @since 0.1.0
 */
export const load = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = path.join(directory, yield* fileName)
  if (!(yield* fs.exists(file))) return false
  return yield* Effect.try({
    try: () => {
      createRequire(import.meta.url)(file)
      return true
    },
    catch: String
  })
}, Effect.orElseSucceed(() => false))
