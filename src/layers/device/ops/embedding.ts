/**
 * Rows of an embedding table.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { differentiable, hasKernel, output, runFused } from "./kernel.ts"

/**
 * Gradient of a row lookup: adds `dy [T, D]` into rows `ids` (int32 `[T]`) of a zero table `[vocab, D]`.
 *
 * @category operations
 * @since 0.1.0
 */
export const embeddingGrad = (ids: tf.Tensor, dy: tf.Tensor, vocab: number): tf.Tensor =>
  hasKernel("SrEmbeddingGrad")
    ? output(runFused("SrEmbeddingGrad", { ids, dy }, { vocab }), 0)
    : tf.tidy(() => tf.unsortedSegmentSum(dy, tf.reshape<tf.Rank.R1>(ids, [ids.size]), vocab))

/**
 * `table [V, D]`, `ids` int32 `[T]` → `[T, D]`, differentiable in the table.
 *
 * @category operations
 * @since 0.1.0
 */
export const embedding = (table: tf.Tensor, ids: tf.Tensor): tf.Tensor =>
  differentiable(
    [table],
    (save) => {
      save([ids])
      return tf.gather(table, ids)
    },
    (dy, saved) => [embeddingGrad(output(saved, 0), dy, table.shape[0] ?? 0)]
  )
