/**
 * Frequencies of the rotary position embedding.
 *
 * @since 0.1.0
 */
import type { ModelConfig } from "./ModelConfig.ts"

/**
 * Radians by which pair `i` turns per position, shape `[headDim / 2]`: `theta^(-2i / headDim)`, scaled as the model
 * wants it (transformers `modeling_rope_utils.py`, `_compute_linear_scaling_rope_parameters` and
 * `_compute_llama3_parameters`). Dimension `i` is paired with `i + headDim / 2`.
 *
 * @category getters
 * @since 0.1.0
 */
export const inverseFrequencies = (config: ModelConfig): Float64Array => {
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
