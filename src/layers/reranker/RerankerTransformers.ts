/**
 * A cross-encoder that runs in this process. `@huggingface/transformers` is an optional package.
 *
 * @since 0.1.0
 */
import { Effect, type FileSystem, Layer, type Path, Semaphore } from "effect"
import { titledText } from "../../domain/RetrievalWire.ts"
import { Reranker } from "../../services/Reranker.ts"
import { RetrieverFailed } from "../../services/Retriever.ts"
import type { PackageUnavailable } from "../optional/PackageUnavailable.ts"
import {
  loadModel,
  type Model,
  type ModelOptions,
  numberAt,
  type OnnxModelUnavailable,
  type Tokenizer
} from "../transformers/library.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options extends ModelOptions {
  /** Longer pairs are cut. Default 512. */
  readonly maxTokens?: number | undefined
  /** Pairs computed at once. Default 32, the reference's. */
  readonly batchSize?: number | undefined
}

interface Pair {
  readonly query: string
  readonly passage: string
}

const scoreBatch = async (
  tokenizer: Tokenizer,
  model: Model,
  pairs: ReadonlyArray<Pair>
): Promise<ReadonlyArray<number>> => {
  const inputs = tokenizer(pairs.map(({ query }) => query), pairs.map(({ passage }) => passage))
  const { logits } = await model(inputs)
  const labels = logits?.dims[1]
  if (logits?.dims[0] !== pairs.length || (labels !== 1 && labels !== 2)) {
    throw new TypeError(`it has ${labels ?? "no"} labels; a cross-encoder has one, or two (irrelevant, relevant)`)
  }
  return pairs.map((_, row) =>
    labels === 1 ? numberAt(logits, row) : numberAt(logits, 2 * row + 1) - numberAt(logits, 2 * row)
  )
}

/**
 * Scores pairs of a query and one of its own passages, which the model reads as `(Title: …) text`
 * (`rerank_server.py`). The score is the model's logit.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options
): Layer.Layer<Reranker, PackageUnavailable | OnnxModelUnavailable, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    Reranker,
    Effect.gen(function*() {
      const { model, tokenizer } = yield* loadModel("classifies", { ...options, maxTokens: options.maxTokens ?? 512 })
      const name = `RerankerTransformers(${options.model})`
      const size = Math.max(1, options.batchSize ?? 32)
      const one = yield* Semaphore.make(1)
      return Reranker.of({
        name,
        scores: Effect.fn("RerankerTransformers.scores")(function*(requests) {
          const pairs = requests.flatMap(({ documents, query }) =>
            documents.map((document): Pair => ({ query, passage: titledText(document) }))
          )
          const order = pairs.map((_, index) => index).toSorted((a, b) =>
            (pairs[a]?.passage.length ?? 0) - (pairs[b]?.passage.length ?? 0)
          )
          const scores = new Float64Array(pairs.length)
          for (let start = 0; start < order.length; start += size) {
            const rows = order.slice(start, start + size)
            const batch = rows.flatMap((row) => pairs[row] ?? [])
            const computed = yield* one.withPermit(Effect.tryPromise({
              try: () => scoreBatch(tokenizer, model, batch),
              catch: (cause) => new RetrieverFailed({ retriever: name, cause })
            }))
            for (const [at, row] of rows.entries()) scores[row] = computed[at] ?? Number.NaN
          }
          let next = 0
          return requests.map(({ documents }) => documents.map(() => scores[next++] ?? Number.NaN))
        })
      })
    })
  )
