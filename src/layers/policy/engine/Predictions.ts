/**
 * Log-probabilities and entropies of the tokens of a packed batch, and the gradient of a loss over them.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { embedding, outputHead } from "../../../domain/ModelTensors.ts"
import * as Ops from "../../device/ops/index.ts"
import { type Keep, type Network, packedBackward, type PackedForward, packedForward } from "./Packed.ts"
import type { GradientSink } from "./Transformer.ts"

/** Above this share of wanted tokens the head runs over all of them, which saves picking rows. */
const denseShare = 0.75

/**
 * Which tokens are predicted, and from which row of the hidden states: `rows[i]` predicts token `tokens[i]` with the id
 * `targets[i]`. A `dense` selection has one entry for every row of the batch; `tokens` is -1 where there is nothing to
 * predict. There is always a row.
 *
 * @category models
 * @since 0.1.0
 */
export interface Selection {
  readonly dense: boolean
  readonly rows: Int32Array
  readonly tokens: Int32Array
  readonly targets: Int32Array
}

/**
 * Selects the tokens whose `mask` is not 0; the first token of a sequence has no prediction.
 *
 * @category constructors
 * @since 0.1.0
 */
export const select = (ids: Int32Array, cuSeqlens: Int32Array, mask: ArrayLike<number> | undefined): Selection => {
  const wanted: Array<number> = []
  for (let i = 0; i + 1 < cuSeqlens.length; i++) {
    for (let t = (cuSeqlens[i] ?? 0) + 1; t < (cuSeqlens[i + 1] ?? 0); t++) {
      if (mask === undefined || mask[t] !== 0) wanted.push(t)
    }
  }
  // A device may not take a selection of no rows: the first row is computed for nothing.
  if (wanted.length === 0) {
    return { dense: false, rows: new Int32Array(1), tokens: Int32Array.of(-1), targets: new Int32Array(1) }
  }
  if (wanted.length < denseShare * ids.length) {
    const tokens = Int32Array.from(wanted)
    return { dense: false, rows: tokens.map((t) => t - 1), tokens, targets: tokens.map((t) => ids[t] ?? 0) }
  }
  const tokens = new Int32Array(ids.length).fill(-1)
  const targets = new Int32Array(ids.length)
  for (const t of wanted) {
    tokens[t - 1] = t
    targets[t - 1] = ids[t] ?? 0
  }
  return { dense: true, rows: Int32Array.from(ids, (_, t) => t), tokens, targets }
}

/**
 * A forward pass up to the log-probabilities.
 *
 * @category models
 * @since 0.1.0
 */
export interface Predicted {
  readonly forward: PackedForward
  readonly selection: Selection
  readonly rows: tf.Tensor
  readonly targets: tf.Tensor
  readonly result: Ops.TokenLogProb
}

/**
 * The name of the weight that the output head is.
 *
 * @category getters
 * @since 0.1.0
 */
export const headName = (network: Network): string => network.config.tieWordEmbeddings ? embedding : outputHead

/**
 * Runs a packed batch. `temperature` divides the logits.
 *
 * @category operations
 * @since 0.1.0
 */
export const predict = (
  network: Network,
  batch: { readonly ids: Int32Array; readonly cuSeqlens: Int32Array; readonly mask?: ArrayLike<number> | undefined },
  temperature: number,
  keep: Keep
): Predicted => {
  const selection = select(batch.ids, batch.cuSeqlens, batch.mask)
  const forward = packedForward(network, batch.ids, batch.cuSeqlens, keep)
  const targets = tf.tensor1d(selection.targets, "int32")
  const rows = selection.dense
    ? tf.clone(forward.hidden)
    : tf.gather(forward.hidden, tf.tensor1d(selection.rows, "int32"))
  const head = network.parameters.get(headName(network))
  return { forward, selection, rows, targets, result: Ops.tokenLogProbForward(rows, head, targets, temperature) }
}

/**
 * Lays values of selected tokens out by token position, shape `[tokens]`; 0 where nothing was predicted.
 *
 * @category conversions
 * @since 0.1.0
 */
export const scatter = (selection: Selection, values: ArrayLike<number>, length: number): Float32Array => {
  const out = new Float32Array(length)
  selection.tokens.forEach((token, i) => {
    if (token >= 0) out[token] = values[i] ?? 0
  })
  return out
}

/** Picks values by token position for the selected tokens. */
const pick = (selection: Selection, values: Float32Array): tf.Tensor =>
  tf.tensor1d(Float32Array.from(selection.tokens, (token) => token < 0 ? 0 : values[token] ?? 0))

/**
 * Gradient of {@link predict}. `dLogProbs` and `dEntropy` are laid out by token position.
 *
 * @category operations
 * @since 0.1.0
 */
export const predictBackward = (
  network: Network,
  predicted: Predicted,
  dLogProbs: Float32Array,
  dEntropy: Float32Array,
  temperature: number,
  sink: GradientSink
): void => {
  const { forward, result, rows, selection, targets } = predicted
  const name = headName(network)
  const dHidden = tf.tidy(() => {
    const head = network.parameters.get(name)
    const withEntropy = dEntropy.some((d) => d !== 0) ? pick(selection, dEntropy) : undefined
    const d = pick(selection, dLogProbs)
    const [dRows, dHead] = Ops.tokenLogProbGrad(rows, head, targets, result, d, withEntropy, temperature)
    sink(name, dHead)
    if (selection.dense) return dRows
    return Ops.embeddingGrad(tf.tensor1d(selection.rows, "int32"), dRows, forward.hidden.shape[0] ?? 0)
  })
  packedBackward(network, forward, dHidden, sink)
  dHidden.dispose()
}
