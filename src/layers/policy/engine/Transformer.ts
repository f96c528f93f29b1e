/**
 * The decoder of Llama, Qwen2 and Qwen3: forward and backward pass of one layer, written once for training over packed
 * sequences and for generation over a key-value cache.
 *
 * Shapes: `x [T, hiddenSize]` for a batch of T tokens, whatever sequences they belong to; `q [T, heads, headDim]`,
 * `k`, `v [T, keyValueHeads, headDim]`. Projections are `x · Wᵀ` with Hugging Face's `[out, in]` weights.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import {
  contextLength,
  mlpBias,
  type ModelConfig,
  outputBias,
  queryKeyNorm,
  queryKeyValueBias
} from "../../../domain/ModelConfig.ts"
import { layerTensor } from "../../../domain/ModelTensors.ts"
import { attentionFactor, inverseFrequencies } from "../../../domain/Rope.ts"
import * as Ops from "../../device/ops/index.ts"
import type { Pieces } from "../../device/pieces.ts"
import type { Parameters } from "./Parameters.ts"

/**
 * Cosines and sines of the rotary embedding, each `[positions, headDim / 2]`, times the model's attention factor.
 *
 * @category models
 * @since 0.1.0
 */
export interface RopeTables {
  readonly cos: tf.Tensor
  readonly sin: tf.Tensor
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const ropeTables = (config: ModelConfig, positions = contextLength(config)): RopeTables => {
  const frequencies = inverseFrequencies(config)
  const half = frequencies.length
  const scale = attentionFactor(config)
  const cos = new Float32Array(positions * half)
  const sin = new Float32Array(positions * half)
  for (let position = 0; position < positions; position++) {
    for (let pair = 0; pair < half; pair++) {
      const angle = position * (frequencies[pair] ?? 0)
      cos[position * half + pair] = scale * Math.cos(angle)
      sin[position * half + pair] = scale * Math.sin(angle)
    }
  }
  return { cos: tf.tensor2d(cos, [positions, half]), sin: tf.tensor2d(sin, [positions, half]) }
}

/**
 * Factor of the attention scores, `1 / √headDim`.
 *
 * @category getters
 * @since 0.1.0
 */
export const attentionScale = (config: ModelConfig): number => 1 / Math.sqrt(config.headDim)

/**
 * What the backward pass of a layer uses of its forward pass.
 *
 * @category models
 * @since 0.1.0
 */
export type Activations = {
  readonly x: tf.Tensor
  readonly normed: tf.Tensor
  /** Queries and keys before their own norm, where the model has one. */
  readonly raw?: { readonly q: tf.Tensor; readonly k: tf.Tensor }
  readonly q: tf.Tensor
  readonly k: tf.Tensor
  readonly v: tf.Tensor
  readonly attention: Ops.Attention
  readonly middle: tf.Tensor
  readonly middleNormed: tf.Tensor
  readonly gate: tf.Tensor
  readonly up: tf.Tensor
  readonly activated: tf.Tensor
}

const linear = (x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor | undefined): tf.Tensor => {
  const y = tf.matMul(x, weight, false, true)
  return bias === undefined ? y : tf.add(y, bias)
}

const identity = (rows: tf.Tensor): tf.Tensor => rows

const perHead = (x: tf.Tensor, heads: number, dim: number): tf.Tensor => tf.reshape(x, [-1, heads, dim])

/**
 * One layer, in pieces. `attend` is causal attention, over the batch itself in training and through the cache in generation; only
 * in training is its residual of use. Where only some tokens' output is wanted, `wanted` picks their rows behind attention.
 *
 * @category operations
 * @since 0.1.0
 */
export function* layerForward(
  parameters: Parameters,
  config: ModelConfig,
  layer: number,
  x: tf.Tensor,
  angles: Ops.Rotary,
  attend: (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) => Ops.Attention,
  wanted: (rows: tf.Tensor) => tf.Tensor = identity
): Pieces<{ readonly y: tf.Tensor; readonly activations: Activations }> {
  const { headDim, heads, keyValueHeads, rmsNormEps } = config
  const weight = (name: string) => parameters.get(layerTensor(layer, name))
  const biased = queryKeyValueBias(config)
  const project = (name: string, width: number) =>
    perHead(
      linear(normed, weight(`self_attn.${name}.weight`), biased ? weight(`self_attn.${name}.bias`) : undefined),
      width,
      headDim
    )
  const normed = Ops.rmsNormForward(x, weight("input_layernorm.weight"), rmsNormEps)
  const rawQ = project("q_proj", heads)
  yield
  const rawK = project("k_proj", keyValueHeads)
  const v = project("v_proj", keyValueHeads)
  yield
  const normalize = (raw: tf.Tensor, width: number, name: string) =>
    perHead(Ops.rmsNormForward(tf.reshape(raw, [-1, headDim]), weight(name), rmsNormEps), width, headDim)
  const ownNorm = queryKeyNorm(config)
  const q = Ops.ropeForward(ownNorm ? normalize(rawQ, heads, "self_attn.q_norm.weight") : rawQ, angles)
  const k = Ops.ropeForward(ownNorm ? normalize(rawK, keyValueHeads, "self_attn.k_norm.weight") : rawK, angles)
  const attention = attend(q, k, v)
  yield
  const middle = Ops.matMulAdd(
    outputBias(config) ? tf.add(wanted(x), weight("self_attn.o_proj.bias")) : wanted(x),
    wanted(tf.reshape(attention.out, [-1, heads * headDim])),
    weight("self_attn.o_proj.weight"),
    true
  )
  yield
  const middleNormed = Ops.rmsNormForward(middle, weight("post_attention_layernorm.weight"), rmsNormEps)
  const mlp = mlpBias(config)
  const widen = (name: string) =>
    linear(middleNormed, weight(`mlp.${name}.weight`), mlp ? weight(`mlp.${name}.bias`) : undefined)
  const gate = widen("gate_proj")
  yield
  const up = widen("up_proj")
  yield
  const activated = Ops.swiGluForward(gate, up)
  const y = Ops.matMulAdd(
    mlp ? tf.add(middle, weight("mlp.down_proj.bias")) : middle,
    activated,
    weight("mlp.down_proj.weight"),
    true
  )
  const activations = { x, normed, q, k, v, attention, middle, middleNormed, gate, up, activated }
  return { y, activations: ownNorm ? { ...activations, raw: { q: rawQ, k: rawK } } : activations }
}

/**
 * Receives the gradient of a parameter.
 *
 * @category models
 * @since 0.1.0
 */
export type GradientSink = (name: string, gradient: tf.Tensor) => void

/**
 * Gradient of {@link layerForward} in training: takes `dy` back to `dx` and hands the parameters' gradients to `sink`.
 *
 * @category operations
 * @since 0.1.0
 */
export function* layerBackward(
  parameters: Parameters,
  config: ModelConfig,
  layer: number,
  activations: Activations,
  angles: Ops.Rotary,
  packing: Ops.Packing,
  dy: tf.Tensor,
  sink: GradientSink
): Pieces<tf.Tensor> {
  const { headDim, heads, rmsNormEps } = config
  const { activated, attention, gate, k, middle, middleNormed, normed, q, raw, up, v, x } = activations
  const weight = (name: string) => parameters.get(layerTensor(layer, name))
  const give = (name: string, gradient: tf.Tensor) => sink(layerTensor(layer, name), gradient)
  // Both add the gradient that reaches their input along other ways.
  const linearBackward = (
    name: string,
    input: tf.Tensor,
    dOutput: tf.Tensor,
    bias: boolean,
    others?: tf.Tensor
  ): tf.Tensor => {
    give(`${name}.weight`, tf.matMul(dOutput, input, true, false))
    if (bias) give(`${name}.bias`, tf.sum(dOutput, 0))
    const own = weight(`${name}.weight`)
    return others === undefined ? tf.matMul(dOutput, own) : Ops.matMulAdd(others, dOutput, own)
  }
  const normBackward = (name: string, input: tf.Tensor, dOutput: tf.Tensor, others?: tf.Tensor): tf.Tensor => {
    const [dx, dWeight] = Ops.rmsNormGrad(input, weight(name), dOutput, rmsNormEps, others)
    give(name, dWeight)
    return dx
  }
  const mlp = mlpBias(config)
  const dActivated = linearBackward("mlp.down_proj", activated, dy, mlp)
  const [dGate, dUp] = Ops.swiGluGrad(gate, up, dActivated)
  yield
  const dThroughGate = linearBackward("mlp.gate_proj", middleNormed, dGate, mlp)
  yield
  const dMiddleNormed = linearBackward("mlp.up_proj", middleNormed, dUp, mlp, dThroughGate)
  yield
  const dMiddle = normBackward("post_attention_layernorm.weight", middle, dMiddleNormed, dy)
  const mixed = tf.reshape(attention.out, [-1, heads * headDim])
  const dMixed = linearBackward("self_attn.o_proj", mixed, dMiddle, outputBias(config))
  yield
  const [dq, dk, dv] = Ops.attentionGrad(
    q,
    k,
    v,
    attention,
    tf.reshape(dMixed, q.shape),
    packing,
    attentionScale(config)
  )
  yield
  const turnBack = (name: string, d: tf.Tensor, input: tf.Tensor | undefined): tf.Tensor => {
    const straight = Ops.ropeForward(d, angles, true)
    if (input === undefined) return straight
    const flat = [-1, headDim]
    return tf.reshape(normBackward(name, tf.reshape(input, flat), tf.reshape(straight, flat)), d.shape)
  }
  const biased = queryKeyValueBias(config)
  const flatten = (d: tf.Tensor) => tf.reshape(d, [normed.shape[0] ?? 0, -1])
  const dQuery = flatten(turnBack("self_attn.q_norm.weight", dq, raw?.q))
  const dKey = flatten(turnBack("self_attn.k_norm.weight", dk, raw?.k))
  const dThroughQuery = linearBackward("self_attn.q_proj", normed, dQuery, biased)
  yield
  const dThroughKey = linearBackward("self_attn.k_proj", normed, dKey, biased, dThroughQuery)
  yield
  const dNormed = linearBackward("self_attn.v_proj", normed, flatten(dv), biased, dThroughKey)
  yield
  return normBackward("input_layernorm.weight", x, dNormed, dMiddle)
}
