import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import * as Prng from "../../../../src/domain/Prng.ts"
import * as DeviceWasm from "../../../../src/layers/device/DeviceWasm.ts"
import * as Ops from "../../../../src/layers/device/ops/index.ts"
import { Device, OutOfDeviceMemory } from "../../../../src/services/Device.ts"

const width = 32
const heads = 2
const rows = 25
const blocks = 40
const blockSize = 16
const perRow = 2

const uniform = (prng: Prng.Prng, length: number): Float32Array =>
  Float32Array.from({ length }, () => prng.float() * 2 - 1)

interface Weights {
  readonly embedding: tf.Tensor
  readonly norm: tf.Tensor
  readonly projection: tf.Tensor
  readonly cos: tf.Tensor
  readonly sin: tf.Tensor
  readonly pool: Ops.KvPool
}

const weights = (): Weights => {
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
const inputs = (step: number) => {
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

type Inputs = ReturnType<typeof inputs>

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
const directly = (w: Weights, given: Inputs): Array<number> =>
  tf.tidy(() =>
    compute(w)((name) => {
      const { shape, values } = given[name]
      return tf.tensor(values, shape, values instanceof Int32Array ? "int32" : "float32")
    }).flatMap((result) => [...result.dataSync()])
  )

const captured = (w: Weights, given: Inputs): Array<number> => {
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

const clear = (w: Weights): void => {
  const zeros = tf.zeros(w.pool.k.shape)
  const all = Int32Array.from({ length: blocks * blockSize }, (_, slot) => slot)
  const flat = tf.reshape(zeros, [-1, heads, width / heads])
  Ops.kvAppend(w.pool, flat, flat, tf.tensor1d(all, "int32"))
}

const steps = 6

const onDevice = (threads: number, body: () => void) =>
  Effect.gen(function*() {
    const device = yield* Device
    const before = yield* device.memory
    yield* device.run(body)
    assert.deepStrictEqual(yield* device.memory, before)
  }).pipe(Effect.provide(DeviceWasm.layer({ threads })))

describe("recorded computations on DeviceWasm", () => {
  for (const threads of [1, 2, 3]) {
    it.effect(`give the same bits as the computation itself, ${threads} threads`, () =>
      onDevice(threads, () => {
        const w = weights()
        const expected = Array.from({ length: steps }, (_, step) => directly(w, inputs(step)))
        clear(w)
        for (let step = 0; step < steps; step++) assert.deepStrictEqual(captured(w, inputs(step)), expected[step])
      }))
  }

  it.effect("use the new values of weights that an optimizer changed", () =>
    onDevice(2, () => {
      const w = weights()
      captured(w, inputs(0))
      captured(w, inputs(0))
      const [m, v] = [tf.zeros([50, width]), tf.zeros([50, width])]
      const options = { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, step: 1, gradScale: 1 }
      Ops.adamW({ param: w.embedding, m, v }, tf.ones([50, width]), options)
      clear(w)
      const got = captured(w, inputs(0))
      clear(w)
      assert.deepStrictEqual(got, directly(w, inputs(0)))
      clear(w)
      assert.deepStrictEqual(captured(w, inputs(0)), got)
    }))

  it.effect("are recorded anew for other weights", () =>
    onDevice(2, () => {
      const w = weights()
      captured(w, inputs(0))
      const other = { ...w, norm: tf.ones([width]) }
      clear(w)
      const expected = directly(other, inputs(1))
      clear(w)
      assert.deepStrictEqual(captured(other, inputs(1)), expected)
      clear(w)
      assert.deepStrictEqual(captured(other, inputs(1)), expected)
    }))

  it.effect("check indices every time", () =>
    onDevice(2, () => {
      const w = weights()
      captured(w, inputs(0))
      const given = inputs(1)
      given.ids.values[3] = 50
      assert.throws(() => captured(w, given), /indices\[3\] is 50/)
      given.ids.values[3] = 49
      captured(w, given)
    }))

  it.effect("attend to runs of one sequence, although recorded for single tokens", () =>
    onDevice(2, () => {
      const w = weights()
      captured(w, inputs(0))
      const given = inputs(0)
      for (let row = 0; row < rows; row++) {
        given.tokenSeq.values[row] = row >> 3
        given.tokenPos.values[row] = 4 + row % 8
        given.slots.values[row] = (row >> 3) * perRow * blockSize + 4 + row % 8
      }
      clear(w)
      const expected = directly(w, given)
      for (let time = 0; time < 3; time++) {
        clear(w)
        assert.deepStrictEqual(captured(w, given), expected)
      }
    }))

  it.effect("are right where they depend on numbers in JavaScript, and so cannot be repeated", () =>
    onDevice(2, () => {
      for (let step = 0; step < 4; step++) {
        const results = Ops.capturingBackend()!.captured(
          "cast",
          { ids: { values: Int32Array.of(step, 2 * step), shape: [2] } },
          [],
          (input) => [tf.mul(tf.cast(input("ids"), "float32"), 0.5)]
        )
        assert.deepStrictEqual(results.flatMap((result) => [...result.dataSync()]), [step / 2, step])
      }
    }))

  it.effect("give their memory back when it is needed", () =>
    Effect.gen(function*() {
      const device = yield* Device
      yield* device.run(() => {
        const w = weights()
        directly(w, inputs(0))
        const fits = (size: number): boolean => {
          try {
            tf.tidy(() => void tf.ones([size]))
            return true
          } catch (cause) {
            assert.instanceOf(cause, OutOfDeviceMemory)
            return false
          }
        }
        let [most, tooMany] = [0, 3_000_000]
        while (tooMany - most > 16) {
          const middle = (most + tooMany) >> 1
          if (fits(middle)) most = middle
          else tooMany = middle
        }
        for (let step = 0; step < steps; step++) captured(w, inputs(step))
        assert.isTrue(fits(most))
        clear(w)
        const got = captured(w, inputs(0))
        clear(w)
        assert.deepStrictEqual(got, directly(w, inputs(0)))
      })
    }).pipe(Effect.provide(DeviceWasm.layer({ threads: 1, limitBytes: 12e6 }))))
})
