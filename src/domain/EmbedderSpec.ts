/**
 * Which model made the vectors of an index: queries must be embedded by the same.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * How the vectors of the words of a text become one: their mean, or that of the first word.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Pooling = Schema.Literals(["mean", "cls"])

/**
 * @category models
 * @since 0.1.0
 */
export type Pooling = typeof Pooling.Type

/**
 * An embedder as data: words hashed into dimensions, a server, or a model that runs in this process.
 *
 * @category schemas
 * @since 0.1.0
 */
export const EmbedderSpec = Schema.TaggedUnion({
  hashing: { dimensions: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_536 })) },
  http: { url: Schema.String, model: Schema.String },
  transformers: {
    /** A directory, or a name on Hugging Face's hub. */
    model: Schema.String,
    /** The precision of the weights, such as `fp32` or `q8`. */
    dtype: Schema.String,
    pooling: Pooling,
    maxTokens: Schema.Natural
  }
})

/**
 * @category models
 * @since 0.1.0
 */
export type EmbedderSpec = typeof EmbedderSpec.Type

/**
 * An embedder in words.
 *
 * @category getters
 * @since 0.1.0
 */
export const describe: (spec: EmbedderSpec) => string = EmbedderSpec.match({
  hashing: ({ dimensions }) => `words hashed into ${dimensions} dimensions`,
  http: ({ model, url }) => `${model} on ${url}`,
  transformers: ({ dtype, model }) => `${model} (${dtype})`
})
