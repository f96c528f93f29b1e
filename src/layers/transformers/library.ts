/**
 * Hugging Face's transformers as far as they are used here, and loading them and their models.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Path, Schema, type Scope } from "effect"
import { pathToFileURL } from "node:url"
import { locate } from "../optional/load.ts"
import { transformers } from "../optional/packages.ts"
import { PackageUnavailable } from "../optional/PackageUnavailable.ts"
import * as UserCache from "../userCache.ts"

/**
 * A model or its tokenizer cannot be read or fetched.
 *
 * @category errors
 * @since 0.1.0
 */
export class OnnxModelUnavailable extends Schema.TaggedError<OnnxModelUnavailable>()("OnnxModelUnavailable", {
  model: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `the model ${this.model} cannot be used: ${this.reason}. It must be a directory with config.json, ` +
      "tokenizer.json, tokenizer_config.json and onnx/model.onnx (or another precision's), or the name of such a " +
      "repository on Hugging Face's hub"
  }
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Tensor {
  readonly dims: ReadonlyArray<number>
  readonly data: Float32Array | BigInt64Array
}

/**
 * @category models
 * @since 0.1.0
 */
export type Tensors = Readonly<Record<string, Tensor>>

/**
 * Texts, or pairs of texts, as a padded batch.
 *
 * @category models
 * @since 0.1.0
 */
export type Tokenizer = (texts: ReadonlyArray<string>, pairs?: ReadonlyArray<string>) => Tensors

/** Their tokenizer. */
interface PretrainedTokenizer {
  (texts: ReadonlyArray<string>, options: {
    readonly text_pair?: ReadonlyArray<string>
    readonly padding: true
    readonly truncation: true
    readonly max_length: number
  }): Tensors
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Model {
  (inputs: Tensors): Promise<Tensors>
  readonly dispose: () => Promise<unknown>
}

interface Loader<A> {
  readonly from_pretrained: (name: string, options?: { readonly dtype: string }) => Promise<A>
}

interface Transformers {
  readonly env: object
  readonly AutoTokenizer: Loader<PretrainedTokenizer>
  readonly AutoModel: Loader<Model>
  readonly AutoModelForSequenceClassification: Loader<Model>
}

const isTransformers = (value: unknown): value is Transformers =>
  typeof value === "object" && value !== null && "env" in value && "AutoTokenizer" in value && "AutoModel" in value

const message = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

const load = Effect.gen(function*() {
  const { file } = yield* locate(transformers)
  const { join } = yield* Path.Path
  const cacheDir = join(yield* UserCache.directory, "models")
  return yield* Effect.tryPromise({
    try: async () => {
      const loaded: unknown = await import(pathToFileURL(file).href)
      const library = isTransformers(loaded)
        ? loaded
        : typeof loaded === "object" && loaded !== null && "default" in loaded
        ? loaded.default
        : undefined
      if (!isTransformers(library)) throw new TypeError("it exports something else than expected")
      // it would keep models beside its own code
      Object.assign(library.env, { cacheDir })
      return library
    },
    catch: (cause) =>
      new PackageUnavailable({
        package: transformers.name,
        reason: `it cannot be loaded: ${message(cause)}`,
        mend:
          `This program is tested with version ${transformers.version}: run "search-r1 index install transformers --force"`
      })
  })
})

/**
 * @category models
 * @since 0.1.0
 */
export interface ModelOptions {
  /** A directory, or a name on Hugging Face's hub, from where it is fetched once. */
  readonly model: string
  /** The precision of the weights: `fp32`, `fp16`, `q8`, … Default `fp32`. */
  readonly dtype?: string | undefined
}

/**
 * Cuts long texts as Python does. transformers.js cuts the end off, and with it the token that ends every text.
 */
const cutting = (tokenizer: PretrainedTokenizer, maxTokens: number): Tokenizer => {
  const empty = tokenizer([""], { padding: true, truncation: true, max_length: maxTokens })["input_ids"]
  const ending = empty !== undefined && empty.data.length > 1 ? empty.data.at(-1) : undefined
  return (texts, pairs) => {
    const options = { padding: true, truncation: true, max_length: maxTokens } as const
    const tensors = tokenizer(texts, pairs === undefined ? options : { ...options, text_pair: pairs })
    const { attention_mask: mask, input_ids: ids } = tensors
    const [rows = 0, length = 0] = ids?.dims ?? []
    if (length === maxTokens && typeof ending === "bigint" && ids?.data instanceof BigInt64Array) {
      for (let end = length - 1; end < rows * length; end += length) {
        if (numberAt(mask, end) === 1) ids.data[end] = ending
      }
    }
    return tensors
  }
}

/** What a model's name stands for: a directory, which is looked into, or a name on the hub. */
const placeOf = Effect.fnUntraced(function*(name: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const directory = paths.resolve(name)
  const there = yield* Effect.orElseSucceed(fs.exists(directory), () => false)
  if (!there) {
    return /^[\w.-]+(\/[\w.-]+)?$/.test(name) && !name.startsWith(".")
      ? name
      : yield* new OnnxModelUnavailable({ model: name, reason: "there is no such directory" })
  }
  for (const file of ["config.json", "tokenizer.json", "tokenizer_config.json"]) {
    if (!(yield* Effect.orElseSucceed(fs.exists(paths.join(directory, file)), () => false))) {
      return yield* new OnnxModelUnavailable({ model: name, reason: `it lacks ${file}` })
    }
  }
  return directory
})

/**
 * Loads a model, with or without a head that classifies, and its tokenizer. The end of the scope frees it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const loadModel = Effect.fn("Transformers.loadModel")(function*(
  kind: "embeds" | "classifies",
  { dtype, maxTokens, model: name }: ModelOptions & { readonly maxTokens: number }
): Effect.fn.Return<
  { readonly tokenizer: Tokenizer; readonly model: Model },
  PackageUnavailable | OnnxModelUnavailable,
  FileSystem.FileSystem | Path.Path | Scope.Scope
> {
  const library = yield* load
  const place = yield* placeOf(name)
  const attempt = <A>(evaluate: () => Promise<A>) =>
    Effect.tryPromise({
      try: evaluate,
      catch: (cause) => new OnnxModelUnavailable({ model: name, reason: message(cause).replace(/\.$/, "") })
    })
  const loader = kind === "embeds" ? library.AutoModel : library.AutoModelForSequenceClassification
  const tokenizer = yield* attempt(() => library.AutoTokenizer.from_pretrained(place))
  const model = yield* Effect.acquireRelease(
    attempt(() => loader.from_pretrained(place, { dtype: dtype ?? "fp32" })),
    (model) => Effect.promise(() => model.dispose())
  )
  return { tokenizer: cutting(tokenizer, maxTokens), model }
})

/**
 * Numbers of a tensor: int64 comes as bigint.
 *
 * @category conversions
 * @since 0.1.0
 */
export const numberAt = (tensor: Tensor | undefined, index: number): number => Number(tensor?.data[index] ?? Number.NaN)
