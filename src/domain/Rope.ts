/**
 * Frequencies of the rotary position embedding.
 *
 * @since 0.1.0
 */
import { narrowToBFloat16, narrowToFloat16, widenBFloat16, widenFloat16 } from "./FloatFormats.ts"
import type { ModelConfig, Precision } from "./ModelConfig.ts"

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
 * wants it (transformers `modeling_rope_utils.py`, `_compute_linear_scaling_rope_parameters` and
 * `_compute_llama3_parameters`). Dimension `i` is paired with `i + headDim / 2`. With a `ropePrecision` they are what a
 * module holds that was cast to that format as a whole, its buffers included.
 *
 * @category getters
 * @since 0.1.0
 */
export const inverseFrequencies = (config: ModelConfig): Float64Array =>
  config.ropePrecision === undefined ? exact(config) : rounded(exact(config), config.ropePrecision)

const exact = (config: ModelConfig): Float64Array => {
  const frequencies = Float64Array.from(
    { length: config.headDim / 2 },
    (_, pair) => config.ropeTheta ** (-2 * pair / config.headDim)
  )
  const scaling = config.ropeScaling
  if (scaling === null) return frequencies
  if (scaling._tag === "Linear") return frequencies.map((frequency) => frequency / scaling.factor)
  const { factor, highFrequencyFactor, lowFrequencyFactor, originalMaxPositions } = scaling
  return frequencies.map((frequency) => {
    const wavelength = 2 * Math.PI / frequency
    if (wavelength < originalMaxPositions / highFrequencyFactor) return frequency
    if (wavelength > originalMaxPositions / lowFrequencyFactor) return frequency / factor
    const smooth = (originalMaxPositions / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
    return (1 - smooth) * frequency / factor + smooth * frequency
  })
}
