/**
 * Root-mean-square normalisation: `y = x / sqrt(mean(x²) + eps) * weight` over the last axis.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { differentiable, hasKernel, output, runFused } from "./kernel.ts"

/**
 * `x [N, D]`, `weight [D]` → `[N, D]`, without a gradient.
 *
 * @category operations
 * @since 0.1.0
 */
export const rmsNormForward = (x: tf.Tensor, weight: tf.Tensor, eps: number): tf.Tensor =>
  hasKernel("SrRmsNorm")
    ? output(runFused("SrRmsNorm", { x, weight }, { eps }), 0)
    : tf.tidy(() => tf.mul(tf.mul(x, inverseRms(x, eps)), weight))

const inverseRms = (x: tf.Tensor, eps: number): tf.Tensor => tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), eps))

/**
 * Gradient of {@link rmsNormForward}: `dx [N, D]`, with `add [N, D]` added where there is one, and `dWeight [D]`.
 *
 * @category operations
 * @since 0.1.0
 */
export const rmsNormGrad = (
  x: tf.Tensor,
  weight: tf.Tensor,
  dy: tf.Tensor,
  eps: number,
  add?: tf.Tensor
): readonly [dx: tf.Tensor, dWeight: tf.Tensor] => {
  if (add !== undefined) {
    if (hasKernel("SrRmsNormGradAdd")) {
      const outputs = runFused("SrRmsNormGradAdd", { x, weight, dy, add }, { eps })
      return [output(outputs, 0), output(outputs, 1)]
    }
    const [dx, dWeight] = rmsNormGrad(x, weight, dy, eps)
    const sum = tf.add(add, dx)
    dx.dispose()
    return [sum, dWeight]
  }
  if (hasKernel("SrRmsNormGrad")) {
    const outputs = runFused("SrRmsNormGrad", { x, weight, dy }, { eps })
    return [output(outputs, 0), output(outputs, 1)]
  }
  return tf.tidy(() => {
    const inverse = inverseRms(x, eps)
    const normalized = tf.mul(x, inverse)
    const dWeight = tf.sum(tf.mul(dy, normalized), 0)
    const dNormalized = tf.mul(dy, weight)
    const projection = tf.mean(tf.mul(dNormalized, normalized), -1, true)
    const dx = tf.mul(tf.sub(dNormalized, tf.mul(normalized, projection)), inverse)
    return [dx, dWeight] as const
  })
}

/**
 * `x [N, D]`, `weight [D]` → `[N, D]`, differentiable in both.
 *
 * @category operations
 * @since 0.1.0
 */
export const rmsNorm = (x: tf.Tensor, weight: tf.Tensor, eps: number): tf.Tensor =>
  differentiable(
    [x, weight],
    () => rmsNormForward(x, weight, eps),
    (dy) => rmsNormGrad(x, weight, dy, eps)
  )
