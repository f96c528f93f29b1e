/**
 * Several sequences one behind the other in one batch of tokens.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { hasKernel } from "./kernel.ts"

/**
 * What the composition of plain operations needs: sequences as rows of equal length. `pad [sequences, length]` takes
 * packed tokens to rows and `unpad [tokens]` back (absent where all sequences have one length), `mask [length, length]` is 0
 * on and below the diagonal and very negative above.
 *
 * @category models
 * @since 0.1.0
 */
export interface RowLayout {
  readonly sequences: number
  readonly length: number
  readonly mask: tf.Tensor
  readonly pad: tf.Tensor
  readonly unpad?: tf.Tensor
}

/**
 * Sequence `i` of a packed batch holds the tokens `cuSeqlens[i]` to `cuSeqlens[i + 1]`. `tensor` is the same on the
 * device (int32 `[n + 1]`); `rows` is there only where the device has no fused attention.
 *
 * @category models
 * @since 0.1.0
 */
export interface Packing {
  readonly cuSeqlens: Int32Array
  readonly tensor: tf.Tensor
  readonly rows?: RowLayout
}

/** Added to a score that must not count; finite, so that a row without any score stays a number. */
export const masked = -1e30

const rowLayout = (cuSeqlens: Int32Array): RowLayout => {
  const sequences = cuSeqlens.length - 1
  let length = 0
  let equal = true
  for (let i = 0; i < sequences; i++) {
    const own = (cuSeqlens[i + 1] ?? 0) - (cuSeqlens[i] ?? 0)
    equal = equal && (i === 0 || own === length)
    length = Math.max(length, own)
  }
  const mask = new Float32Array(length * length)
  for (let i = 0; i < length; i++) mask.fill(masked, i * length + i + 1, (i + 1) * length)
  const total = cuSeqlens[sequences] ?? 0
  const pad = new Int32Array(sequences * length)
  const unpad = new Int32Array(total)
  for (let i = 0; i < sequences; i++) {
    const begin = cuSeqlens[i] ?? 0
    const end = cuSeqlens[i + 1] ?? 0
    for (let t = 0; t < length; t++) pad[i * length + t] = Math.min(begin + t, Math.max(begin, end - 1))
    for (let t = begin; t < end; t++) unpad[t] = i * length + t - begin
  }
  const layout = {
    sequences,
    length,
    mask: tf.tensor2d(mask, [length, length]),
    pad: tf.tensor2d(pad, [sequences, length], "int32")
  }
  return equal ? layout : { ...layout, unpad: tf.tensor1d(unpad, "int32") }
}

/**
 * Prepares the layout of a batch: to be called inside the computation that uses it. `cuSeqlens` starts with 0 and does
 * not decrease.
 *
 * @category constructors
 * @since 0.1.0
 */
export const packing = (cuSeqlens: Int32Array): Packing => {
  const tensor = tf.tensor1d(cuSeqlens, "int32")
  return hasKernel("SrAttention") ? { cuSeqlens, tensor } : { cuSeqlens, tensor, rows: rowLayout(cuSeqlens) }
}
