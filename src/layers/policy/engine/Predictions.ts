/**
 * Log-probabilities and entropies of the tokens of a packed batch, and the gradient of a loss over them.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { embedding, outputHead } from "../../../domain/ModelTensors.ts"
import type { Device } from "../../../services/Device.ts"
import * as Ops from "../../device/ops/index.ts"
import { type Pieces, tidied } from "../../device/pieces.ts"
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

/** Multiplications of the head that one piece of a computation makes on a device that keeps its thread meanwhile. */
const headWork = 4e9

/**
 * Rows that the head takes at once, so that a thread which computes itself is left now and then.
 *
 * @category getters
 * @since 0.2.0
 */
export const headRows = ({ capabilities }: Device["Service"], { config }: Network): number =>
  capabilities.asynchronous
    ? Number.POSITIVE_INFINITY
    : Math.max(1, Math.floor(headWork / (config.vocabularySize * config.hiddenSize)))

/** Ranges of at most `size` rows. */
const ranges = (rows: number, size: number): ReadonlyArray<readonly [begin: number, size: number]> =>
  Array.from(
    { length: Math.ceil(rows / size) },
    (_, index) => [index * size, Math.min(size, rows - index * size)] as const
  )

const sliceRows = (x: tf.Tensor, begin: number, size: number): tf.Tensor =>
  tf.slice(x, [begin, ...x.shape.slice(1).map(() => 0)], [size, ...x.shape.slice(1)])

function* headForward(
  rows: tf.Tensor,
  head: tf.Tensor,
  targets: tf.Tensor,
  temperature: number,
  atOnce: number
): Pieces<Ops.TokenLogProb> {
  const count = rows.shape[0] ?? 0
  if (count <= atOnce) return Ops.tokenLogProbForward(rows, head, targets, temperature)
  const parts: Array<Ops.TokenLogProb> = []
  for (const [begin, size] of ranges(count, atOnce)) {
    parts.push(
      tf.tidy(() =>
        Ops.tokenLogProbForward(sliceRows(rows, begin, size), head, sliceRows(targets, begin, size), temperature)
      )
    )
    yield
  }
  const joined = (key: "logProb" | "entropy" | "lse") => tf.concat(parts.map((part) => part[key]))
  const whole = { logProb: joined("logProb"), entropy: joined("entropy"), lse: joined("lse") }
  tf.dispose(parts)
  return whole
}

/**
 * Runs a packed batch. `temperature` divides the logits, of which `atOnce` rows are made at a time.
 *
 * @category operations
 * @since 0.1.0
 */
export function* predict(
  network: Network,
  batch: { readonly ids: Int32Array; readonly cuSeqlens: Int32Array; readonly mask?: ArrayLike<number> | undefined },
  temperature: number,
  keep: Keep,
  atOnce = Number.POSITIVE_INFINITY
): Pieces<Predicted> {
  const selection = select(batch.ids, batch.cuSeqlens, batch.mask)
  const forward = yield* packedForward(network, batch.ids, batch.cuSeqlens, keep)
  const targets = tf.tensor1d(selection.targets, "int32")
  const rows = selection.dense
    ? tf.clone(forward.hidden)
    : tf.gather(forward.hidden, tf.tensor1d(selection.rows, "int32"))
  const head = network.parameters.get(headName(network))
  const result = yield* headForward(rows, head, targets, temperature, atOnce)
  return { forward, selection, rows, targets, result }
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
export function* predictBackward(
  network: Network,
  predicted: Predicted,
  dLogProbs: Float32Array,
  dEntropy: Float32Array,
  temperature: number,
  sink: GradientSink,
  atOnce = Number.POSITIVE_INFINITY
): Pieces<void> {
  const { forward, result, rows, selection, targets } = predicted
  const name = headName(network)
  const count = rows.shape[0] ?? 0
  const dHidden = yield* tidied(function*() {
    const head = network.parameters.get(name)
    const withEntropy = dEntropy.some((d) => d !== 0) ? pick(selection, dEntropy) : undefined
    const d = pick(selection, dLogProbs)
    const parts: Array<tf.Tensor> = []
    for (const [begin, size] of ranges(count, Math.min(count, atOnce))) {
      parts.push(tf.tidy(() => {
        const part = (x: tf.Tensor) => size === count ? x : sliceRows(x, begin, size)
        const forward = { logProb: part(result.logProb), entropy: part(result.entropy), lse: part(result.lse) }
        const dPart = withEntropy === undefined ? undefined : part(withEntropy)
        const [dRows, dHead] = Ops.tokenLogProbGrad(
          part(rows),
          head,
          part(targets),
          forward,
          part(d),
          dPart,
          temperature
        )
        sink(name, dHead)
        return dRows
      }))
      yield
    }
    const [only] = parts
    const dRows = only !== undefined && parts.length === 1 ? only : tf.concat(parts)
    if (selection.dense) return dRows
    return Ops.embeddingGrad(tf.tensor1d(selection.rows, "int32"), dRows, forward.hidden.shape[0] ?? 0)
  })
  yield* packedBackward(network, forward, dHidden, sink)
  dHidden.dispose()
}
