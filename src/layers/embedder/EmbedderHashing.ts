/**
 * Embeddings without a model: words hashed into dimensions. Deterministic and fast, for tests and for trying things out.
 *
 * @since 0.1.0
 */
import { Effect, Layer } from "effect"
import { analyze } from "../../domain/MultilingualAnalyzer.ts"
import { Embedder } from "../../services/Embedder.ts"
import { normalize } from "./vectors.ts"

/** FNV-1a over UTF-16 units. */
const hash = (text: string): number => {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return value >>> 0
}

/**
 * The hashed vector of a text: each stemmed word adds or subtracts 1 in one of the dimensions, then the signed square
 * root of each is taken (Weinberger et al. 2009).
 *
 * @category constructors
 * @since 0.1.0
 */
export const embed = (text: string, dimensions: number): Float32Array => {
  const vector = new Float32Array(dimensions)
  for (const term of analyze(text)) {
    const value = hash(term)
    const dimension = (value >>> 1) % dimensions
    vector[dimension] = (vector[dimension] ?? 0) + ((value & 1) === 0 ? 1 : -1)
  }
  for (let index = 0; index < dimensions; index++) {
    const value = vector[index] ?? 0
    vector[index] = Math.sign(value) * Math.sqrt(Math.abs(value))
  }
  return normalize(vector)
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: { readonly dimensions?: number | undefined }): Layer.Layer<Embedder> =>
  Layer.sync(Embedder, () => {
    const dimensions = options?.dimensions ?? 512
    const all = (texts: ReadonlyArray<string>) => Effect.sync(() => texts.map((text) => embed(text, dimensions)))
    return Embedder.of({
      name: `EmbedderHashing(${dimensions})`,
      spec: { _tag: "hashing", dimensions },
      queryPrefix: "",
      queries: all,
      passages: all
    })
  })
