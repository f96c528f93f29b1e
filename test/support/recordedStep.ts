/** A step in the manner of a decoder, for tests of devices that record and repeat computations. */
import { assert } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import * as Prng from "../../src/domain/Prng.ts"
import * as Ops from "../../src/layers/device/ops/index.ts"

export const width = 32
const heads = 2
export const rows = 25
const blocks = 40
export const blockSize = 16
export const perRow = 2

const uniform = (prng: Prng.Prng, length: number): Float32Array =>
  Float32Array.from({ length }, () => prng.float() * 2 - 1)

export interface Weights {
  readonly embedding: tf.Tensor
  readonly norm: tf.Tensor
  readonly projection: tf.Tensor
  readonly cos: tf.Tensor
  readonly sin: tf.Tensor
  readonly pool: Ops.KvPool
}

/** Weights and an empty cache. */
export const weights = (): Weights => {
  const prng = Prng.make("programs")
  const tensor = (...shape: Array<number>) => tf.tensor(uniform(prng, shape.reduce((a, b) => a * b)), shape)
  const cache = () => tf.zeros([blocks, blockSize, heads, width / heads])
  return {
    embedding: tensor(50, width),
    norm: tensor(width),
    projection: tensor(width, width),
    cos: tensor(64, width / heads / 2),
    sin: tensor(64, width / heads / 2),
    pool: { k: cache(), v: cache() }
  }
}

/** The inputs of step `step`, one token a sequence. */
export const inputs = (step: number) => {
  const prng = Prng.make(`inputs ${step}`)
  const positions = Int32Array.from({ length: rows }, (_, row) => (row + step) % (perRow * blockSize))
  const table = Int32Array.from({ length: rows * perRow }, (_, i) => i % blocks)
  return {
    ids: { values: Int32Array.from({ length: rows }, () => prng.below(50)), shape: [rows] },
    tokenSeq: { values: Int32Array.from({ length: rows }, (_, row) => row), shape: [rows] },
    tokenPos: { values: positions, shape: [rows] },
    slots: {
      values: positions.map((position, row) =>
        (table[row * perRow + Math.floor(position / blockSize)] ?? 0) * blockSize + position % blockSize
      ),
      shape: [rows]
    },
    blockTable: { values: table, shape: [rows, perRow] },
    scale: { values: uniform(prng, rows), shape: [rows, 1] }
  }
}

export type Inputs = ReturnType<typeof inputs>

/** A step in the manner of a decoder: lookup, norm, projection, rotation, cache, attention, product with the table. */
const compute = (w: Weights) => (input: (name: keyof Inputs) => tf.Tensor) => {
  const x = tf.mul(tf.gather(w.embedding, input("ids")), input("scale"))
  const projected = tf.matMul(Ops.rmsNormForward(x, w.norm, 1e-6), w.projection, false, true)
  const angles = Ops.rotary(input("tokenPos"), w.cos, w.sin)
  const q = Ops.ropeForward(tf.reshape(projected, [rows, heads, width / heads]), angles)
  const pool = Ops.kvAppend(w.pool, q, q, input("slots"))
  const layout = { blockTable: input("blockTable"), tokenSeq: input("tokenSeq"), tokenPos: input("tokenPos") }
  const attended = tf.reshape(Ops.pagedAttention(q, pool, layout, 0.3), [rows, width])
  const logits = tf.matMul(tf.add(x, Ops.swiGluForward(attended, x)), w.embedding, false, true)
  return [logits, tf.clone(attended)]
}

/** The same step, from tensors of its own. */
export const directly = (w: Weights, given: Inputs): Array<number> =>
  tf.tidy(() =>
    compute(w)((name) => {
      const { shape, values } = given[name]
      return tf.tensor(values, shape, values instanceof Int32Array ? "int32" : "float32")
    }).flatMap((result) => [...result.dataSync()])
  )

/** The step as the device records and repeats it. */
export const captured = (w: Weights, given: Inputs): Array<number> => {
  const capturing = Ops.capturingBackend()
  assert.isDefined(capturing)
  const state = [w.embedding, w.norm, w.projection, w.cos, w.sin, w.pool.k, w.pool.v]
  const results = capturing!.captured("step", given, state, (input) => compute(w)((name) => input(name)))
  return results.flatMap((result) => {
    const values = [...result.dataSync()]
    result.dispose()
    return values
  })
}

/** Empties the cache. */
export const clear = (w: Weights): void => {
  const zeros = tf.zeros(w.pool.k.shape)
  const all = Int32Array.from({ length: blocks * blockSize }, (_, slot) => slot)
  const flat = tf.reshape(zeros, [-1, heads, width / heads])
  Ops.kvAppend(w.pool, flat, flat, tf.tensor1d(all, "int32"))
}
