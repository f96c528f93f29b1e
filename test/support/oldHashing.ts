/**
 * The hashing embedder as it was when it took texts apart as Lucene does: of English it makes the same vectors, of other
 * texts others.
 */
import { Effect } from "effect"
import * as EnglishAnalyzer from "../../src/domain/EnglishAnalyzer.ts"
import { Embedder } from "../../src/services/Embedder.ts"

const hash = (text: string): number => {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return value >>> 0
}

const embed = (text: string, dimensions: number): Float32Array => {
  const vector = new Float32Array(dimensions)
  for (const term of EnglishAnalyzer.analyze(text)) {
    const value = hash(term)
    const dimension = (value >>> 1) % dimensions
    vector[dimension] = (vector[dimension] ?? 0) + ((value & 1) === 0 ? 1 : -1)
  }
  const roots = vector.map((value) => Math.sign(value) * Math.sqrt(Math.abs(value)))
  const length = Math.hypot(...roots)
  return length === 0 ? roots : roots.map((value) => value / length)
}

export const oldHashing = (dimensions: number): Embedder["Service"] => {
  const all = (texts: ReadonlyArray<string>) => Effect.succeed(texts.map((text) => embed(text, dimensions)))
  return Embedder.of({ name: `EmbedderHashing(${dimensions})`, queries: all, passages: all })
}
