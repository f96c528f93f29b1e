/**
 * Matrix products that go into a sum.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { hasKernel, output, runFused } from "./kernel.ts"

/**
 * `start [M, N] + a [M, K] · b [K, N]`, or `a · bᵀ` with `transposeB`, without a gradient.
 *
 * @category operations
 * @since 0.1.0
 */
export const matMulAdd = (start: tf.Tensor, a: tf.Tensor, b: tf.Tensor, transposeB = false): tf.Tensor => {
  if (hasKernel("SrMatMulAdd")) return output(runFused("SrMatMulAdd", { start, a, b }, { transposeB }), 0)
  return tf.tidy(() => tf.add(start, tf.matMul(a, b, false, transposeB)))
}
