/**
 * {@link ModelConfig} in the form of Hugging Face's `config.json`.
 *
 * @since 0.1.0
 */
import { Result, Schema, SchemaIssue } from "effect"
import { decodeRope, encodeScaling, optional, RopeFields } from "./HuggingFaceRope.ts"
import {
  Architecture,
  InvalidModelConfig,
  maxLayers,
  mlpBias,
  ModelConfig,
  type ModelConfigError,
  PositiveFinite,
  PositiveInt,
  Precision,
  UnknownArchitecture,
  UnsupportedModelFeature
} from "./ModelConfig.ts"

const TokenIdOrIds = Schema.Union([Schema.Natural, Schema.Array(Schema.Natural)])

const HuggingFaceConfig = Schema.Struct({
  vocab_size: PositiveInt,
  hidden_size: PositiveInt,
  intermediate_size: PositiveInt,
  num_hidden_layers: PositiveInt.check(Schema.isLessThanOrEqualTo(maxLayers)),
  num_attention_heads: PositiveInt,
  num_key_value_heads: optional(PositiveInt),
  head_dim: optional(PositiveInt),
  max_position_embeddings: PositiveInt,
  rms_norm_eps: optional(PositiveFinite),
  rope_theta: optional(PositiveFinite),
  rope_scaling: optional(RopeFields),
  rope_parameters: optional(RopeFields),
  partial_rotary_factor: optional(Schema.Finite),
  tie_word_embeddings: optional(Schema.Boolean),
  attention_bias: optional(Schema.Boolean),
  mlp_bias: optional(Schema.Boolean),
  hidden_act: optional(Schema.String),
  use_sliding_window: optional(Schema.Boolean),
  sliding_window: optional(PositiveInt),
  max_window_layers: optional(Schema.Natural),
  layer_types: optional(Schema.Array(Schema.String)),
  bos_token_id: optional(TokenIdOrIds),
  eos_token_id: optional(TokenIdOrIds),
  pad_token_id: optional(Schema.Int),
  dtype: optional(Schema.String),
  torch_dtype: optional(Schema.String),
  quantization_config: optional(Schema.Json)
})

type HuggingFaceConfig = typeof HuggingFaceConfig.Type

/** Keys that {@link encode} writes itself. All others are carried along. */
const ownKeys: ReadonlySet<string> = new Set([
  "architectures",
  "attention_bias",
  "bos_token_id",
  "dtype",
  "eos_token_id",
  "head_dim",
  "hidden_act",
  "hidden_size",
  "intermediate_size",
  "max_position_embeddings",
  "mlp_bias",
  "model_type",
  "num_attention_heads",
  "num_hidden_layers",
  "num_key_value_heads",
  "pad_token_id",
  "partial_rotary_factor",
  "quantization_config",
  "rms_norm_eps",
  "rope_parameters",
  "rope_scaling",
  "rope_theta",
  "tie_word_embeddings",
  "torch_dtype",
  "vocab_size"
])

const classNames: Readonly<Record<Architecture, string>> = {
  llama: "LlamaForCausalLM",
  qwen2: "Qwen2ForCausalLM",
  qwen3: "Qwen3ForCausalLM"
}

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const firstIssue = (error: Schema.SchemaError): { readonly key: string; readonly reason: string } => {
  const issue = formatIssue(error.issue).issues[0]
  const key = (issue?.path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".")
  const reason = issue?.message ?? "the value is not valid"
  return {
    key,
    reason: reason === "Missing key" ? `${reason}; take the file anew from where the weights are from` : reason
  }
}

const Identity = Schema.Struct({
  model_type: optional(Schema.String),
  architectures: optional(Schema.Array(Schema.String))
})

const decodeAs = <A>(
  schema: Schema.ConstraintDecoder<A>,
  json: unknown,
  source: string
): Result.Result<A, InvalidModelConfig> =>
  Result.mapError(
    Schema.decodeUnknownResult(schema)(json),
    (error) => new InvalidModelConfig({ source, ...firstIssue(error) })
  )

const architectureOf = (
  json: unknown,
  source: string
): Result.Result<Architecture, ModelConfigError> =>
  Result.gen(function*() {
    const identity = yield* decodeAs(Identity, json, source)
    const named = identity.architectures?.[0]
    const known = Architecture.literals.find((family) =>
      (named === undefined ? identity.model_type === family : named === classNames[family]) &&
      (identity.model_type ?? family) === family
    )
    if (known !== undefined) return known
    if (named === undefined && (identity.model_type ?? undefined) === undefined) {
      return yield* Result.fail(
        new InvalidModelConfig({ source, key: "model_type", reason: "Missing key: nothing names the architecture" })
      )
    }
    return yield* Result.fail(
      new UnknownArchitecture({
        source,
        architecture: [named, identity.model_type].filter((name) => typeof name === "string").join(" / "),
        supported: Architecture.literals.map((family) => classNames[family])
      })
    )
  })

const unsupported = (
  file: HuggingFaceConfig,
  source: string
): Result.Result<Precision, UnsupportedModelFeature> => {
  const refuse = (key: string, found: string, supported: ReadonlyArray<string>) =>
    Result.fail(new UnsupportedModelFeature({ source, key, found, supported }))
  const activation = file.hidden_act ?? "silu"
  if (activation !== "silu" && activation !== "swish") return refuse("hidden_act", `"${activation}"`, ["silu"])
  if (file.quantization_config !== undefined && file.quantization_config !== null) {
    return refuse("quantization_config", "set (quantised weights)", ["weights in F32, F16 or BF16"])
  }
  const written = file.dtype ?? file.torch_dtype ?? "float32"
  const precision = Precision.literals.find((name) => written === name || written === `torch.${name}`)
  return precision === undefined
    ? refuse(file.dtype ? "dtype" : "torch_dtype", `"${written}"`, Precision.literals)
    : Result.succeed(precision)
}

/** Windowed layers are those from `max_window_layers` on, or those that `layer_types` says. Llama has none. */
const slidingWindowOf = (architecture: Architecture, file: HuggingFaceConfig): number | null => {
  if (architecture === "llama" || file.use_sliding_window !== true) return null
  const windowed = file.layer_types
    ? file.layer_types.includes("sliding_attention")
    : (file.max_window_layers ?? 28) < file.num_hidden_layers
  return windowed ? file.sliding_window ?? 4096 : null
}

const headDimOf = (
  architecture: Architecture,
  file: HuggingFaceConfig,
  source: string
): Result.Result<number, InvalidModelConfig> => {
  // Qwen3's configuration class has a default of its own; in the other families the key is optional by formula.
  const headDim = file.head_dim ?? (architecture === "qwen3" ? 128 : file.hidden_size / file.num_attention_heads)
  if (!Number.isInteger(headDim)) {
    return Result.fail(
      new InvalidModelConfig({
        source,
        key: "num_attention_heads",
        reason: `Expected a divisor of hidden_size ${file.hidden_size}, got ${file.num_attention_heads}`
      })
    )
  }
  return headDim % 2 === 0
    ? Result.succeed(headDim)
    : Result.fail(
      new InvalidModelConfig({
        source,
        key: "head_dim",
        reason: `Expected an even number (the rotary embedding turns pairs), got ${headDim}`
      })
    )
}

const idsOf = (ids: number | ReadonlyArray<number> | null | undefined): ReadonlyArray<number> =>
  ids === null || ids === undefined ? [] : typeof ids === "number" ? [ids] : ids

/**
 * Reads the content of a `config.json`, in the form of transformers 5 (`rope_parameters`, `dtype`) or of the versions
 * before (`rope_theta` with `rope_scaling`, `torch_dtype`). Defaults of absent keys are those of transformers'
 * configuration classes. `source` names the file in errors.
 *
 * @category conversions
 * @since 0.1.0
 */
export const decode = (
  json: unknown,
  source = "config.json"
): Result.Result<ModelConfig, ModelConfigError> =>
  Result.gen(function*() {
    const object = yield* decodeAs(Schema.JsonObject, json, source)
    const architecture = yield* architectureOf(object, source)
    const file = yield* decodeAs(HuggingFaceConfig, object, source)
    const precision = yield* unsupported(file, source)
    const rope = yield* decodeRope(file, source)
    const headDim = yield* headDimOf(architecture, file, source)
    const keyValueHeads = file.num_key_value_heads ?? file.num_attention_heads
    if (file.num_attention_heads % keyValueHeads !== 0) {
      return yield* Result.fail(
        new InvalidModelConfig({
          source,
          key: "num_key_value_heads",
          reason: `Expected a divisor of num_attention_heads ${file.num_attention_heads}, got ${keyValueHeads}`
        })
      )
    }
    return new ModelConfig({
      architecture,
      vocabularySize: file.vocab_size,
      hiddenSize: file.hidden_size,
      intermediateSize: file.intermediate_size,
      layers: file.num_hidden_layers,
      heads: file.num_attention_heads,
      keyValueHeads,
      headDim,
      maxPositions: file.max_position_embeddings,
      slidingWindow: slidingWindowOf(architecture, file),
      rmsNormEps: file.rms_norm_eps ?? 1e-6,
      ropeTheta: rope.theta,
      ropeScaling: rope.scaling,
      tieWordEmbeddings: file.tie_word_embeddings ?? false,
      attentionBias: file.attention_bias ?? false,
      ...(architecture === "llama" && file.mlp_bias === true ? { mlpBias: true } : {}),
      bosTokenIds: idsOf(file.bos_token_id),
      eosTokenIds: idsOf(file.eos_token_id),
      // Some exporters write -1 for "none".
      padTokenId: file.pad_token_id === null || file.pad_token_id === undefined || file.pad_token_id < 0
        ? null
        : file.pad_token_id,
      precision,
      others: Object.fromEntries(Object.entries(object).filter(([key]) => !ownKeys.has(key)))
    })
  })

const GenerationConfig = Schema.Struct({ eos_token_id: optional(TokenIdOrIds) })

/**
 * Adds the end-of-text ids of a `generation_config.json`: instruct models often list more there than in `config.json`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const withGenerationConfig = (
  config: ModelConfig,
  json: unknown,
  source = "generation_config.json"
): Result.Result<ModelConfig, InvalidModelConfig> =>
  Result.map(decodeAs(GenerationConfig, json, source), (file) =>
    new ModelConfig({
      ...config,
      eosTokenIds: [...new Set([...config.eosTokenIds, ...idsOf(file.eos_token_id)])]
    }))

const idsToHuggingFace = (ids: ReadonlyArray<number>): Schema.Json =>
  ids.length === 0 ? null : ids.length === 1 ? ids[0]! : ids

/**
 * The content of a `config.json` that transformers loads: both spellings of the rotary parameters and of the data type
 * are written, because version 5 knows one and the versions before the other. Keys are sorted.
 *
 * @category conversions
 * @since 0.1.0
 */
export const encode = (config: ModelConfig): { readonly [key: string]: Schema.Json } => {
  const scaling = config.ropeScaling === null ? null : encodeScaling(config.ropeScaling)
  const window: { readonly [key: string]: Schema.Json } =
    config.slidingWindow === null || config.architecture === "llama"
      ? {}
      : { max_window_layers: 0, sliding_window: config.slidingWindow, use_sliding_window: true }
  const content: { readonly [key: string]: Schema.Json } = {
    ...window,
    ...config.others,
    architectures: [classNames[config.architecture]],
    attention_bias: config.attentionBias,
    bos_token_id: idsToHuggingFace(config.bosTokenIds),
    dtype: config.precision,
    eos_token_id: idsToHuggingFace(config.eosTokenIds),
    head_dim: config.headDim,
    hidden_act: "silu",
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    max_position_embeddings: config.maxPositions,
    ...(config.architecture === "llama" ? { mlp_bias: mlpBias(config) } : {}),
    model_type: config.architecture,
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    num_key_value_heads: config.keyValueHeads,
    pad_token_id: config.padTokenId,
    rms_norm_eps: config.rmsNormEps,
    rope_parameters: { ...(scaling ?? { rope_type: "default" }), rope_theta: config.ropeTheta },
    rope_scaling: scaling,
    rope_theta: config.ropeTheta,
    tie_word_embeddings: config.tieWordEmbeddings,
    torch_dtype: config.precision,
    vocab_size: config.vocabularySize
  }
  return Object.fromEntries(Object.entries(content).sort(([a], [b]) => a < b ? -1 : 1))
}
