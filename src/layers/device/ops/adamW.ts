/**
 * The optimizer's arithmetic on the device.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { hasKernel, output, runFused } from "./kernel.ts"

/**
 * A parameter with the moments of Adam, all of one shape, float32.
 *
 * @category models
 * @since 0.1.0
 */
export interface AdamState {
  readonly param: tf.Tensor
  readonly m: tf.Tensor
  readonly v: tf.Tensor
}

/**
 * Settings of one step. `step` counts from 1; the gradient is multiplied by `gradScale` before use.
 *
 * @category models
 * @since 0.1.0
 */
export interface AdamWOptions {
  readonly lr: number
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  readonly weightDecay: number
  readonly step: number
  readonly gradScale: number
}

/**
 * One step of AdamW with decoupled decay (Loshchilov and Hutter 2019; PyTorch's `AdamW`):
 * `p ← p (1 - lr wd) - lr m̂ / (√v̂ + eps)`. The state is spent: a device whose kernel changes it in place returns
 * it, others have disposed of it and return new tensors.
 *
 * @category operations
 * @since 0.1.0
 */
export const adamW = (state: AdamState, grad: tf.Tensor, options: AdamWOptions): AdamState => {
  if (hasKernel("SrAdamW")) {
    const outputs = runFused("SrAdamW", { ...state, grad }, { ...options })
    const [param, m, v] = outputs
    if (param !== undefined && m !== undefined && v !== undefined) {
      tf.dispose([state.param, state.m, state.v])
      return { param, m, v }
    }
    tf.dispose(outputs)
    return state
  }
  const { beta1, beta2, eps, gradScale, lr, step, weightDecay } = options
  const next = tf.tidy(() => {
    const g = gradScale === 1 ? grad : tf.mul(grad, gradScale)
    const m = tf.add(tf.mul(state.m, beta1), tf.mul(g, 1 - beta1))
    const v = tf.add(tf.mul(state.v, beta2), tf.mul(tf.square(g), 1 - beta2))
    const denominator = tf.add(tf.mul(tf.sqrt(v), 1 / Math.sqrt(1 - beta2 ** step)), eps)
    const update = tf.mul(tf.div(m, denominator), lr / (1 - beta1 ** step))
    const decayed = weightDecay === 0 ? state.param : tf.mul(state.param, 1 - lr * weightDecay)
    return { param: tf.sub(decayed, update), m, v }
  })
  tf.dispose([state.param, state.m, state.v])
  return next
}

/**
 * `Σ x²` as a scalar.
 *
 * @category operations
 * @since 0.1.0
 */
export const sumSquares = (x: tf.Tensor): tf.Tensor =>
  hasKernel("SrSumSquares") ? output(runFused("SrSumSquares", { x }), 0) : tf.tidy(() => tf.sum(tf.square(x)))
