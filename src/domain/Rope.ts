/**
 * Frequencies of the rotary position embedding.
 *
 * @since 0.1.0
 */
import { narrowToBFloat16, narrowToFloat16, widenBFloat16, widenFloat16 } from "./FloatFormats.ts"
import { type ModelConfig, type Precision, RopeScaling } from "./ModelConfig.ts"

/** The nearest values of a format to those of float32. */
const rounded = (values: Float64Array, precision: Precision): Float64Array => {
  const single = Float32Array.from(values)
  const words = new Uint16Array(values.length)
  if (precision === "bfloat16") {
    narrowToBFloat16(single, words)
    widenBFloat16(words, single)
  } else if (precision === "float16") {
    narrowToFloat16(single, words)
    widenFloat16(words, single)
  }
  return Float64Array.from(single)
}

/**
 * Radians by which pair `i` turns per position, shape `[headDim / 2]`: `theta^(-2i / headDim)`, scaled as the model
 * wants it (transformers `modeling_rope_utils.py`, `_compute_linear_scaling_rope_parameters`,
 * `_compute_llama3_parameters` and `_compute_yarn_parameters`). Dimension `i` is paired with `i + headDim / 2`. With a `ropePrecision` they are what a
 * module holds that was cast to that format as a whole, its buffers included.
 *
 * @category getters
 * @since 0.1.0
 */
export const inverseFrequencies = (config: ModelConfig): Float64Array =>
  config.ropePrecision === undefined ? exact(config) : rounded(exact(config), config.ropePrecision)

/**
 * What cosines and sines of the angles are multiplied by: 1 but for YaRN.
 *
 * @category getters
 * @since 0.1.0
 */
export const attentionFactor = ({ ropeScaling }: ModelConfig): number =>
  ropeScaling?._tag === "Yarn" ? ropeScaling.attentionFactor : 1

type Scaling<Tag extends RopeScaling["_tag"]> = Extract<RopeScaling, { readonly _tag: Tag }>

const llama3 = (
  { factor, highFrequencyFactor, lowFrequencyFactor, originalMaxPositions }: Scaling<"Llama3">
) =>
(frequency: number): number => {
  const wavelength = 2 * Math.PI / frequency
  if (wavelength < originalMaxPositions / highFrequencyFactor) return frequency
  if (wavelength > originalMaxPositions / lowFrequencyFactor) return frequency / factor
  const smooth = (originalMaxPositions / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
  return (1 - smooth) * frequency / factor + smooth * frequency
}

const yarn = (
  { headDim, ropeTheta }: ModelConfig,
  { betaFast, betaSlow, factor, originalMaxPositions, truncate }: Scaling<"Yarn">
) => {
  /** The pair, fractions included, that turns so many times in the original context. */
  const pairOf = (turns: number) =>
    headDim * Math.log(originalMaxPositions / (turns * 2 * Math.PI)) / (2 * Math.log(ropeTheta))
  const [fast, slow] = [pairOf(betaFast), pairOf(betaSlow)]
  const first = Math.max(truncate ? Math.floor(fast) : fast, 0)
  const last = Math.min(truncate ? Math.ceil(slow) : slow, headDim - 1)
  const width = first === last ? 0.001 : last - first
  return (frequency: number, pair: number): number => {
    const divided = Math.min(1, Math.max(0, (pair - first) / width))
    return divided * frequency / factor + (1 - divided) * frequency
  }
}

const exact = (config: ModelConfig): Float64Array => {
  const frequencies = Float64Array.from(
    { length: config.headDim / 2 },
    (_, pair) => config.ropeTheta ** (-2 * pair / config.headDim)
  )
  return config.ropeScaling === null
    ? frequencies
    : RopeScaling.match(config.ropeScaling, {
      Linear: ({ factor }) => frequencies.map((frequency) => frequency / factor),
      Llama3: (scaling) => frequencies.map(llama3(scaling)),
      Yarn: (scaling) => frequencies.map(yarn(config, scaling)),
      Dynamic: () => frequencies
    })
}
