/**
 * Saves a model in Hugging Face's layout, so that transformers and others load it.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path } from "effect"
import * as HuggingFaceConfig from "../../domain/HuggingFaceConfig.ts"
import { ModelConfig, type Precision } from "../../domain/ModelConfig.ts"
import * as ModelTensors from "../../domain/ModelTensors.ts"
import * as Directories from "../directories.ts"
import * as Leftovers from "../leftovers.ts"
import * as ReplaceDirectory from "../replaceDirectory.ts"
import * as SettledFiles from "../settledFiles.ts"
import { fileNames } from "./HuggingFaceModel.ts"
import { locate } from "./location.ts"
import { fromPlatform, ModelFileIo, type ModelFileMissing } from "./ModelFileErrors.ts"
import * as Safetensors from "./Safetensors.ts"

/**
 * What to save. `read` is asked for one weight at a time, so no second copy of the model is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface SaveOptions<E, R> {
  readonly config: ModelConfig
  readonly read: (tensor: ModelTensors.TensorSpec) => Effect.Effect<Float32Array, E, R>
  /** The number format of the weights; that of the configuration unless told. */
  readonly precision?: Precision | undefined
  /** Bytes of weights beyond which they are spread over several files (5 GB unless told). */
  readonly maxShardBytes?: number | undefined
  /** A model, a folder or a llama2.c file, whose tokenizer and generation settings belong to this one too: they are copied. */
  readonly companionsFrom?: string | undefined
  /** Texts of further files of the folder, by their names: they are replaced with the model. */
  readonly files?: Readonly<Record<string, string>> | undefined
}

/** Files beside the weights that a model cannot be used without. */
const isCompanion = (name: string): boolean =>
  /^(tokenizer.*|tok[^/]*\.bin|special_tokens_map\.json|added_tokens\.json|chat_template\..*|vocab\..*|merges\.txt|generation_config\.json|.*\.tiktoken)$/u
    .test(name)

/** Files that a save replaces: those of an earlier save of any size. */
const isReplaced = (name: string): boolean =>
  name === fileNames.config || /^model(-\d+-of-\d+)?\.safetensors(\.index\.json)?$/u.test(name)

/**
 * Whether a name is that of a file by which a model is read.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isModelFile = (name: string): boolean => isCompanion(name) || isReplaced(name)

const bytesPerNumber: Readonly<Record<Precision, number>> = { float32: 4, float16: 2, bfloat16: 2 }

const shardsOf = (
  config: ModelConfig,
  precision: Precision,
  maxBytes: number
): ReadonlyArray<ReadonlyArray<ModelTensors.TensorSpec>> => {
  const shards: Array<Array<ModelTensors.TensorSpec>> = []
  let room = 0
  for (const spec of ModelTensors.tensors(config)) {
    const bytes = ModelTensors.elements(spec.shape) * bytesPerNumber[precision]
    const last = shards.at(-1)
    if (last === undefined || bytes > room) {
      shards.push([spec])
      room = maxBytes - bytes
    } else {
      last.push(spec)
      room -= bytes
    }
  }
  return shards
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

const writeModel = Effect.fnUntraced(function*<E, R>(directory: string, options: SaveOptions<E, R>) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const precision = options.precision ?? options.config.precision
  const config = new ModelConfig({ ...options.config, precision })
  const shards = shardsOf(config, precision, options.maxShardBytes ?? 5_000_000_000)
  const names = shards.map((_, index) => {
    const number = (value: number) => String(value).padStart(5, "0")
    return shards.length === 1
      ? fileNames.weights
      : `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`
  })
  for (const [index, shard] of shards.entries()) {
    yield* Safetensors.write(join(directory, names[index]!), shard, { precision, read: options.read })
  }
  const text = (name: string, content: unknown) => {
    const path = join(directory, name)
    return fs.writeFileString(path, json(content)).pipe(Effect.mapError(fromPlatform(path)))
  }
  if (shards.length > 1) {
    const places = shards.flatMap((shard, index) => shard.map(({ name }) => [name, names[index]!] as const))
    yield* text(fileNames.index, {
      metadata: { total_size: ModelTensors.parameterCount(config) * bytesPerNumber[precision] },
      weight_map: Object.fromEntries(places.sort(([a], [b]) => a < b ? -1 : 1))
    })
  }
  yield* text(fileNames.config, HuggingFaceConfig.encode(config))
})

const copyEntries = Effect.fnUntraced(function*(from: string, to: string, wanted: (name: string) => boolean) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const names = yield* fs.readDirectory(from).pipe(Effect.mapError(fromPlatform(from)))
  for (const name of names.filter(wanted)) {
    yield* fs.copy(join(from, name), join(to, name), { overwrite: true }).pipe(
      Effect.mapError(fromPlatform(join(to, name)))
    )
  }
})

/** Copies a model's companions as files of their own: in Hugging Face's cache they are links to elsewhere. */
const copyContents = Effect.fnUntraced(function*(model: string, to: string) {
  const fs = yield* FileSystem.FileSystem
  const { dirname, join } = yield* Path.Path
  const path = yield* locate(model)
  const failed = Effect.mapError(fromPlatform(path))
  const from = (yield* failed(fs.stat(path))).type === "Directory" ? path : dirname(path)
  for (const name of (yield* failed(fs.readDirectory(from))).filter(isCompanion)) {
    const source = join(from, name)
    const readable = Effect.andThen(fs.access(source, { readable: true }), fs.stat(source))
    const { type } = yield* Effect.mapError(readable, fromPlatform(source))
    if (type !== "File") continue
    yield* Effect.mapError(fs.copyFile(source, join(to, name)), fromPlatform(join(to, name)))
  }
})

/** A folder beside `target`, so that what is made in it can be put in its place, and whether something is there. */
const prepare = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const { basename, dirname, join, resolve } = yield* Path.Path
  // a link goes on naming the folder
  const target = yield* Effect.orElseSucceed(fs.realPath(directory), () => resolve(directory))
  const failed = Effect.mapError(fromPlatform(target))
  yield* failed(ReplaceDirectory.recover(target))
  const exists = yield* failed(fs.exists(target))
  if (exists && (yield* failed(fs.stat(target))).type !== "Directory") {
    return yield* new ModelFileIo({ path: target, reason: "it is a file; a model is saved into a folder" })
  }
  const parent = dirname(target)
  yield* failed(Directories.make(parent))
  const hidden = `.${basename(target)}`
  yield* Effect.ignore(Leftovers.remove(join(parent, hidden)))
  const workshop = join(parent, Leftovers.nameFor(hidden))
  yield* failed(fs.makeDirectory(workshop, { mode: 0o700 }))
  return { target, exists, workshop }
})

/**
 * Fails where a model could not be saved into `directory`: to be asked before long work whose result goes there.
 *
 * @category guards
 * @since 0.2.0
 */
export const check = Effect.fnUntraced(function*(
  directory: string
): Effect.fn.Return<void, ModelFileIo | ModelFileMissing, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  yield* Effect.acquireUseRelease(
    prepare(directory),
    () => Effect.void,
    ({ workshop }) => Effect.ignore(fs.remove(workshop, { recursive: true }))
  )
}, SettledFiles.settled)

/** Makes the folder in its workshop and puts it in its place. */
const make = Effect.fnUntraced(function*<E, R>(
  { exists, target }: Effect.Success<ReturnType<typeof prepare>>,
  finished: string,
  options: SaveOptions<E, R>
) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const failed = Effect.mapError(fromPlatform(target))
  // what cannot be written is to be a file of the model, not one in the making
  const named = <Failure>(error: Failure | ModelFileIo): Failure | ModelFileIo =>
    error instanceof ModelFileIo && error.path.startsWith(finished)
      ? new ModelFileIo({ path: `${target}${error.path.slice(finished.length)}`, reason: error.reason })
      : error
  yield* Effect.gen(function*() {
    // A folder of its own: the temporary one is closed to other users.
    yield* failed(fs.makeDirectory(finished))
    yield* writeModel(finished, options)
    if (exists) yield* copyEntries(target, finished, (name) => !isReplaced(name))
    if (options.companionsFrom !== undefined) yield* copyContents(options.companionsFrom, finished)
    for (const [name, text] of Object.entries(options.files ?? {})) {
      const path = join(finished, name)
      yield* Effect.mapError(fs.writeFileString(path, text), fromPlatform(path))
    }
    yield* failed(ReplaceDirectory.put(finished, target))
  }).pipe(Effect.mapError(named))
})

/**
 * Saves a model into `directory`, which may exist: its weights and configuration are replaced, other files in it stay.
 * Everything is written beside it first and put in place at the end, so after a failure or an interruption the folder
 * is what it was. Equal weights give equal bytes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const save = Effect.fn("HuggingFaceWriter.save")(function*<E, R>(
  directory: string,
  options: SaveOptions<E, R>
): Effect.fn.Return<void, E | ModelFileIo | ModelFileMissing, R | FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const finishedIn = (workshop: string) => join(workshop, "model")
  yield* Effect.acquireUseRelease(
    prepare(directory),
    (prepared) => make(prepared, finishedIn(prepared.workshop), options),
    ({ workshop }) => Effect.ignore(fs.remove(workshop, { recursive: true, force: true }))
  )
}, SettledFiles.settled)
