/**
 * A layer's forward and backward pass on a device that repeats recorded computations with other tensors: one recording for
 * all layers of a network and all batches.
 *
 * @since 0.1.0
 */
import type * as tf from "@tensorflow/tfjs-core"
import { mlpBias, type ModelConfig, outputBias, queryKeyNorm, queryKeyValueBias } from "../../../domain/ModelConfig.ts"
import { layerTensor, layerTensors } from "../../../domain/ModelTensors.ts"
import * as Ops from "../../device/ops/index.ts"
import { type Pieces, whole } from "../../device/pieces.ts"
import type { Parameters } from "./Parameters.ts"
import { type Activations, attentionScale, type GradientSink, layerBackward, layerForward } from "./Transformer.ts"

/**
 * What a computation over packed sequences needs beside weights and activations.
 *
 * @category models
 * @since 0.1.0
 */
export interface LayerContext {
  readonly config: ModelConfig
  readonly parameters: Parameters
  readonly angles: Ops.Rotary
  readonly packing: Ops.Packing
}

/**
 * What makes the operations of two networks differ, as a part of keys.
 *
 * @category getters
 * @since 0.1.0
 */
export const networkKey = (config: ModelConfig): string =>
  [
    config.architecture,
    config.heads,
    config.keyValueHeads,
    config.headDim,
    config.rmsNormEps,
    queryKeyNorm(config),
    queryKeyValueBias(config),
    outputBias(config),
    mlpBias(config),
    config.tieWordEmbeddings
  ].join(",")

/** Names of the weights of any layer. */
const weightNames = (config: ModelConfig): ReadonlyArray<string> => {
  const prefix = layerTensor(0, "").length
  return layerTensors(config, 0).map(({ name }) => name.slice(prefix))
}

/** Tensors of the batch in a fixed order. */
const contextTensors = ({ angles, packing }: LayerContext): ReadonlyArray<tf.Tensor> => {
  const { plain } = angles
  const { rows } = packing
  return [
    angles.positions,
    angles.cos,
    angles.sin,
    ...(plain === undefined ? [] : [plain.cos, plain.sin, plain.rotate]),
    packing.tensor,
    ...(rows === undefined ? [] : [rows.mask, rows.pad, ...(rows.unpad === undefined ? [] : [rows.unpad])])
  ]
}

const keyOf = (what: string, { config, packing }: LayerContext): string =>
  [what, packing.rows?.unpad === undefined, networkKey(config)].join(" ")

const weightsOf = ({ config, parameters }: LayerContext, layer: number): ReadonlyArray<tf.Tensor> =>
  weightNames(config).map((name) => parameters.get(layerTensor(layer, name)))

/** Activations but the input, in a fixed order. */
const toList = (kept: Activations): ReadonlyArray<tf.Tensor> => {
  const { activated, attention, gate, k, middle, middleNormed, normed, q, raw, up, v } = kept
  const plain = [normed, q, k, v, attention.out, attention.residual, middle, middleNormed, gate, up, activated]
  return raw === undefined ? plain : [...plain, raw.q, raw.k]
}

const fromList = (x: tf.Tensor, list: ReadonlyArray<tf.Tensor>): Activations => {
  const at = (index: number) => Ops.output(list, index)
  const plain = {
    x,
    normed: at(0),
    q: at(1),
    k: at(2),
    v: at(3),
    attention: { out: at(4), residual: at(5) },
    middle: at(6),
    middleNormed: at(7),
    gate: at(8),
    up: at(9),
    activated: at(10)
  }
  return list.length === 11 ? plain : { ...plain, raw: { q: at(11), k: at(12) } }
}

/**
 * {@link layerForward} over packed sequences, recorded where the device can.
 *
 * @category operations
 * @since 0.1.0
 */
export function* forwardLayer(
  context: LayerContext,
  layer: number,
  x: tf.Tensor
): Pieces<{ readonly y: tf.Tensor; readonly activations: Activations }> {
  const { angles, config, packing, parameters } = context
  const compute = () =>
    layerForward(
      parameters,
      config,
      layer,
      x,
      angles,
      (q, k, v) => Ops.attentionForward(q, k, v, packing, attentionScale(config))
    )
  const capturing = Ops.adaptingBackend()
  if (capturing === undefined) return yield* compute()
  const state = [x, ...weightsOf(context, layer), ...contextTensors(context)]
  const results = capturing.captured(keyOf("forward", context), {}, state, () => {
    const { activations, y } = whole(compute())
    return [y, ...toList(activations)]
  })
  return { y: Ops.output(results, 0), activations: fromList(x, results.slice(1)) }
}

/**
 * {@link layerBackward}, recorded where the device can.
 *
 * @category operations
 * @since 0.1.0
 */
export function* backwardLayer(
  context: LayerContext,
  layer: number,
  activations: Activations,
  dy: tf.Tensor,
  sink: GradientSink
): Pieces<tf.Tensor> {
  const { angles, config, packing, parameters } = context
  const compute = (give: GradientSink) =>
    layerBackward(parameters, config, layer, activations, angles, packing, dy, give)
  const capturing = Ops.adaptingBackend()
  if (capturing === undefined) return yield* compute(sink)
  const names = weightNames(config).map((name) => layerTensor(layer, name))
  const state = [
    dy,
    activations.x,
    ...toList(activations),
    ...weightsOf(context, layer),
    ...contextTensors(context)
  ]
  const results = capturing.captured(keyOf("backward", context), {}, state, () => {
    const gradients = new Map<string, tf.Tensor>()
    const dx = whole(compute((name, gradient) => gradients.set(name, gradient)))
    return [dx, ...names.flatMap((name) => gradients.get(name) ?? [])]
  })
  names.forEach((name, i) => sink(name, Ops.output(results, i + 1)))
  return Ops.output(results, 0)
}
