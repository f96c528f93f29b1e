/**
 * The critic: the decoder with a head of one output, its values and its update.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import type { MiniBatch } from "../../../domain/Batch.ts"
import { valueLoss } from "../../../domain/Loss.ts"
import { contextLength, type ModelConfig } from "../../../domain/ModelConfig.ts"
import { outputHead, tensors, type TensorSpec } from "../../../domain/ModelTensors.ts"
import type { CriticUpdateOptions } from "../../../services/Critic.ts"
import type { LearnerError } from "../../../services/Optimizer.ts"
import { ContextOverflow } from "../../../services/Policy.ts"
import * as Ops from "../../device/ops/index.ts"
import type { Pieces } from "../../device/pieces.ts"
import type { Gradients } from "./Gradients.ts"
import { held } from "./held.ts"
import * as Learner from "./Learner.ts"
import { type Keep, type Network, packedBackward, type PackedForward, packedForward } from "./Packed.ts"
import { scatter, select, type Selection } from "./Predictions.ts"
import { read } from "./read.ts"
import { inParts, packIds } from "./Scoring.ts"

const headWeight = "score.weight"
const headBias = "score.bias"

/**
 * The critic's weights: those of the decoder without a language-model head, and the value head in the names of Hugging
 * Face's token classifiers.
 *
 * @category getters
 * @since 0.1.0
 */
export const specs = (config: ModelConfig): ReadonlyArray<TensorSpec> => [
  ...tensors(config).filter(({ name }) => name !== outputHead),
  { name: headWeight, shape: [1, config.hiddenSize] },
  { name: headBias, shape: [1] }
]

/**
 * A value head that says 0 everywhere, where a critic starts from.
 *
 * @category constructors
 * @since 0.1.0
 */
export const head = (config: ModelConfig) => [
  { name: headWeight, shape: [1, config.hiddenSize], data: new Float32Array(config.hiddenSize) },
  { name: headBias, shape: [1], data: new Float32Array(1) }
]

interface Valued {
  readonly forward: PackedForward
  readonly selection: Selection
  readonly rows: tf.Tensor
  readonly values: tf.Tensor
}

function* evaluate(
  network: Network,
  batch: { readonly ids: Int32Array; readonly cuSeqlens: Int32Array; readonly mask?: ArrayLike<number> | undefined },
  keep: Keep
): Pieces<Valued> {
  const { ids, cuSeqlens, mask } = batch
  const selection = select(ids, cuSeqlens, mask)
  const forward = yield* packedForward(network, ids, cuSeqlens, keep)
  const rows = selection.dense
    ? tf.clone(forward.hidden)
    : tf.gather(forward.hidden, tf.tensor1d(selection.rows, "int32"))
  const product = tf.matMul(rows, network.parameters.get(headWeight), false, true)
  return { forward, selection, rows, values: tf.reshape(tf.add(product, network.parameters.get(headBias)), [-1]) }
}

function* backward(
  network: Network,
  valued: Valued,
  dValues: Float32Array,
  gradients: Gradients
): Pieces<void> {
  const { forward, rows, selection } = valued
  const picked = Float32Array.from(selection.tokens, (token) => token < 0 ? 0 : dValues[token] ?? 0)
  const dHidden = tf.tidy(() => {
    const column = tf.tensor2d(picked, [picked.length, 1])
    gradients.add(headWeight, tf.matMul(column, rows, true, false))
    gradients.add(headBias, tf.sum(column, 0))
    const dRows = tf.matMul(column, network.parameters.get(headWeight))
    if (selection.dense) return dRows
    return Ops.embeddingGrad(tf.tensor1d(selection.rows, "int32"), dRows, forward.hidden.shape[0] ?? 0)
  })
  yield* packedBackward(network, forward, dHidden, gradients.add)
  dHidden.dispose()
}

/**
 * `Critic.values` over a learner.
 *
 * @category operations
 * @since 0.1.0
 */
export const values = Effect.fn("CriticLearner.values")(function*(
  learner: Learner.Learner,
  sequences: ReadonlyArray<Int32Array>,
  maxTokens: number
): Effect.fn.Return<ReadonlyArray<Float32Array>, LearnerError> {
  const { device, network } = learner
  const limit = contextLength(network.config)
  const overlong = sequences.find((ids) => ids.length > limit)
  if (overlong !== undefined) return yield* new ContextOverflow({ tokens: overlong.length, limit })
  const results = sequences.map((ids) => new Float32Array(ids.length))
  const compute = Effect.fnUntraced(function*(members: ReadonlyArray<number>) {
    const { cuSeqlens, ids } = packIds(members.map((i) => sequences[i] ?? new Int32Array()))
    function* valued() {
      const { selection, values } = yield* evaluate(network, { ids, cuSeqlens }, "nothing")
      return { selection, values }
    }
    const all = yield* held(
      device,
      valued,
      ({ selection, values }) =>
        Effect.map(read(device, [values]), ([found = new Float32Array()]) => scatter(selection, found, ids.length))
    )
    members.forEach((member, i) => results[member]?.set(all.subarray(cuSeqlens[i], cuSeqlens[i + 1])))
  })
  yield* inParts(sequences, maxTokens, compute).pipe(Effect.mapError(Learner.toLearnerError))
  return results
})

/**
 * `Critic.update` over a learner.
 *
 * @category operations
 * @since 0.1.0
 */
export const update = Effect.fn("CriticLearner.update")(function*(
  learner: Learner.Learner,
  batch: MiniBatch,
  options: CriticUpdateOptions
): Effect.fn.Return<Readonly<Record<string, number>>, LearnerError> {
  const { device, network } = learner
  yield* Learner.requireSignals(batch, ["valueMask", "oldValues", "returns"])
  const microStep: Learner.MicroStep = (packed, { gradients, keep, microBatches }) => {
    const { ids, oldValues, returns, sequenceOffsets, valueMask } = packed
    const none = new Float32Array(ids.length)
    const mask = valueMask ?? new Uint8Array(ids.length)
    return held(
      device,
      () => evaluate(network, { ids, cuSeqlens: sequenceOffsets, mask }, keep),
      Effect.fnUntraced(function*(valued) {
        const [found = none] = yield* read(device, [valued.values])
        const result = valueLoss(options.loss, {
          values: scatter(valued.selection, found, ids.length),
          valueMask: mask,
          oldValues: oldValues ?? none,
          returns: returns ?? none
        }, { ...batch.normaliser, microBatches })
        yield* device.pieces(() => backward(network, valued, result.gradValues, gradients))
        return { loss: result.value, metrics: result.metrics }
      })
    )
  }
  return yield* Learner.update(learner, batch, options, microStep, () => {})
})
