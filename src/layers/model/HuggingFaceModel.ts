/**
 * Models in Hugging Face's layout: a folder with `config.json` and safetensors, in one file or sharded by an index.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path, Result, Schema, type Scope, Stream } from "effect"
import * as HuggingFaceConfig from "../../domain/HuggingFaceConfig.ts"
import * as Json from "../../domain/Json.ts"
import type { ModelConfig } from "../../domain/ModelConfig.ts"
import * as ModelTensors from "../../domain/ModelTensors.ts"
import * as TextFile from "../textFile.ts"
import {
  fromPlatform,
  ModelFileInvalid,
  type ModelFileIo,
  ModelFileMissing,
  type ModelLoadError,
  TensorMissing,
  TensorShapeMismatch,
  TensorTypeUnsupported,
  TensorUnexpected
} from "./ModelFileErrors.ts"
import * as Safetensors from "./Safetensors.ts"
import { tensorTypes } from "./SafetensorsHeader.ts"
import * as TiedHead from "./tiedHead.ts"
import type { Tensor, Weights } from "./WeightStream.ts"

/**
 * Names of the files of the layout.
 *
 * @category constants
 * @since 0.1.0
 */
export const fileNames = {
  config: "config.json",
  generationConfig: "generation_config.json",
  weights: "model.safetensors",
  index: "model.safetensors.index.json"
} as const

/**
 * The parsed content of a JSON file.
 *
 * @category constructors
 * @since 0.1.0
 */
export const readJson = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<unknown, ModelFileInvalid | ModelFileIo | ModelFileMissing, FileSystem.FileSystem> {
  const text = yield* TextFile.whole(path).pipe(
    Effect.mapError((error) =>
      error._tag === "FileUnreadable" ? new ModelFileInvalid({ path, reason: error.reason }) : fromPlatform(path)(error)
    )
  )
  return yield* Effect.fromResult(
    Result.mapError(
      Json.decode(Schema.Unknown)(text),
      (reason) => new ModelFileInvalid({ path, reason })
    )
  )
})

/**
 * The configuration of the model in a folder, with the end-of-text ids of `generation_config.json` where that is there.
 *
 * @category constructors
 * @since 0.1.0
 */
export const readConfig = Effect.fn("HuggingFaceModel.readConfig")(function*(
  directory: string
): Effect.fn.Return<ModelConfig, ModelLoadError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const path = join(directory, fileNames.config)
  const json = yield* readJson(path).pipe(
    Effect.catchTag("ModelFileMissing", () =>
      new ModelFileMissing({
        path,
        reason: "there is no such file; a model folder holds config.json, model.safetensors and a tokenizer"
      }))
  )
  const config = yield* Effect.fromResult(HuggingFaceConfig.decode(json, path))
  const generation = join(directory, fileNames.generationConfig)
  const exists = yield* fs.exists(generation).pipe(Effect.mapError(fromPlatform(generation)))
  return exists
    ? yield* Effect.fromResult(
      HuggingFaceConfig.withGenerationConfig(config, yield* readJson(generation), generation)
    )
    : config
})

const Index = Schema.Struct({ weight_map: Schema.Record(Schema.String, Schema.String) })

const decodeIndex = Schema.decodeUnknownResult(Index)

/** The files of an index with the tensors that each is said to hold. */
const readIndex = Effect.fnUntraced(function*(path: string) {
  const json = yield* readJson(path)
  const index = yield* Effect.fromResult(
    Result.mapError(
      decodeIndex(json),
      (error) => new ModelFileInvalid({ path, reason: error.message.replaceAll("\n", " ") })
    )
  )
  const shards = new Map<string, Array<string>>()
  for (const [tensor, file] of Object.entries(index.weight_map)) {
    if (/[/\\]/u.test(file)) {
      return yield* new ModelFileInvalid({
        path,
        reason: `weight_map names "${file}" for ${tensor}; expected a file beside the index`
      })
    }
    const shard = shards.get(file)
    if (shard === undefined) shards.set(file, [tensor])
    else shard.push(tensor)
  }
  return shards
})

const missingWeights = (directory: string, names: ReadonlyArray<string>): ModelFileMissing => {
  const pickle = names.find((name) => name.endsWith(".bin") || name.endsWith(".pt") || name.endsWith(".pth"))
  const gguf = names.find((name) => name.endsWith(".gguf"))
  const other = pickle ?? gguf
  return new ModelFileMissing({
    path: directory,
    reason: `there is neither ${fileNames.weights} nor ${fileNames.index}${
      other === undefined
        ? "; copy or download the weights too"
        : `; ${other} is not supported: save the model as safetensors (transformers: save_pretrained) and use that`
    }`
  })
}

interface OpenWeights {
  readonly source: string
  readonly tensors: ReadonlyMap<string, TiedHead.Located>
}

const openWeights = Effect.fnUntraced(function*(
  directory: string
): Effect.fn.Return<OpenWeights, ModelLoadError, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const names = yield* fs.readDirectory(directory).pipe(Effect.mapError(fromPlatform(directory)))
  const tensors = new Map<string, TiedHead.Located>()
  if (names.includes(fileNames.weights)) {
    const source = join(directory, fileNames.weights)
    const file = yield* Safetensors.open(source)
    for (const entry of file.entries.values()) tensors.set(entry.name, { file, entry })
    return { source, tensors }
  }
  if (!names.includes(fileNames.index)) return yield* missingWeights(directory, names)
  const source = join(directory, fileNames.index)
  const files: Array<Safetensors.SafetensorsFile> = []
  for (const [name, announced] of yield* readIndex(source)) {
    const path = join(directory, name)
    const file = yield* Safetensors.open(path).pipe(Effect.catchTag("ModelFileMissing", () =>
      new ModelFileMissing({
        path,
        reason: `there is no such file, and ${source} names it for ${announced.length} tensors; copy or download it too`
      })))
    for (const tensor of announced) {
      const entry = file.entries.get(tensor)
      if (entry === undefined) {
        return yield* new ModelFileInvalid({
          path: file.path,
          reason: `it lacks ${tensor}, which ${source} says it holds`
        })
      }
      tensors.set(tensor, { file, entry })
    }
    files.push(file)
  }
  // transformers loads whatever the files hold, named by the index or not
  for (const file of files) {
    for (const entry of file.entries.values()) if (!tensors.has(entry.name)) tensors.set(entry.name, { file, entry })
  }
  return { source, tensors }
})

/** The expected tensors with their places, in their order; the first thing that does not fit fails. */
const check = Effect.fnUntraced(function*(
  config: ModelConfig,
  { source, tensors }: OpenWeights
) {
  const specs = ModelTensors.tensors(config)
  const expected = new Set(specs.map((spec) => spec.name))
  const located: Array<TiedHead.Located> = []
  for (const spec of specs) {
    const tensor = tensors.get(spec.name)
    if (tensor === undefined) {
      return yield* new TensorMissing({ path: source, tensor: spec.name, expected: spec.shape })
    }
    const { entry, file } = tensor
    if (!ModelTensors.sameShape(entry.shape, spec.shape)) {
      return yield* new TensorShapeMismatch({
        path: file.path,
        tensor: spec.name,
        expected: spec.shape,
        found: entry.shape
      })
    }
    if (!tensorTypes.some((type) => type === entry.type)) {
      return yield* new TensorTypeUnsupported({
        path: file.path,
        tensor: spec.name,
        expected: tensorTypes,
        found: entry.type
      })
    }
    located.push(tensor)
  }
  for (const [name, { entry, file }] of tensors) {
    if (!expected.has(name) && !ModelTensors.isRedundant(config, name)) {
      return yield* new TensorUnexpected({ path: file.path, tensor: name, found: entry.shape })
    }
  }
  return located
})

/**
 * The shape of the model in a folder: of its `config.json`, and of its weights where they are there and whole, whose head
 * may be untied.
 *
 * @category constructors
 * @since 0.2.0
 */
export const readShape = Effect.fn("HuggingFaceModel.readShape")(function*(
  directory: string
): Effect.fn.Return<ModelConfig, ModelLoadError, FileSystem.FileSystem | Path.Path> {
  const written = yield* readConfig(directory)
  return yield* openWeights(directory).pipe(
    Effect.flatMap(({ tensors }) => TiedHead.resolve(written, tensors)),
    Effect.map(({ config }) => config),
    Effect.orElseSucceed(() => written),
    Effect.scoped
  )
})

const tellKept = Effect.fnUntraced(function*(directory: string, { file }: TiedHead.Located) {
  const { join } = yield* Path.Path
  yield* Effect.logWarning(
    `${file.path}: ${ModelTensors.outputHead} differs from ${ModelTensors.embedding}, though ${
      join(directory, fileNames.config)
    } has "tie_word_embeddings": true; the head of the file is used, as transformers 5 does. Write false there where it belongs to the model, or take it out of the file.`
  )
})

/**
 * Opens the model in a folder; see `Weights.read`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const read = Effect.fn("HuggingFaceModel.read")(function*(
  directory: string
): Effect.fn.Return<Weights, ModelLoadError, FileSystem.FileSystem | Path.Path> {
  const services = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
  const written = yield* readConfig(directory)
  const config = yield* Effect.scoped(Effect.gen(function*() {
    const weights = yield* openWeights(directory)
    const { config, kept } = yield* TiedHead.resolve(written, weights.tensors)
    yield* check(config, weights)
    if (kept !== undefined) yield* tellKept(directory, kept)
    return config
  }))
  const open = openWeights(directory).pipe(
    Effect.flatMap((weights) => check(config, weights)),
    Effect.provideContext(services)
  )
  return {
    config,
    tensors: Stream.unwrap(Effect.map(open, (located) =>
      Stream.fromIterable(located).pipe(
        Stream.mapEffect(({ entry, file }) =>
          Effect.map(file.read(entry), (data): Tensor => ({ name: entry.name, shape: entry.shape, data }))
        )
      )))
  }
})
