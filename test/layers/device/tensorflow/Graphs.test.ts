import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Layer } from "effect"
import * as DeviceTensorFlow from "../../../../src/layers/device/DeviceTensorFlow.ts"
import * as Ops from "../../../../src/layers/device/ops/index.ts"
import { findTensorFlow } from "../../../../src/layers/device/tensorflow/backend.ts"
import { locate } from "../../../../src/layers/device/tensorflow/load.ts"
import { Device } from "../../../../src/services/Device.ts"

const reason = await Effect.runPromise(
  locate.pipe(
    Effect.as(undefined),
    Effect.catch((error) => Effect.succeed(error.message)),
    Effect.provide(NodeServices.layer)
  )
)

const layer = (limitBytes?: number) => DeviceTensorFlow.layer({ limitBytes }).pipe(Layer.provide(NodeServices.layer))

const graphs = () => {
  const found = findTensorFlow()?.graphs
  return found === undefined ? assert.fail("the backend does not record") : found
}

const captured = (
  key: string,
  inputs: Readonly<Record<string, Ops.CapturedInput>>,
  state: ReadonlyArray<tf.Tensor>,
  compute: (inputs: (name: string) => tf.Tensor) => ReadonlyArray<tf.Tensor>
): Array<Array<number>> => {
  const backend = Ops.capturingBackend()
  assert.isDefined(backend)
  return backend!.captured(key, inputs, state, compute).map((tensor) => Array.from(tensor.dataSync()))
}

const floats = (...values: ReadonlyArray<number>): Ops.CapturedInput => ({
  values: Float32Array.from(values),
  shape: [values.length / 2, 2]
})

describe.skipIf(reason !== undefined)("recorded graphs of TensorFlow", () => {
  const onDevice = (what: string, compute: () => void, limitBytes?: number) =>
    it.effect(what, () =>
      Effect.gen(function*() {
        const device = yield* Device
        const before = yield* device.memory
        yield* device.run(compute)
        assert.deepStrictEqual(yield* device.memory, before)
      }).pipe(Effect.provide(layer(limitBytes))))

  onDevice("one graph serves the sizes in which two recordings agree", () => {
    const weight = tf.tensor2d([[1, 2], [3, 4]])
    let computed = 0
    const run = (...values: ReadonlyArray<number>) =>
      captured("product", { x: floats(...values) }, [weight], (input) => {
        computed++
        return [tf.reshape(tf.add(tf.matMul(input("x"), weight), tf.scalar(1)), [-1, 2, 1])]
      })[0]
    assert.deepStrictEqual(run(1, 0, 0, 1), [2, 3, 4, 5])
    assert.deepStrictEqual(run(1, 0, 0, 1, 1, 1), [2, 3, 4, 5, 5, 7])
    assert.strictEqual(computed, 2)
    assert.deepStrictEqual(run(2, 0, 0, 2, 2, 2, 0, 0), [3, 5, 7, 9, 9, 13, 1, 1])
    assert.deepStrictEqual(run(0, 0, 0, 1), [1, 1, 4, 5])
    assert.strictEqual(computed, 2)
    assert.strictEqual(graphs().statistics.loaded, 1)
    assert.strictEqual(graphs().statistics.replays, 4)
    // One row could be spread over others: what holds for two and three need not hold for one.
    assert.deepStrictEqual(run(1, 1), [5, 7])
    assert.strictEqual(computed, 3)
  })

  onDevice("a constant that depends on a size keeps graphs apart", () => {
    let computed = 0
    const run = (...values: ReadonlyArray<number>) =>
      captured("mean", { x: floats(...values) }, [], (input) => {
        computed++
        const x = input("x")
        return [tf.mul(tf.sum(x), tf.scalar(1 / x.size))]
      })[0]?.[0]
    for (const _ of [1, 2]) {
      assert.strictEqual(run(1, 2, 3, 6), 3)
      assert.strictEqual(run(1, 2, 3, 6, 2, 4), 3)
    }
    assert.strictEqual(computed, 2)
    assert.strictEqual(graphs().statistics.loaded, 2)
  })

  onDevice("a graph takes the state as it is, also where tensors were replaced", () => {
    const run = (weight: tf.Tensor) =>
      captured("state", { x: floats(1, 2) }, [weight], (input) => [tf.mul(input("x"), weight)])[0]
    assert.deepStrictEqual(run(tf.scalar(1)), [1, 2])
    assert.deepStrictEqual(run(tf.scalar(2)), [2, 4])
    assert.deepStrictEqual(run(tf.scalar(3)), [3, 6])
    assert.isAtLeast(graphs().statistics.replays, 3)
  })

  onDevice("a cache that a graph appends to is written in place and read afterwards", () => {
    const pool = { k: tf.zeros([2, 2, 1, 2]), v: tf.zeros([2, 2, 1, 2]) }
    const run = (slot: number, value: number) =>
      captured(
        "append",
        { x: floats(value, value), slots: { values: Int32Array.of(slot), shape: [1] } },
        [pool.k, pool.v],
        (input) => {
          const rows = tf.reshape(input("x"), [1, 1, 2])
          const next = Ops.kvAppend(pool, rows, rows, input("slots"))
          return [tf.sum(next.k)]
        }
      )[0]?.[0]
    assert.strictEqual(run(0, 1), 2)
    assert.strictEqual(run(1, 2), 6)
    assert.strictEqual(run(3, 3), 12)
    assert.strictEqual(run(1, 0), 8)
    assert.deepStrictEqual(Array.from(pool.k.dataSync()), [1, 1, 0, 0, 0, 0, 3, 3])
    // The values are not among the results, and yet they are written.
    assert.deepStrictEqual(Array.from(pool.v.dataSync()), [1, 1, 0, 0, 0, 0, 3, 3])
    assert.isAtLeast(graphs().statistics.replays, 3)
  })

  onDevice("what cannot be repeated is computed each time", () => {
    const outside = tf.scalar(5)
    tf.add(outside, 1)
    let factor = 1
    const reading = () =>
      captured("reading", { x: floats(1, 2) }, [], (input) => {
        const [first = 0] = input("x").dataSync()
        return [tf.mul(input("x"), first + factor)]
      })[0]
    const foreign = () => captured("foreign", { x: floats(1, 2) }, [], (input) => [tf.mul(input("x"), outside)])[0]
    assert.deepStrictEqual(reading(), [2, 4])
    factor = 2
    assert.deepStrictEqual(reading(), [3, 6])
    assert.deepStrictEqual(foreign(), [5, 10])
    assert.deepStrictEqual(foreign(), [5, 10])
    assert.deepStrictEqual([...graphs().statistics.refused.keys()], ["reading", "foreign"])
    assert.strictEqual(graphs().statistics.replays, 0)
  })

  it.effect("a result beyond the limit is refused with all others", () =>
    Effect.gen(function*() {
      const device = yield* Device
      const before = yield* device.memory
      const run = (rows: number) =>
        device.run(() => {
          const x = { values: new Float32Array(2 * rows), shape: [rows, 2] }
          captured("wide", { x }, [], (input) => [tf.tile(input("x"), [1, 8]), tf.add(input("x"), 1)])
        })
      for (const rows of [8, 8]) yield* run(rows)
      const error = yield* Effect.flip(run(1 << 14))
      assert.strictEqual(error._tag, "OutOfDeviceMemory")
      assert.deepStrictEqual(yield* device.memory, before)
    }).pipe(Effect.provide(layer(1 << 20))))
})
