/**
 * Causal attention inside each sequence of a packed batch, with grouped queries.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { differentiable, hasKernel, output, runFused } from "./kernel.ts"
import type { Packing, RowLayout } from "./packing.ts"

/**
 * `out [T, H, D]` and what the gradient needs besides: the logarithms of the softmax's denominators `[T, H]` on a
 * device with the fused kernel, the attention weights of rows where plain operations did the work.
 *
 * @category models
 * @since 0.1.0
 */
export type Attention = {
  readonly out: tf.Tensor
  readonly residual: tf.Tensor
}

interface Heads {
  readonly rows: RowLayout
  readonly kv: number
  readonly group: number
  readonly dim: number
}

const heads = (rows: RowLayout, q: tf.Tensor, k: tf.Tensor): Heads => {
  const kv = k.shape[1] ?? 1
  return { rows, kv, group: (q.shape[1] ?? 1) / kv, dim: q.shape[2] ?? 0 }
}

/** `[T, KV * group, D]` → `[n * KV, group * L, D]` */
const toHeads = (x: tf.Tensor, group: number, { dim, kv, rows }: Heads): tf.Tensor => {
  const { length, pad, sequences, unpad } = rows
  const padded = unpad === undefined ? x : tf.gather(x, pad)
  const split = group === 1
    ? tf.transpose(tf.reshape(padded, [sequences, length, kv, dim]), [0, 2, 1, 3])
    : tf.transpose(tf.reshape(padded, [sequences, length, kv, group, dim]), [0, 2, 3, 1, 4])
  return tf.reshape(split, [sequences * kv, group * length, dim])
}

/** `[n * KV, group * L, D]` → `[T, KV * group, D]` */
const fromHeads = (x: tf.Tensor, group: number, { dim, kv, rows }: Heads): tf.Tensor => {
  const { length, sequences, unpad } = rows
  const joined = group === 1
    ? tf.transpose(tf.reshape(x, [sequences, kv, length, dim]), [0, 2, 1, 3])
    : tf.transpose(tf.reshape(x, [sequences, kv, group, length, dim]), [0, 3, 1, 2, 4])
  const flat = tf.reshape(joined, [sequences * length, kv * group, dim])
  return unpad === undefined ? flat : tf.gather(flat, unpad)
}

/** Sets rows of padding to zero before they enter a sum over tokens. */
const unpadGradient = (x: tf.Tensor, group: number, shape: Heads): tf.Tensor => {
  const { length, mask, pad, sequences, unpad } = shape.rows
  if (unpad === undefined) return toHeads(x, group, shape)
  const [, width = 0, dim = 0] = x.shape
  const scattered = tf.scatterND(tf.reshape(unpad, [-1, 1]), x, [sequences * length, width, dim])
  return toHeads(scattered, group, { ...shape, rows: { sequences, length, mask, pad } })
}

/** A row layout as a kernel takes it. */
const rowInputs = ({ mask, pad, unpad }: RowLayout): tf.NamedTensorMap =>
  unpad === undefined ? { mask, pad } : { mask, pad, unpad }

const weights = (q: tf.Tensor, k: tf.Tensor, scale: number, { group, kv, rows }: Heads): tf.Tensor => {
  const { length, mask, sequences } = rows
  const scores = tf.matMul(tf.mul(q, scale), k, false, true)
  const masked = tf.add(tf.reshape(scores, [sequences * kv * group, length, length]), mask)
  return tf.reshape(tf.softmax(masked), [sequences * kv, group * length, length])
}

/**
 * `q [T, H, D]`, `k`, `v [T, KV, D]` → `softmax(scale q kᵀ) v` over the tokens of the same sequence up to the own one,
 * without a gradient.
 *
 * @category operations
 * @since 0.1.0
 */
export const attentionForward = (
  q: tf.Tensor,
  k: tf.Tensor,
  v: tf.Tensor,
  packing: Packing,
  scale: number
): Attention => {
  const { rows } = packing
  if (rows === undefined) {
    const outputs = runFused("SrAttention", { q, k, v, cuSeqlens: packing.tensor }, { scale })
    return { out: output(outputs, 0), residual: output(outputs, 1) }
  }
  if (hasKernel("SrRowAttention")) {
    const outputs = runFused("SrRowAttention", { q, k, v, ...rowInputs(rows) }, { scale })
    return { out: output(outputs, 0), residual: output(outputs, 1) }
  }
  return tf.tidy(() => {
    const shape = heads(rows, q, k)
    const residual = weights(toHeads(q, shape.group, shape), toHeads(k, 1, shape), scale, shape)
    const out = tf.matMul(residual, toHeads(v, 1, shape))
    return { out: fromHeads(out, shape.group, shape), residual }
  })
}

/**
 * Gradient of {@link attentionForward}.
 *
 * @category operations
 * @since 0.1.0
 */
export const attentionGrad = (
  q: tf.Tensor,
  k: tf.Tensor,
  v: tf.Tensor,
  forward: Attention,
  dout: tf.Tensor,
  packing: Packing,
  scale: number
): readonly [dq: tf.Tensor, dk: tf.Tensor, dv: tf.Tensor] => {
  const { rows } = packing
  const { out, residual } = forward
  if (rows === undefined) {
    const inputs = { q, k, v, out, lse: residual, dout, cuSeqlens: packing.tensor }
    const outputs = runFused("SrAttentionGrad", inputs, { scale })
    return [output(outputs, 0), output(outputs, 1), output(outputs, 2)]
  }
  if (hasKernel("SrRowAttentionGrad")) {
    const inputs = { q, k, v, out, weights: residual, dout, ...rowInputs(rows) }
    const outputs = runFused("SrRowAttentionGrad", inputs, { scale })
    return [output(outputs, 0), output(outputs, 1), output(outputs, 2)]
  }
  return tf.tidy(() => {
    const shape = heads(rows, q, k)
    const { group } = shape
    const dOut = unpadGradient(dout, group, shape)
    const dv = tf.matMul(residual, dOut, true, false)
    const dWeights = tf.matMul(dOut, toHeads(v, 1, shape), false, true)
    const weighted = tf.mul(residual, dWeights)
    const dScores = tf.sub(weighted, tf.mul(residual, tf.sum(weighted, -1, true)))
    const dq = tf.mul(tf.matMul(dScores, toHeads(k, 1, shape)), scale)
    const dk = tf.mul(tf.matMul(dScores, toHeads(q, group, shape), true, false), scale)
    return [fromHeads(dq, group, shape), fromHeads(dk, 1, shape), fromHeads(dv, 1, shape)] as const
  })
}

/**
 * Causal attention, differentiable in `q`, `k` and `v`.
 *
 * @category operations
 * @since 0.1.0
 */
export const attention = (
  q: tf.Tensor,
  k: tf.Tensor,
  v: tf.Tensor,
  packing: Packing,
  scale: number
): tf.Tensor =>
  differentiable(
    [q, k, v],
    (save) => {
      const { out, residual } = attentionForward(q, k, v, packing, scale)
      save([out, residual])
      return out
    },
    (dout, saved) => {
      const forward = { out: output(saved, 0), residual: output(saved, 1) }
      return attentionGrad(q, k, v, forward, dout, packing, scale)
    }
  )
