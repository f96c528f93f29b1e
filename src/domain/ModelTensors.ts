/**
 * The weights of a model by their Hugging Face names.
 *
 * @since 0.1.0
 */
import { mlpBias, type ModelConfig, outputBias, queryKeyNorm, queryKeyValueBias } from "./ModelConfig.ts"

/**
 * Name and shape of one weight. Matrices have the shape `[out, in]` and are applied as `x · Wᵀ`.
 *
 * @category models
 * @since 0.1.0
 */
export interface TensorSpec {
  readonly name: string
  readonly shape: ReadonlyArray<number>
}

/**
 * The name of the embedding, shape `[vocabularySize, hiddenSize]`.
 *
 * @category constants
 * @since 0.1.0
 */
export const embedding = "model.embed_tokens.weight"

/**
 * The name of an untied output head, shape `[vocabularySize, hiddenSize]`.
 *
 * @category constants
 * @since 0.1.0
 */
export const outputHead = "lm_head.weight"

/**
 * The name of the norm behind the last layer, shape `[hiddenSize]`.
 *
 * @category constants
 * @since 0.1.0
 */
export const finalNorm = "model.norm.weight"

/**
 * The name of a weight of a layer.
 *
 * @category constructors
 * @since 0.1.0
 */
export const layerTensor = (layer: number, name: string): string => `model.layers.${layer}.${name}`

/**
 * The weights of one layer in the order of the computation.
 *
 * @category getters
 * @since 0.1.0
 */
export const layerTensors = (config: ModelConfig, layer: number): ReadonlyArray<TensorSpec> => {
  const { headDim, hiddenSize, intermediateSize } = config
  const queries = config.heads * headDim
  const keys = config.keyValueHeads * headDim
  const specs: Array<TensorSpec> = []
  const add = (name: string, ...shape: ReadonlyArray<number>) => {
    specs.push({ name: layerTensor(layer, name), shape })
  }
  add("input_layernorm.weight", hiddenSize)
  for (const [projection, width] of [["q_proj", queries], ["k_proj", keys], ["v_proj", keys]] as const) {
    add(`self_attn.${projection}.weight`, width, hiddenSize)
    if (queryKeyValueBias(config)) add(`self_attn.${projection}.bias`, width)
  }
  if (queryKeyNorm(config)) {
    add("self_attn.q_norm.weight", headDim)
    add("self_attn.k_norm.weight", headDim)
  }
  add("self_attn.o_proj.weight", hiddenSize, queries)
  if (outputBias(config)) add("self_attn.o_proj.bias", hiddenSize)
  add("post_attention_layernorm.weight", hiddenSize)
  for (
    const [projection, out, width] of [
      ["gate_proj", intermediateSize, hiddenSize],
      ["up_proj", intermediateSize, hiddenSize],
      ["down_proj", hiddenSize, intermediateSize]
    ] as const
  ) {
    add(`mlp.${projection}.weight`, out, width)
    if (mlpBias(config)) add(`mlp.${projection}.bias`, out)
  }
  return specs
}

/**
 * All weights of a causal language model in the order of the computation: exactly what a checkpoint must hold.
 *
 * @category getters
 * @since 0.1.0
 */
export const tensors = (config: ModelConfig): ReadonlyArray<TensorSpec> => [
  { name: embedding, shape: [config.vocabularySize, config.hiddenSize] },
  ...Array.from({ length: config.layers }, (_, layer) => layerTensors(config, layer)).flat(),
  { name: finalNorm, shape: [config.hiddenSize] },
  ...(config.tieWordEmbeddings ? [] : [{ name: outputHead, shape: [config.vocabularySize, config.hiddenSize] }])
]

/**
 * Whether a tensor that {@link tensors} does not list may be in a checkpoint all the same: a copy of a tied head, and
 * the rotary frequencies that old versions of transformers saved.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isRedundant = (config: ModelConfig, name: string): boolean =>
  (config.tieWordEmbeddings && name === outputHead) || name.endsWith(".rotary_emb.inv_freq")

/**
 * @category getters
 * @since 0.1.0
 */
export const elements = (shape: ReadonlyArray<number>): number => shape.reduce((product, size) => product * size, 1)

/**
 * @category predicates
 * @since 0.2.0
 */
export const sameShape = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean =>
  a.length === b.length && a.every((size, axis) => size === b[axis])

/**
 * Number of weights.
 *
 * @category getters
 * @since 0.1.0
 */
export const parameterCount = (config: ModelConfig): number =>
  tensors(config).reduce((sum, { shape }) => sum + elements(shape), 0)
