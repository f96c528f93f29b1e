/**
 * The gated activation of the feed-forward block: `silu(gate) * up`.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { differentiable, hasKernel, output, runFused } from "./kernel.ts"

/**
 * `gate`, `up [T, F]` → `[T, F]`, without a gradient.
 *
 * @category operations
 * @since 0.1.0
 */
export const swiGluForward = (gate: tf.Tensor, up: tf.Tensor): tf.Tensor =>
  hasKernel("SrSwiGlu")
    ? output(runFused("SrSwiGlu", { gate, up }), 0)
    : tf.tidy(() => tf.mul(tf.mul(gate, tf.sigmoid(gate)), up))

/**
 * Gradient of {@link swiGluForward}, each `[T, F]`.
 *
 * @category operations
 * @since 0.1.0
 */
export const swiGluGrad = (
  gate: tf.Tensor,
  up: tf.Tensor,
  dy: tf.Tensor
): readonly [dGate: tf.Tensor, dUp: tf.Tensor] => {
  if (hasKernel("SrSwiGluGrad")) {
    const outputs = runFused("SrSwiGluGrad", { gate, up, dy })
    return [output(outputs, 0), output(outputs, 1)]
  }
  return tf.tidy(() => {
    const sigmoid = tf.sigmoid(gate)
    const silu = tf.mul(gate, sigmoid)
    const dSigmoid = tf.mul(tf.sub(gate, silu), sigmoid)
    const dGate = tf.mul(tf.mul(dy, up), tf.add(sigmoid, dSigmoid))
    return [dGate, tf.mul(dy, silu)] as const
  })
}

/**
 * `gate`, `up [T, F]` → `[T, F]`, differentiable in both.
 *
 * @category operations
 * @since 0.1.0
 */
export const swiGlu = (gate: tf.Tensor, up: tf.Tensor): tf.Tensor =>
  differentiable([gate, up], () => swiGluForward(gate, up), (dy) => swiGluGrad(gate, up, dy))
