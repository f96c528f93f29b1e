/**
 * The rotary embedding's keys of Hugging Face's `config.json`.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"
import {
  InvalidModelConfig,
  type ModelConfigError,
  PositiveFinite,
  PositiveInt,
  RopeScaling,
  UnsupportedModelFeature
} from "./ModelConfig.ts"

/**
 * A key that may be absent or `null`, which mean the same in these files.
 *
 * @category schemas
 * @since 0.1.0
 */
export const optional = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

/**
 * The content of `rope_parameters` and `rope_scaling`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RopeFields = Schema.Struct({
  rope_theta: optional(PositiveFinite),
  rope_type: optional(Schema.String),
  /** The name of `rope_type` before transformers 4.43. */
  type: optional(Schema.String),
  factor: optional(PositiveFinite),
  low_freq_factor: optional(PositiveFinite),
  high_freq_factor: optional(PositiveFinite),
  original_max_position_embeddings: optional(PositiveInt),
  beta_fast: optional(PositiveFinite),
  beta_slow: optional(PositiveFinite),
  attention_factor: optional(PositiveFinite),
  mscale: optional(Schema.Finite),
  mscale_all_dim: optional(Schema.Finite),
  truncate: optional(Schema.Boolean),
  partial_rotary_factor: optional(Schema.Finite)
})

type RopeFields = typeof RopeFields.Type

interface RopeConfig {
  readonly max_position_embeddings: number
  readonly partial_rotary_factor?: number | null
  readonly rope_theta?: number | null
  readonly rope_scaling?: RopeFields | null
  readonly rope_parameters?: RopeFields | null
}

const llama3Scaling = (
  rope: RopeFields,
  maxPositions: number,
  key: string,
  source: string
): Result.Result<RopeScaling, InvalidModelConfig> =>
  Result.gen(function*() {
    const { factor, high_freq_factor: high, low_freq_factor: low } = rope
    for (const [name, value] of [["factor", factor], ["low_freq_factor", low], ["high_freq_factor", high]] as const) {
      if (typeof value !== "number") {
        return yield* Result.fail(
          new InvalidModelConfig({ source, key: `${key}.${name}`, reason: "Missing key: rope type llama3 needs it" })
        )
      }
    }
    if (typeof factor !== "number" || typeof low !== "number" || typeof high !== "number" || !(high > low)) {
      return yield* Result.fail(
        new InvalidModelConfig({
          source,
          key: `${key}.high_freq_factor`,
          reason: "Expected a number greater than low_freq_factor"
        })
      )
    }
    return RopeScaling.cases.Llama3.make({
      factor,
      lowFrequencyFactor: low,
      highFrequencyFactor: high,
      originalMaxPositions: rope.original_max_position_embeddings ?? maxPositions
    })
  })

/** Defaults are those of transformers' `_compute_yarn_parameters`. */
const yarnScaling = (rope: RopeFields, maxPositions: number): RopeScaling => {
  const originalMaxPositions = rope.original_max_position_embeddings ?? maxPositions
  const factor = rope.factor ?? maxPositions / originalMaxPositions
  const { mscale, mscale_all_dim: allDim } = rope
  const grown = (scale: number) => factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1
  return RopeScaling.cases.Yarn.make({
    factor,
    originalMaxPositions,
    betaFast: rope.beta_fast ?? 32,
    betaSlow: rope.beta_slow ?? 1,
    attentionFactor: rope.attention_factor ?? (mscale && allDim ? grown(mscale) / grown(allDim) : grown(1)),
    truncate: rope.truncate ?? true
  })
}

/**
 * Base and scaling of the rotary embedding.
 *
 * @category conversions
 * @since 0.1.0
 */
export const decodeRope = (
  file: RopeConfig,
  source: string
): Result.Result<{ readonly theta: number; readonly scaling: RopeScaling | null }, ModelConfigError> =>
  Result.gen(function*() {
    const key = file.rope_parameters ? "rope_parameters" : "rope_scaling"
    const rope: RopeFields = file.rope_parameters ?? file.rope_scaling ?? {}
    const theta = rope.rope_theta ?? file.rope_theta ?? 10_000
    const partial = rope.partial_rotary_factor ?? file.partial_rotary_factor ?? 1
    if (partial !== 1) {
      return yield* Result.fail(
        new UnsupportedModelFeature({
          source,
          key: "partial_rotary_factor",
          found: String(partial),
          supported: ["1"]
        })
      )
    }
    const type = rope.rope_type ?? rope.type ?? "default"
    switch (type) {
      case "default":
        return { theta, scaling: null }
      case "llama3":
        return { theta, scaling: yield* llama3Scaling(rope, file.max_position_embeddings, key, source) }
      case "yarn":
        return { theta, scaling: yarnScaling(rope, file.max_position_embeddings) }
      case "linear":
      case "dynamic":
        if (typeof rope.factor !== "number") {
          return yield* Result.fail(
            new InvalidModelConfig({ source, key: `${key}.factor`, reason: `Missing key: rope type ${type} needs it` })
          )
        }
        return {
          theta,
          scaling: RopeScaling.cases[type === "linear" ? "Linear" : "Dynamic"].make({ factor: rope.factor })
        }
      default:
        return yield* Result.fail(
          new UnsupportedModelFeature({
            source,
            key: `${key}.rope_type`,
            found: `"${type}"`,
            supported: ["default", "linear", "llama3", "yarn", "dynamic"]
          })
        )
    }
  })

/**
 * @category conversions
 * @since 0.1.0
 */
export const encodeScaling = (scaling: RopeScaling): { readonly [key: string]: Schema.Json } =>
  RopeScaling.match(scaling, {
    Linear: ({ factor }) => ({ factor, rope_type: "linear" }),
    Dynamic: ({ factor }) => ({ factor, rope_type: "dynamic" }),
    Yarn: (yarn) => ({
      attention_factor: yarn.attentionFactor,
      beta_fast: yarn.betaFast,
      beta_slow: yarn.betaSlow,
      factor: yarn.factor,
      original_max_position_embeddings: yarn.originalMaxPositions,
      rope_type: "yarn",
      truncate: yarn.truncate
    }),
    Llama3: (llama3) => ({
      factor: llama3.factor,
      high_freq_factor: llama3.highFrequencyFactor,
      low_freq_factor: llama3.lowFrequencyFactor,
      original_max_position_embeddings: llama3.originalMaxPositions,
      rope_type: "llama3"
    })
  })
