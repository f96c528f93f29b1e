/**
 * What files hold, whatever they are called and wherever they lie: the hash of their content.
 *
 * @since 0.2.0
 */
// What is written here is for people and hashes, not for a decoder.
// @effect-diagnostics preferSchemaOverJson:off
import { Effect, FileSystem, Path, Stream } from "effect"
import { incremental, sha256 } from "./hash.ts"
import { locate } from "./model/location.ts"
import { fromPlatform, type ModelFileIo, type ModelFileMissing } from "./model/ModelFileErrors.ts"
import type { IndexCorrupt, IndexIo } from "./retriever/indexfile/errors.ts"
import * as RetrieverIndex from "./retriever/RetrieverIndex.ts"
import * as TextFile from "./textFile.ts"

/**
 * SHA-256 of a file, as 64 hexadecimal digits. A file that is compressed with gzip has the hash of what it holds.
 *
 * @category hashing
 * @since 0.2.0
 */
export const ofFile = Effect.fn("ContentHash.ofFile")(function*(
  path: string
): Effect.fn.Return<string, TextFile.FileUnreadable> {
  const hash = incremental()
  yield* Stream.runForEach(TextFile.bytes(path), (piece) => Effect.sync(() => hash.update(piece)))
  return hash.digest("hex")
})

/**
 * The hash of an index: that of its description, which holds a checksum of every part.
 *
 * @category hashing
 * @since 0.2.0
 */
export const ofIndex = Effect.fn("ContentHash.ofIndex")(function*(
  path: string
): Effect.fn.Return<string, IndexCorrupt | IndexIo, FileSystem.FileSystem | Path.Path> {
  return sha256(JSON.stringify(yield* RetrieverIndex.describe(path)))
})

/** The files of a model's folder that decide what it computes and how texts become tokens. */
const isPart = (name: string): boolean =>
  /^(?:(?:generation_)?config|tokenizer(?:_config)?|special_tokens_map|added_tokens|chat_template)\.(?:json|jinja)$/u
    .test(name) ||
  /(?:\.safetensors|\.safetensors\.index\.json|\.tiktoken)$/u.test(name) ||
  (name.endsWith(".bin") && !/^(?:pytorch_model|training_args)/u.test(name))

const readBytes = 1 << 20

/**
 * The hash of a model, in any of the layouts that `Weights.read` knows: of its configuration, weights and tokenizer. Other
 * files of its folder do not count.
 *
 * @category hashing
 * @since 0.2.0
 */
export const ofModel = Effect.fn("ContentHash.ofModel")(function*(
  model: string
): Effect.fn.Return<string, ModelFileIo | ModelFileMissing, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const { dirname, join } = yield* Path.Path
  const path = yield* locate(model)
  const at = <A, R>(file: string, effect: Effect.Effect<A, Parameters<ReturnType<typeof fromPlatform>>[0], R>) =>
    Effect.mapError(effect, fromPlatform(file))
  const { type } = yield* at(path, fs.stat(path))
  const directory = type === "Directory" ? path : dirname(path)
  const names = yield* at(directory, fs.readDirectory(directory))
  // a model that is one file may be called anything
  const files = type === "Directory"
    ? names.filter(isPart).map((name) => ({ name, file: join(directory, name) }))
    : [
      ...names.filter((name) => /^tok.*\.bin$/u.test(name)).map((name) => ({ name, file: join(directory, name) })),
      { name: "", file: path }
    ]
  const hash = incremental()
  for (const { file, name } of files.toSorted((a, b) => a.name < b.name ? -1 : 1)) {
    const own = incremental()
    yield* at(
      file,
      Stream.runForEach(fs.stream(file, { chunkSize: readBytes }), (piece) => Effect.sync(() => own.update(piece)))
    )
    hash.update(`${name} ${own.digest("hex")}\n`)
  }
  return hash.digest("hex")
})
