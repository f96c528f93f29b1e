/**
 * A network over packed sequences: all of the forward pass but the head, and its gradient.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import type { ModelConfig } from "../../../domain/ModelConfig.ts"
import { embedding, finalNorm } from "../../../domain/ModelTensors.ts"
import * as Ops from "../../device/ops/index.ts"
import { type Pieces, tidied } from "../../device/pieces.ts"
import { backwardLayer, forwardLayer } from "./capturedLayers.ts"
import type { Parameters } from "./Parameters.ts"
import type { Activations, GradientSink, RopeTables } from "./Transformer.ts"

/**
 * A decoder on a device.
 *
 * @category models
 * @since 0.1.0
 */
export interface Network {
  readonly config: ModelConfig
  readonly parameters: Parameters
  readonly tables: RopeTables
}

/**
 * What a forward pass leaves for the backward pass: everything of each layer, or its input alone.
 *
 * @category models
 * @since 0.1.0
 */
export interface PackedForward {
  readonly ids: tf.Tensor
  readonly packing: Ops.Packing
  readonly angles: Ops.Rotary
  readonly layers: ReadonlyArray<Activations | { readonly x: tf.Tensor }>
  readonly last: tf.Tensor
  /** Behind the final norm, `[T, hiddenSize]`. */
  readonly hidden: tf.Tensor
}

/**
 * How much of the forward pass to keep: `everything` for the fastest backward pass, `inputs` of layers to compute each
 * layer a second time, `nothing` where no backward pass follows.
 *
 * @category models
 * @since 0.1.0
 */
export type Keep = "everything" | "inputs" | "nothing"

/** Position of every token in its own sequence. */
const positions = (cuSeqlens: Int32Array): Int32Array => {
  const out = new Int32Array(cuSeqlens.at(-1) ?? 0)
  for (let i = 0; i + 1 < cuSeqlens.length; i++) {
    const begin = cuSeqlens[i] ?? 0
    for (let t = begin; t < (cuSeqlens[i + 1] ?? 0); t++) out[t] = t - begin
  }
  return out
}

/**
 * Runs the sequences `ids[cuSeqlens[i], cuSeqlens[i + 1])` through the network.
 *
 * @category operations
 * @since 0.1.0
 */
export function* packedForward(
  { config, parameters, tables }: Network,
  ids: Int32Array,
  cuSeqlens: Int32Array,
  keep: Keep
): Pieces<PackedForward> {
  const idTensor = tf.tensor1d(ids, "int32")
  const packing = Ops.packing(cuSeqlens)
  // Clones share the tables' memory: whoever disposes of a forward pass must not dispose of the tables.
  const angles = Ops.rotary(tf.tensor1d(positions(cuSeqlens), "int32"), tf.clone(tables.cos), tf.clone(tables.sin))
  const context = { config, parameters, angles, packing }
  let x: tf.Tensor = tf.gather(parameters.get(embedding), idTensor)
  const layers: Array<Activations | { readonly x: tf.Tensor }> = []
  for (let layer = 0; layer < config.layers; layer++) {
    const input = x
    yield
    if (keep === "everything") {
      const { activations, y } = yield* tidied(() => forwardLayer(context, layer, input))
      layers.push(activations)
      x = y
    } else {
      x = yield* tidied(function*() {
        return (yield* forwardLayer(context, layer, input)).y
      })
      if (keep === "inputs") layers.push({ x: input })
      else input.dispose()
    }
  }
  const hidden = Ops.rmsNormForward(x, parameters.get(finalNorm), config.rmsNormEps)
  return { ids: idTensor, packing, angles, layers, last: x, hidden }
}

/**
 * Takes the gradient of the hidden states `[T, hiddenSize]` back through the network. Activations are disposed of as
 * soon as they are used.
 *
 * @category operations
 * @since 0.1.0
 */
export function* packedBackward(
  { config, parameters }: Network,
  forward: PackedForward,
  dHidden: tf.Tensor,
  sink: GradientSink
): Pieces<void> {
  const { angles, ids, last, layers, packing } = forward
  const context = { config, parameters, angles, packing }
  let dx = tf.tidy(() => {
    const [d, dWeight] = Ops.rmsNormGrad(last, parameters.get(finalNorm), dHidden, config.rmsNormEps)
    sink(finalNorm, dWeight)
    return d
  })
  for (let layer = config.layers - 1; layer >= 0; layer--) {
    const kept = layers[layer]
    if (kept === undefined) throw new RangeError("the forward pass kept nothing for its gradient")
    const dy = dx
    dx = yield* tidied(function*() {
      const activations = "normed" in kept ? kept : (yield* forwardLayer(context, layer, kept.x)).activations
      return yield* backwardLayer(context, layer, activations, dy, sink)
    })
    yield
    dy.dispose()
    const { x, ...others } = kept
    tf.dispose(others)
    if (layer > 0) x.dispose()
  }
  const dFirst = dx
  tf.tidy(() => sink(embedding, Ops.embeddingGrad(ids, dFirst, config.vocabularySize)))
  dx.dispose()
}
