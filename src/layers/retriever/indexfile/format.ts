/**
 * An index as one file: passages, typed arrays as they are in memory (little-endian, aligned to 8 bytes), and at the end
 * a description with a checksum of each part.
 *
 * `SR1-BM25` | passages | arrays | description (JSON) | its length | its CRC-32 | `SR1-BM25`
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { EmbedderSpec } from "../../../domain/EmbedderSpec.ts"

/**
 * @category schemas
 * @since 0.1.0
 */
export const Section = Schema.Struct({ offset: Schema.Natural, bytes: Schema.Natural, crc32: Schema.Natural })

/**
 * @category models
 * @since 0.1.0
 */
export type Section = typeof Section.Type

const common = {
  documents: Schema.Natural,
  /** Passages are the section `documents`; the others are arrays. */
  sections: Schema.Record(Schema.String, Section)
}

const words = {
  parameters: Schema.Struct({
    analyzer: Schema.Literals(["lucene", "multilingual"]),
    k1: Schema.Finite,
    b: Schema.Finite,
    titleWeight: Schema.Natural,
    roundLengths: Schema.Boolean
  }),
  documentsWithTerms: Schema.Natural,
  tokens: Schema.Natural,
  terms: Schema.Natural,
  postings: Schema.Natural
}

const vectors = {
  vectors: Schema.Struct({
    dimensions: Schema.Natural,
    embedder: EmbedderSpec,
    /** Rows by whose vectors the embedder is known again, see `ProbePassages`; indexes of before 0.2 name none. */
    probes: Schema.optionalKey(Schema.Array(Schema.Natural))
  })
}

/**
 * What the file says about itself: whether it holds words, vectors or both.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Description = Schema.Union([
  Schema.Struct({ ...common, format: Schema.Literal(2), kind: Schema.Literal("bm25"), ...words }),
  Schema.Struct({ ...common, format: Schema.Literal(1), kind: Schema.Literal("dense"), ...vectors }),
  Schema.Struct({ ...common, format: Schema.Literal(2), kind: Schema.Literal("both"), ...words, ...vectors })
])

/**
 * @category models
 * @since 0.1.0
 */
export type Description = typeof Description.Type

/**
 * The description of an index of words.
 *
 * @category models
 * @since 0.1.0
 */
export type WordsDescription = Extract<Description, { readonly parameters: unknown }>

/**
 * The description of an index of vectors.
 *
 * @category models
 * @since 0.1.0
 */
export type VectorsDescription = Extract<Description, { readonly vectors: unknown }>

/**
 * @category schemas
 * @since 0.1.0
 */
export const DescriptionJson = Schema.fromJsonString(Description)

/**
 * The first and the last bytes of an index.
 *
 * @category constants
 * @since 0.1.0
 */
export const magic: Uint8Array = new TextEncoder().encode("SR1-BM25")

/**
 * Length and CRC-32 of the description, and the magic bytes.
 *
 * @category constants
 * @since 0.1.0
 */
export const trailerBytes = 8 + magic.length

/**
 * Bytes read or written in one go: below every limit of Node.
 *
 * @category constants
 * @since 0.1.0
 */
export const stride: number = 1 << 26

/**
 * The arrays of an index.
 *
 * @category models
 * @since 0.1.0
 */
export type Numbers =
  | Int32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
