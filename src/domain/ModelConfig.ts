/**
 * The configuration of a decoder-only transformer.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * @category schemas
 * @since 0.1.0
 */
export const PositiveInt = Schema.Int.check(Schema.isGreaterThan(0))

/**
 * @category schemas
 * @since 0.1.0
 */
export const PositiveFinite = Schema.Finite.check(Schema.isGreaterThan(0))

/**
 * More layers than any model has: a file that claims more is no model, and lists of its weights would not end.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxLayers = 10_000

/**
 * The model families that the engine computes.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Architecture = Schema.Literals(["llama", "qwen2", "qwen3"])

/**
 * @category models
 * @since 0.1.0
 */
export type Architecture = typeof Architecture.Type

/**
 * The number formats that weights are stored in.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Precision = Schema.Literals(["float32", "float16", "bfloat16"])

/**
 * @category models
 * @since 0.1.0
 */
export type Precision = typeof Precision.Type

/**
 * How the frequencies of the rotary embedding are stretched beyond the context that a model was pretrained with.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RopeScaling = Schema.TaggedUnion({
  /** All frequencies divided by `factor`. */
  Linear: { factor: PositiveFinite },
  /** Llama 3.1: low frequencies divided by `factor`, high ones kept, those between interpolated. */
  Llama3: {
    factor: PositiveFinite,
    lowFrequencyFactor: PositiveFinite,
    highFrequencyFactor: PositiveFinite,
    originalMaxPositions: PositiveInt
  },
  /**
   * YaRN, as Qwen's models are stretched: pairs that turn more than `betaFast` times in the original context are kept,
   * those that turn less than `betaSlow` times divided by `factor`, those between interpolated (between whole pairs where
   * `truncate`). Cosines and sines are multiplied by `attentionFactor`.
   */
  Yarn: {
    factor: PositiveFinite,
    originalMaxPositions: PositiveInt,
    betaFast: PositiveFinite,
    betaSlow: PositiveFinite,
    attentionFactor: PositiveFinite,
    truncate: Schema.Boolean
  },
  /** Stretched with the text beyond the context that the model was made for, which no context here is; else unscaled. */
  Dynamic: { factor: PositiveFinite }
})

/**
 * @category models
 * @since 0.1.0
 */
export type RopeScaling = typeof RopeScaling.Type

/**
 * Everything that a forward pass needs to know about a model but its weights.
 *
 * @category models
 * @since 0.1.0
 */
export class ModelConfig extends Schema.Class<ModelConfig>("effect-search-r1/domain/ModelConfig")({
  architecture: Architecture,
  vocabularySize: PositiveInt,
  hiddenSize: PositiveInt,
  intermediateSize: PositiveInt,
  layers: PositiveInt.check(Schema.isLessThanOrEqualTo(maxLayers)),
  heads: PositiveInt,
  /** Divides `heads`; each key-value head serves `heads / keyValueHeads` query heads. */
  keyValueHeads: PositiveInt,
  /** Even. Not always `hiddenSize / heads`. */
  headDim: PositiveInt,
  /** Positions that the model was made for (`max_position_embeddings`). */
  maxPositions: PositiveInt,
  /** Tokens that a position can attend to where the checkpoint limits that; see {@link contextLength}. */
  slidingWindow: Schema.NullOr(PositiveInt),
  rmsNormEps: PositiveFinite,
  ropeTheta: PositiveFinite,
  ropeScaling: Schema.NullOr(RopeScaling),
  /** The format that the rotary frequencies are rounded to, where not float32; no `config.json` says it. */
  ropePrecision: Schema.optionalKey(Precision),
  /** The output head is the transposed embedding. */
  tieWordEmbeddings: Schema.Boolean,
  /** `attention_bias` of the file: see {@link queryKeyValueBias} and {@link outputBias} for what it means. */
  attentionBias: Schema.Boolean,
  /** Whether the projections of the feed-forward part add a bias, as Llama's may; absent is false. */
  mlpBias: Schema.optionalKey(Schema.Boolean),
  bosTokenIds: Schema.Array(Schema.Natural),
  eosTokenIds: Schema.Array(Schema.Natural),
  padTokenId: Schema.NullOr(Schema.Natural),
  /** The format that the weights were saved in and are saved in again. */
  precision: Precision,
  /** Keys of the file that no forward pass reads, kept so that a saved model has them still. */
  others: Schema.Record(Schema.String, Schema.Json)
}) {}

/**
 * A Llama as it is made here rather than loaded: as many key-value heads as heads, SwiGLU of three times its width, tied
 * embeddings, nothing special about its rotary embedding.
 *
 * @category constructors
 * @since 0.1.0
 */
export const plainLlama = (
  shape: Pick<ModelConfig, "vocabularySize" | "hiddenSize" | "layers" | "heads" | "maxPositions"> & {
    readonly endOfText?: number | undefined
    readonly pad?: number | undefined
  }
): ModelConfig => {
  const { endOfText, heads, hiddenSize, layers, maxPositions, pad, vocabularySize } = shape
  return new ModelConfig({
    architecture: "llama",
    vocabularySize,
    hiddenSize,
    intermediateSize: 3 * hiddenSize,
    layers,
    heads,
    keyValueHeads: heads,
    headDim: hiddenSize / heads,
    maxPositions,
    slidingWindow: null,
    rmsNormEps: 1e-6,
    ropeTheta: 10_000,
    ropeScaling: null,
    tieWordEmbeddings: true,
    attentionBias: false,
    bosTokenIds: [],
    eosTokenIds: endOfText === undefined ? [] : [endOfText],
    padTokenId: pad ?? null,
    precision: "float32",
    others: {}
  })
}

/**
 * A model of a family that the engine does not compute.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownArchitecture extends Schema.TaggedError<UnknownArchitecture>()("UnknownArchitecture", {
  source: Schema.String,
  architecture: Schema.String,
  supported: Schema.Array(Schema.String)
}) {
  override get message() {
    return `${this.source}: the architecture "${this.architecture}" is not supported; supported are ${
      this.supported.join(", ")
    }`
  }
}

/**
 * A key of `config.json` is missing, has the wrong type or contradicts another one.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidModelConfig extends Schema.TaggedError<InvalidModelConfig>()("InvalidModelConfig", {
  source: Schema.String,
  key: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return this.key === "" ? `${this.source}: ${this.reason}` : `${this.source}: "${this.key}": ${this.reason}`
  }
}

/**
 * A model of a supported family uses something that the engine does not compute.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnsupportedModelFeature extends Schema.TaggedError<UnsupportedModelFeature>()("UnsupportedModelFeature", {
  source: Schema.String,
  key: Schema.String,
  found: Schema.String,
  supported: Schema.Array(Schema.String)
}) {
  override get message() {
    return `${this.source}: "${this.key}" is ${this.found}, which is not supported; supported: ${
      this.supported.join(", ")
    }`
  }
}

/**
 * Why a `config.json` cannot be used.
 *
 * @category errors
 * @since 0.1.0
 */
export const ModelConfigError = Schema.Union([UnknownArchitecture, InvalidModelConfig, UnsupportedModelFeature])

/**
 * @category errors
 * @since 0.1.0
 */
export type ModelConfigError = typeof ModelConfigError.Type

/**
 * Whether the query, key and value projections add a bias: always in Qwen2, by `attention_bias` in Llama and Qwen3.
 *
 * @category getters
 * @since 0.1.0
 */
export const queryKeyValueBias = (config: ModelConfig): boolean =>
  config.architecture === "qwen2" || config.attentionBias

/**
 * Whether the output projection of the attention adds a bias: never in Qwen2.
 *
 * @category getters
 * @since 0.1.0
 */
export const outputBias = (config: ModelConfig): boolean => config.architecture !== "qwen2" && config.attentionBias

/**
 * Whether the projections of the feed-forward part add a bias: by `mlp_bias`, in Llama only.
 *
 * @category getters
 * @since 0.1.0
 */
export const mlpBias = (config: ModelConfig): boolean => config.architecture === "llama" && config.mlpBias === true

/**
 * Whether queries and keys are normalised per head before the rotary embedding.
 *
 * @category getters
 * @since 0.1.0
 */
export const queryKeyNorm = (config: ModelConfig): boolean => config.architecture === "qwen3"

/** Files that ask for YaRN often keep the context that the model was made for, which YaRN stretches by its factor. */
const positions = ({ maxPositions, ropeScaling }: ModelConfig): number =>
  ropeScaling?._tag === "Yarn"
    ? Math.max(maxPositions, Math.floor(ropeScaling.originalMaxPositions * ropeScaling.factor))
    : maxPositions

/**
 * Tokens that one context can hold. Attention here is never windowed: up to the window's size full attention computes
 * the same numbers, so a windowed checkpoint is exact in contexts of that length and takes no longer ones.
 *
 * @category getters
 * @since 0.1.0
 */
export const contextLength = (config: ModelConfig): number =>
  config.slidingWindow === null ? positions(config) : Math.min(positions(config), config.slidingWindow)
