/**
 * Rotary position embedding in the rotate-half convention of Hugging Face: with `h = D / 2`,
 * `y[i] = x[i] cos[i] - x[i + h] sin[i]` and `y[i + h] = x[i + h] cos[i] + x[i] sin[i]`.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { differentiable, hasKernel, output, runFused } from "./kernel.ts"

/**
 * The angles of a batch of tokens, made once and used by every layer. `cos` and `sin` are the tables `[P, D / 2]` by
 * position, `positions` is int32 `[T]`. Where the device has no fused kernel, `plain` holds the gathered angles
 * `[T, 1, D]` and the matrix `[D, D]` that rotates halves.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rotary {
  readonly positions: tf.Tensor
  readonly cos: tf.Tensor
  readonly sin: tf.Tensor
  readonly plain?: { readonly cos: tf.Tensor; readonly sin: tf.Tensor; readonly rotate: tf.Tensor }
}

/**
 * Prepares the angles of a batch: to be called inside the computation that uses them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const rotary = (positions: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor): Rotary => {
  if (hasKernel("SrRope")) return { positions, cos, sin }
  const half = cos.shape[1] ?? 0
  const dim = 2 * half
  const rotate = new Float32Array(dim * dim)
  for (let i = 0; i < half; i++) {
    rotate[(i + half) * dim + i] = -1
    rotate[i * dim + i + half] = 1
  }
  const tokens = positions.shape[0] ?? 0
  return {
    positions,
    cos,
    sin,
    plain: tf.tidy(() => {
      const c = tf.gather(cos, positions)
      const s = tf.gather(sin, positions)
      return {
        cos: tf.reshape(tf.concat([c, c], 1), [tokens, 1, dim]),
        sin: tf.reshape(tf.concat([s, s], 1), [tokens, 1, dim]),
        rotate: tf.tensor2d(rotate, [dim, dim])
      }
    })
  }
}

/**
 * `x [T, H, D]` → `[T, H, D]`, without a gradient. `inverse` turns the other way, which is the gradient.
 *
 * @category operations
 * @since 0.1.0
 */
export const ropeForward = (x: tf.Tensor, angles: Rotary, inverse = false): tf.Tensor => {
  const { plain } = angles
  if (plain === undefined) {
    const { cos, positions, sin } = angles
    return output(runFused("SrRope", { x, positions, cos, sin }, { inverse }), 0)
  }
  return tf.tidy(() => {
    const dim = x.shape[2] ?? 0
    const rotated = tf.reshape(tf.matMul(tf.reshape(x, [-1, dim]), plain.rotate), x.shape)
    const straight = tf.mul(x, plain.cos)
    const turned = tf.mul(rotated, plain.sin)
    return inverse ? tf.sub(straight, turned) : tf.add(straight, turned)
  })
}

/**
 * `x [T, H, D]` → `[T, H, D]`, differentiable in `x`.
 *
 * @category operations
 * @since 0.1.0
 */
export const rope = (x: tf.Tensor, angles: Rotary): tf.Tensor =>
  differentiable([x], () => ropeForward(x, angles), (dy) => [ropeForward(dy, angles, true)])
