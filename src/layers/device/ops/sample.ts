/**
 * Drawing tokens from logits.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { hasKernel, output, runFused } from "./kernel.ts"

/**
 * How each row is drawn, all of length S. `uniform` holds one number in [0, 1) a row.
 *
 * @category models
 * @since 0.1.0
 */
export interface SamplingRows {
  readonly temperature: Float32Array
  readonly topK: Int32Array
  readonly topP: Float32Array
  readonly uniform: Float32Array
}

/**
 * `ids` int32 `[S]`; `logProb [S]` under the distribution that was sampled (0 for a greedy choice); `modelLogProb [S]`
 * under the plain softmax of the logits.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sampled {
  readonly ids: tf.Tensor
  readonly logProb: tf.Tensor
  readonly modelLogProb: tf.Tensor
}

/** Probability that a token must have to stay, by row: the larger of what top-k and top-p ask for. */
const thresholds = (probabilities: tf.Tensor, rows: SamplingRows): tf.Tensor => {
  const [count = 0, vocab = 0] = probabilities.shape
  const sorted = tf.topk(probabilities, vocab, true).values
  const ranks = tf.range(0, vocab, 1, "float32")
  const before = tf.cumsum(sorted, 1, true)
  const limit = Float32Array.from(rows.topK, (k) => k <= 0 ? vocab : Math.min(k, vocab))
  const least = tf.min(tf.where(tf.less(ranks, tf.tensor2d(limit, [count, 1])), sorted, tf.onesLike(sorted)), 1, true)
  const likely = tf.greaterEqual(sorted, least)
  const share = Float32Array.from(rows.topP, (p) => p >= 1 ? 2 : p)
  const mass = tf.mul(tf.sum(tf.where(likely, sorted, tf.zerosLike(sorted)), 1, true), tf.tensor2d(share, [count, 1]))
  const kept = tf.logicalAnd(likely, tf.logicalOr(tf.less(before, mass), tf.equal(ranks, 0)))
  return tf.min(tf.where(kept, sorted, tf.onesLike(sorted)), 1, true)
}

/**
 * Which parts of the general way to draw some rows need: `greedy` where a row has temperature 0, `tempered` where one has
 * another than 0 and 1, `truncated` where top-k or top-p cuts a row that is drawn.
 *
 * @category models
 * @since 0.1.0
 */
export type SamplingParts = {
  readonly greedy: boolean
  readonly tempered: boolean
  readonly truncated: boolean
}

/**
 * @category getters
 * @since 0.1.0
 */
export const samplingParts = ({ temperature, topK, topP }: SamplingRows): SamplingParts => {
  let [greedy, tempered, truncated] = [false, false, false]
  for (let i = 0; i < temperature.length; i++) {
    const t = temperature[i] ?? 0
    greedy ||= t === 0
    tempered ||= t !== 0 && t !== 1
    truncated ||= t !== 0 && ((topK[i] ?? 0) > 0 || (topP[i] ?? 1) < 1)
  }
  return { greedy, tempered, truncated }
}

/**
 * {@link sample} on a device with the fused kernel, for settings that lie on the device already. The kernel may leave out
 * what `parts` says is not needed.
 *
 * @category operations
 * @since 0.1.0
 */
export const sampleFused = (
  logits: tf.Tensor,
  rows: {
    readonly temperature: tf.Tensor
    readonly topK: tf.Tensor
    readonly topP: tf.Tensor
    readonly uniform: tf.Tensor
  },
  parts: SamplingParts
): Sampled => {
  const { temperature, topK, topP, uniform } = rows
  const outputs = runFused("SrSample", { logits, temperature, topK, topP, uniform }, { ...parts })
  return { ids: output(outputs, 0), logProb: output(outputs, 1), modelLogProb: output(outputs, 2) }
}

/**
 * Draws one token a row of `logits [S, V]`. The distribution is the softmax at the row's temperature, cut to its `topK`
 * likeliest tokens (0: all) and of these to the smallest set that has `topP` of their mass, ties at the border kept, as
 * transformers and vLLM do; the token is the first in vocabulary order whose cumulated probability exceeds the row's uniform number, so a row's
 * draw does not depend on other rows. Temperature 0 takes the likeliest token.
 *
 * @category operations
 * @since 0.1.0
 */
export const sample = (logits: tf.Tensor, rows: SamplingRows): Sampled => {
  const [count = 0, vocab = 0] = logits.shape
  if (hasKernel("SrSample")) {
    const tensors = {
      temperature: tf.tensor1d(rows.temperature),
      topK: tf.tensor1d(rows.topK, "int32"),
      topP: tf.tensor1d(rows.topP),
      uniform: tf.tensor1d(rows.uniform)
    }
    const sampled = sampleFused(logits, tensors, samplingParts(rows))
    tf.dispose([tensors.temperature, tensors.topK, tensors.topP, tensors.uniform])
    return sampled
  }
  return tf.tidy(() => {
    const greedy = rows.temperature.some((t) => t === 0)
    const allGreedy = rows.temperature.every((t) => t === 0)
    const atOne = rows.temperature.every((t) => t === 1)
    const truncated = rows.topK.some((k, i) => k > 0 && rows.temperature[i] !== 0) ||
      rows.topP.some((p, i) => p < 1 && rows.temperature[i] !== 0)
    const modelLogProbs = tf.logSoftmax(logits)
    const at = (x: tf.Tensor, ids: tf.Tensor) => tf.gatherND(x, tf.stack([tf.range(0, count, 1, "int32"), ids], 1))
    const best = greedy ? tf.cast(tf.argMax(logits, 1), "int32") : undefined
    if (allGreedy && best !== undefined) {
      return { ids: best, logProb: tf.zeros([count]), modelLogProb: at(modelLogProbs, best) }
    }
    const inverse = Float32Array.from(rows.temperature, (t) => t === 0 ? 1 : 1 / t)
    const plain = atOne ? tf.exp(modelLogProbs) : tf.softmax(tf.mul(logits, tf.tensor2d(inverse, [count, 1])))
    const probabilities = truncated
      ? tf.mul(plain, tf.cast(tf.greaterEqual(plain, thresholds(plain, rows)), "float32"))
      : plain
    const cumulated = tf.cumsum(probabilities, 1)
    const total = tf.slice(cumulated, [0, vocab - 1], [count, 1])
    const bound = tf.mul(total, tf.tensor2d(rows.uniform, [count, 1]))
    const below = tf.sum(tf.cast(tf.lessEqual(cumulated, bound), "int32"), 1)
    // The bound is below the total, so some cumulated probability exceeds it; rounding cannot go beyond the last id.
    const drawn = tf.minimum(tf.cast(below, "int32"), tf.scalar(vocab - 1, "int32"))
    const drawnLogProb = tf.log(tf.div(at(probabilities, drawn), tf.reshape(total, [count])))
    if (best === undefined) {
      const modelLogProb = at(modelLogProbs, drawn)
      return { ids: drawn, logProb: atOne && !truncated ? tf.clone(modelLogProb) : drawnLogProb, modelLogProb }
    }
    const isGreedy = tf.tensor1d(Array.from(rows.temperature, (t) => t === 0), "bool")
    const ids = tf.cast(tf.where(isGreedy, best, drawn), "int32")
    const logProb = tf.where(isGreedy, tf.zerosLike(drawnLogProb), drawnLogProb)
    return { ids, logProb, modelLogProb: at(modelLogProbs, ids) }
  })
}

/**
 * Keeps a draw to the ids below `vocabulary`: those beyond it have probability 0 for the draw and `logProb`, while
 * `modelLogProb` counts them in, as the model does. `draw` is {@link sample} or {@link sampleFused}.
 *
 * @category operations
 * @since 0.1.0
 */
export const within = (logits: tf.Tensor, vocabulary: number, draw: (logits: tf.Tensor) => Sampled): Sampled => {
  const [count = 0, size = 0] = logits.shape
  if (vocabulary >= size) return draw(logits)
  const known = tf.slice(logits, [0, 0], [count, vocabulary])
  const { ids, logProb, modelLogProb } = draw(known)
  const shift = tf.sub(tf.logSumExp(known, 1), tf.logSumExp(logits, 1))
  return { ids, logProb, modelLogProb: tf.add(modelLogProb, shift) }
}
