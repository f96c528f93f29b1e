/**
 * Log-probability and entropy of given tokens under a language-model head, without the logits of the whole batch in
 * memory at once.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { differentiable, hasKernel, output, runFused } from "./kernel.ts"

/** Logits that the composition holds at once: 64 MB in float32. */
const tileElements = 1 << 24

/**
 * All `[T]`, in nats: the log-probability of the target, the entropy of the distribution, and the logarithm of the
 * softmax's denominator, which the gradient needs.
 *
 * @category models
 * @since 0.1.0
 */
export type TokenLogProb = {
  readonly logProb: tf.Tensor
  readonly entropy: tf.Tensor
  readonly lse: tf.Tensor
}

const rowTiles = (tokens: number, vocab: number): ReadonlyArray<readonly [begin: number, size: number]> => {
  const rows = Math.max(1, Math.floor(tileElements / vocab))
  const tiles: Array<readonly [number, number]> = []
  for (let begin = 0; begin < tokens; begin += rows) tiles.push([begin, Math.min(rows, tokens - begin)])
  return tiles
}

const tileLogits = (hidden: tf.Tensor, head: tf.Tensor, temperature: number): tf.Tensor => {
  const logits = tf.matMul(hidden, head, false, true)
  return temperature === 1 ? logits : tf.mul(logits, 1 / temperature)
}

/**
 * `hidden [T, D]`, `head [V, D]`, `targets` int32 `[T]` → log-softmax of `hidden · headᵀ / temperature` at the targets,
 * without a gradient.
 *
 * @category operations
 * @since 0.1.0
 */
export const tokenLogProbForward = (
  hidden: tf.Tensor,
  head: tf.Tensor,
  targets: tf.Tensor,
  temperature: number
): TokenLogProb => {
  if (hasKernel("SrTokenLogProb")) {
    const outputs = runFused("SrTokenLogProb", { hidden, head, targets }, { temperature })
    return { logProb: output(outputs, 0), entropy: output(outputs, 1), lse: output(outputs, 2) }
  }
  const [tokens = 0, dim = 0] = hidden.shape
  const vocab = head.shape[0] ?? 0
  return tf.tidy(() => {
    const parts = rowTiles(tokens, vocab).map(([begin, size]) =>
      tf.tidy(() => {
        const whole = size === tokens
        const rows = whole ? hidden : tf.slice(hidden, [begin, 0], [size, dim])
        const ids = whole ? targets : tf.slice(targets, [begin], [size])
        const logits = tileLogits(rows, head, temperature)
        const lse = tf.logSumExp(logits, 1)
        const probabilities = tf.softmax(logits)
        const entropy = tf.sub(lse, tf.sum(tf.mul(probabilities, logits), 1))
        const indices = tf.stack([tf.range(0, size, 1, "int32"), ids], 1)
        return { logProb: tf.sub(tf.gatherND(logits, indices), lse), entropy, lse }
      })
    )
    const [only] = parts
    if (parts.length === 1 && only !== undefined) return only
    return {
      logProb: tf.concat(parts.map((part) => part.logProb)),
      entropy: tf.concat(parts.map((part) => part.entropy)),
      lse: tf.concat(parts.map((part) => part.lse))
    }
  })
}

/**
 * Gradient of {@link tokenLogProbForward}: `dHidden [T, D]`, `dHead [V, D]`. `dEntropy` may be left out where the loss
 * does not use the entropy.
 *
 * @category operations
 * @since 0.1.0
 */
export const tokenLogProbGrad = (
  hidden: tf.Tensor,
  head: tf.Tensor,
  targets: tf.Tensor,
  forward: TokenLogProb,
  dLogProb: tf.Tensor,
  dEntropy: tf.Tensor | undefined,
  temperature: number
): readonly [dHidden: tf.Tensor, dHead: tf.Tensor] => {
  const { entropy, lse } = forward
  const [tokens = 0, dim = 0] = hidden.shape
  const vocab = head.shape[0] ?? 0
  if (hasKernel("SrTokenLogProbGrad")) {
    const zeros = dEntropy === undefined ? tf.zeros([tokens]) : undefined
    const inputs = { hidden, head, targets, lse, entropy, dLogProb, dEntropy: dEntropy ?? zeros ?? dLogProb }
    const outputs = runFused("SrTokenLogProbGrad", inputs, { temperature, withEntropy: dEntropy !== undefined })
    zeros?.dispose()
    return [output(outputs, 0), output(outputs, 1)]
  }
  return tf.tidy(() => {
    const parts = rowTiles(tokens, vocab).map(([begin, size]) =>
      tf.tidy(() => {
        const slice1 = (x: tf.Tensor) => size === tokens ? x : tf.slice(x, [begin], [size])
        const column = (x: tf.Tensor) => tf.reshape(slice1(x), [size, 1])
        const rows = size === tokens ? hidden : tf.slice(hidden, [begin, 0], [size, dim])
        const logProbs = tf.sub(tileLogits(rows, head, temperature), column(lse))
        const probabilities = tf.exp(logProbs)
        const dTarget = column(dLogProb)
        const weight = dEntropy === undefined
          ? dTarget
          : tf.add(dTarget, tf.mul(column(dEntropy), tf.add(logProbs, column(entropy))))
        const oneHot = tf.oneHot(slice1(targets), vocab)
        const dLogits = tf.sub(tf.mul(oneHot, dTarget), tf.mul(probabilities, weight))
        const scaled = temperature === 1 ? dLogits : tf.mul(dLogits, 1 / temperature)
        return { dHidden: tf.matMul(scaled, head), dHead: tf.matMul(scaled, rows, true, false) }
      })
    )
    const [first, ...rest] = parts
    if (first === undefined) return [tf.zerosLike(hidden), tf.zerosLike(head)] as const
    if (rest.length === 0) return [first.dHidden, first.dHead] as const
    return [
      tf.concat(parts.map((part) => part.dHidden)),
      rest.reduce((sum, part) => tf.add(sum, part.dHead), first.dHead)
    ] as const
  })
}

/**
 * Log-probabilities and entropies stacked as `[2, T]`, differentiable in `hidden` and `head`.
 *
 * @category operations
 * @since 0.1.0
 */
export const tokenLogProb = (
  hidden: tf.Tensor,
  head: tf.Tensor,
  targets: tf.Tensor,
  temperature = 1
): tf.Tensor =>
  differentiable(
    [hidden, head],
    (save) => {
      const forward = tokenLogProbForward(hidden, head, targets, temperature)
      save([forward.logProb, forward.entropy, forward.lse, targets])
      return tf.stack([forward.logProb, forward.entropy])
    },
    (dy, saved) => {
      const forward = { logProb: output(saved, 0), entropy: output(saved, 1), lse: output(saved, 2) }
      const [dLogProb, dEntropy] = tf.unstack(dy)
      if (dLogProb === undefined) return []
      return tokenLogProbGrad(hidden, head, output(saved, 3), forward, dLogProb, dEntropy, temperature)
    }
  )
