/**
 * Texts to vectors whose dot product says how much they have to do with each other.
 *
 * @since 0.1.0
 */
import { Context, type Effect } from "effect"
import type { EmbedderSpec } from "../domain/EmbedderSpec.ts"
import type { RetrieverError } from "./Retriever.ts"

/**
 * The embedding model. Queries and passages are embedded apart, since models want other words before them. Vectors have
 * length 1, or 0 for a text without anything in it, and all the same number of dimensions.
 *
 * @category services
 * @since 0.1.0
 */
export class Embedder extends Context.Service<Embedder, {
  /** What errors and spans call this embedder. */
  readonly name: string
  /** What it is, where that can be said: an index that it did not build tells it so. */
  readonly spec?: EmbedderSpec | undefined
  /** What it puts before each query, where that is known. */
  readonly queryPrefix?: string | undefined
  queries(texts: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Float32Array>, RetrieverError>
  passages(texts: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Float32Array>, RetrieverError>
}>()("effect-search-r1/services/Embedder") {}
