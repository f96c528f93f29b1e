/** The decoders that benchmarks compute: Llama-style, tied, as many key-value heads as heads. */
import { type ModelConfig, plainLlama } from "../src/domain/ModelConfig.ts"

export interface Shape {
  readonly dim: number
  readonly layers: number
  readonly heads: number
  readonly vocabulary: number
}

/** 0.9 M weights. */
export const small: Shape = { dim: 128, layers: 4, heads: 4, vocabulary: 512 }

export const large: Shape = { dim: 512, layers: 8, heads: 8, vocabulary: 8192 }

/** Tokens of each sequence that training reads. */
export const trainedLength = 160

export const config = (shape: Shape): ModelConfig =>
  plainLlama({
    vocabularySize: shape.vocabulary,
    hiddenSize: shape.dim,
    layers: shape.layers,
    heads: shape.heads,
    maxPositions: 1024
  })
