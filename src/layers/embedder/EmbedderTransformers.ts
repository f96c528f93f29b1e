/**
 * Embeddings from a model that runs in this process. `@huggingface/transformers` is an optional package.
 *
 * @since 0.1.0
 */
import { Effect, type FileSystem, Layer, type Path, Semaphore } from "effect"
import type { Pooling } from "../../domain/EmbedderSpec.ts"
import { Embedder } from "../../services/Embedder.ts"
import { RetrieverFailed } from "../../services/Retriever.ts"
import type { PackageUnavailable } from "../optional/PackageUnavailable.ts"
import {
  loadModel,
  type Model,
  type ModelOptions,
  numberAt,
  type OnnxModelUnavailable,
  type Tensor,
  type Tokenizer
} from "../transformers/library.ts"
import { poolingOf, type Prefixes, prefixesOf } from "./conventions.ts"
import { normalize } from "./vectors.ts"

export { OnnxModelUnavailable } from "../transformers/library.ts"
export { poolingOf, type Prefixes, prefixesOf } from "./conventions.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options extends ModelOptions {
  /** Unless given, that of the model's family. */
  readonly pooling?: Pooling | undefined
  /** Unless given, those of the model's family. */
  readonly prefixes?: Prefixes | undefined
  /** Longer texts are cut. Default 256, the reference's. */
  readonly maxTokens?: number | undefined
  /** Texts computed at once. Default 32. */
  readonly batchSize?: number | undefined
}

/** One vector of length 1 a text from the vectors of its words [texts, words, dimensions]. */
const pool = (hidden: Tensor, mask: Tensor | undefined, pooling: Pooling): ReadonlyArray<Float32Array> => {
  const [texts = 0, words = 0, dimensions = 0] = hidden.dims
  return Array.from({ length: texts }, (_, text) => {
    const sums = new Float64Array(dimensions)
    for (let word = 0; word < (pooling === "cls" ? 1 : words); word++) {
      const at = text * words + word
      if (pooling === "mean" && numberAt(mask, at) === 0) continue
      for (let dimension = 0; dimension < dimensions; dimension++) {
        sums[dimension] = (sums[dimension] ?? 0) + numberAt(hidden, at * dimensions + dimension)
      }
    }
    // the length becomes 1, so that the sum does for the mean
    return normalize(Float32Array.from(sums))
  })
}

const embedBatch = async (
  tokenizer: Tokenizer,
  model: Model,
  texts: ReadonlyArray<string>,
  pooling: Pooling
): Promise<ReadonlyArray<Float32Array>> => {
  const inputs = tokenizer(texts)
  const outputs = await model(inputs)
  // models made for nothing but embedding name it so
  const hidden = outputs["last_hidden_state"] ?? outputs["token_embeddings"]
  if (hidden === undefined || hidden.dims[0] !== texts.length || hidden.dims.length !== 3) {
    throw new TypeError(`its outputs are ${Object.keys(outputs).join(", ")} instead of last_hidden_state`)
  }
  return pool(hidden, inputs["attention_mask"], pooling)
}

/**
 * Embeds with a model of ONNX format. One batch is computed at a time, on all cores.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options
): Layer.Layer<Embedder, PackageUnavailable | OnnxModelUnavailable, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    Embedder,
    Effect.gen(function*() {
      const maxTokens = options.maxTokens ?? 256
      const { model, tokenizer } = yield* loadModel("embeds", { ...options, maxTokens })
      const name = `EmbedderTransformers(${options.model})`
      const prefixes = options.prefixes ?? prefixesOf(options.model)
      const pooling = options.pooling ?? poolingOf(options.model)
      const size = Math.max(1, options.batchSize ?? 32)
      const one = yield* Semaphore.make(1)

      const embed = (prefix: string) =>
        Effect.fnUntraced(function*(texts: ReadonlyArray<string>) {
          const vectors = Array.from(texts, (): Float32Array => new Float32Array())
          // texts of like length together: the shorter ones of a batch are padded
          const order = texts.map((_, index) => index).toSorted((a, b) =>
            (texts[a]?.length ?? 0) - (texts[b]?.length ?? 0)
          )
          for (let start = 0; start < order.length; start += size) {
            const rows = order.slice(start, start + size)
            const computed = yield* one.withPermit(Effect.tryPromise({
              try: () =>
                embedBatch(
                  tokenizer,
                  model,
                  rows.map((row) => prefix + (texts[row] ?? "")),
                  pooling
                ),
              catch: (cause) => new RetrieverFailed({ retriever: name, cause })
            }))
            for (const [at, row] of rows.entries()) {
              const vector = computed[at]
              if (vector !== undefined) vectors[row] = vector
            }
          }
          return vectors
        })
      return Embedder.of({
        name,
        spec: { _tag: "transformers", model: options.model, dtype: options.dtype ?? "fp32", pooling, maxTokens },
        queryPrefix: prefixes.query,
        queries: Effect.fn("EmbedderTransformers.queries")(embed(prefixes.query)),
        passages: Effect.fn("EmbedderTransformers.passages")(embed(prefixes.passage))
      })
    })
  )
