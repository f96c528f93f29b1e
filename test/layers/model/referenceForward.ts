import { type ModelConfig, queryKeyNorm } from "../../../src/domain/ModelConfig.ts"
import * as ModelTensors from "../../../src/domain/ModelTensors.ts"
import { attentionFactor, inverseFrequencies } from "../../../src/domain/Rope.ts"

type Rows = ReadonlyArray<Float64Array>

const rmsNorm = (row: Float64Array, weight: Float32Array, eps: number): Float64Array => {
  let squares = 0
  for (const value of row) squares += value * value
  const scale = 1 / Math.sqrt(squares / row.length + eps)
  return row.map((value, i) => value * scale * weight[i]!)
}

/** `x · Wᵀ + b` with `W` of shape `[out, in]`. */
const linear = (rows: Rows, weight: Float32Array, bias?: Float32Array): Rows =>
  rows.map((row) =>
    Float64Array.from({ length: weight.length / row.length }, (_, out) => {
      let sum = bias?.[out] ?? 0
      for (let i = 0; i < row.length; i++) sum += row[i]! * weight[out * row.length + i]!
      return sum
    })
  )

const rotate = (head: Float64Array, position: number, frequencies: Float64Array): Float64Array => {
  const half = head.length / 2
  const rotated = new Float64Array(head.length)
  for (let i = 0; i < half; i++) {
    const cos = Math.cos(position * frequencies[i]!)
    const sin = Math.sin(position * frequencies[i]!)
    rotated[i] = head[i]! * cos - head[i + half]! * sin
    rotated[i + half] = head[i + half]! * cos + head[i]! * sin
  }
  return rotated
}

const attend = (queries: Rows, keys: Rows, values: Rows): Rows =>
  queries.map((query, position) => {
    const scores = Float64Array.from({ length: position + 1 }, (_, past) => {
      let sum = 0
      for (let i = 0; i < query.length; i++) sum += query[i]! * keys[past]![i]!
      return sum / Math.sqrt(query.length)
    })
    const most = scores.reduce((a, b) => Math.max(a, b))
    const weights = scores.map((score) => Math.exp(score - most))
    const total = weights.reduce((a, b) => a + b)
    const mixed = new Float64Array(query.length)
    for (const [past, weight] of weights.entries()) {
      for (let i = 0; i < mixed.length; i++) mixed[i]! += weight / total * values[past]![i]!
    }
    return mixed
  })

const add = (a: Rows, b: Rows): Rows => a.map((row, t) => row.map((value, i) => value + b[t]![i]!))

/**
 * The logits of every position, shape `[ids, vocabularySize]`, straight from the definition in float64: what faster
 * implementations and the loader are held against.
 */
export const referenceForward = (
  config: ModelConfig,
  weights: ReadonlyMap<string, Float32Array>,
  ids: ReadonlyArray<number>
): Rows => {
  const { headDim, heads, hiddenSize, keyValueHeads, rmsNormEps } = config
  const weight = (name: string): Float32Array => {
    const data = weights.get(name)
    if (data === undefined) throw new Error(`no ${name}`)
    return data
  }
  const frequencies = inverseFrequencies(config)
  const embedding = weight(ModelTensors.embedding)
  let x: Rows = ids.map((id) => Float64Array.from(embedding.subarray(id * hiddenSize, (id + 1) * hiddenSize)))
  for (let layer = 0; layer < config.layers; layer++) {
    const of = (name: string) => weight(ModelTensors.layerTensor(layer, name))
    const maybe = (name: string) => weights.get(ModelTensors.layerTensor(layer, name))
    const normed = x.map((row) => rmsNorm(row, of("input_layernorm.weight"), rmsNormEps))
    const project = (name: string) => linear(normed, of(`self_attn.${name}.weight`), maybe(`self_attn.${name}.bias`))
    const headOf = (rows: Rows, head: number) => rows.map((row) => row.slice(head * headDim, (head + 1) * headDim))
    const placed = (rows: Rows, norm: string) =>
      rows.map((row, position) =>
        rotate(queryKeyNorm(config) ? rmsNorm(row, of(norm), rmsNormEps) : row, position, frequencies)
          .map((value) => value * attentionFactor(config))
      )
    const [q, k, v] = [project("q_proj"), project("k_proj"), project("v_proj")]
    const mixed = ids.map(() => new Float64Array(heads * headDim))
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor(head / (heads / keyValueHeads))
      const rows = attend(
        placed(headOf(q, head), "self_attn.q_norm.weight"),
        placed(headOf(k, shared), "self_attn.k_norm.weight"),
        headOf(v, shared)
      )
      for (const [position, row] of rows.entries()) mixed[position]!.set(row, head * headDim)
    }
    x = add(x, linear(mixed, of("self_attn.o_proj.weight"), maybe("self_attn.o_proj.bias")))
    const input = x.map((row) => rmsNorm(row, of("post_attention_layernorm.weight"), rmsNormEps))
    const up = linear(input, of("mlp.up_proj.weight"), maybe("mlp.up_proj.bias"))
    const gated = linear(input, of("mlp.gate_proj.weight"), maybe("mlp.gate_proj.bias")).map((row, t) =>
      row.map((gate, i) => gate / (1 + Math.exp(-gate)) * up[t]![i]!)
    )
    x = add(x, linear(gated, of("mlp.down_proj.weight"), maybe("mlp.down_proj.bias")))
  }
  const last = x.map((row) => rmsNorm(row, weight(ModelTensors.finalNorm), rmsNormEps))
  return linear(last, config.tieWordEmbeddings ? embedding : weight(ModelTensors.outputHead))
}
