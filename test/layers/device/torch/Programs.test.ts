import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Layer } from "effect"
import * as DeviceTorch from "../../../../src/layers/device/DeviceTorch.ts"
import * as Ops from "../../../../src/layers/device/ops/index.ts"
import { TorchBackend } from "../../../../src/layers/device/torch/backend.ts"
import { locate } from "../../../../src/layers/device/torch/load.ts"
import { Device } from "../../../../src/services/Device.ts"
import * as Step from "../../../support/recordedStep.ts"

const reason = await Effect.runPromise(
  locate.pipe(
    Effect.as(undefined),
    Effect.catch((error) => Effect.succeed(error.message)),
    Effect.provide(NodeServices.layer)
  )
)

const { captured, clear, directly, inputs, weights } = Step

/** Sums are taken in another order than by ATen. */
const close = (actual: ReadonlyArray<number>, expected: ReadonlyArray<number>) => {
  assert.strictEqual(actual.length, expected.length)
  actual.forEach((value, i) => assert.closeTo(value, expected[i] ?? Number.NaN, 1e-5, `value ${i}`))
}

const addon = () => {
  const backend: unknown = tf.backend()
  assert.instanceOf(backend, TorchBackend)
  return backend.addon
}

const onDevice = (body: () => void) =>
  Effect.gen(function*() {
    const device = yield* Device
    const before = yield* device.memory
    const live = yield* device.run(() => addon().live().tensors)
    yield* device.run(body)
    assert.deepStrictEqual(yield* device.memory, before)
    assert.strictEqual(yield* device.run(() => addon().live().tensors), live)
  }).pipe(Effect.provide(DeviceTorch.layer({ device: "cpu" }).pipe(Layer.provide(NodeServices.layer))))

describe.skipIf(reason !== undefined)(`recorded computations on DeviceTorch${reason ?? ""}`, () => {
  it.effect("give what the computation itself gives", () =>
    onDevice(() => {
      const w = weights()
      const expected = Array.from({ length: 6 }, (_, step) => directly(w, inputs(step)))
      clear(w)
      const first = Array.from({ length: 6 }, (_, step) => captured(w, inputs(step)))
      first.forEach((values, step) => close(values, expected[step] ?? []))
      clear(w)
      const again = Array.from({ length: 6 }, (_, step) => captured(w, inputs(step)))
      again.forEach((values, step) => close(values, expected[step] ?? []))
    }))

  it.effect("use the new values of weights that an optimizer changed", () =>
    onDevice(() => {
      const w = weights()
      const before = captured(w, inputs(0))
      clear(w)
      captured(w, inputs(0))
      const shape = w.projection.shape
      const [m, v] = [tf.zeros(shape), tf.zeros(shape)]
      const options = { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, step: 1, gradScale: 1 }
      Ops.adamW({ param: w.projection, m, v }, tf.ones(shape), options)
      clear(w)
      const got = captured(w, inputs(0))
      clear(w)
      close(got, directly(w, inputs(0)))
      assert.isTrue(got.some((value, i) => Math.abs(value - (before[i] ?? 0)) > 1e-2))
    }))

  it.effect("are recorded anew for other weights, and go with them", () =>
    onDevice(() => {
      const w = weights()
      captured(w, inputs(0))
      const other = { ...w, norm: tf.ones([Step.width]) }
      clear(w)
      const expected = directly(other, inputs(1))
      for (let time = 0; time < 3; time++) {
        clear(w)
        close(captured(other, inputs(1)), expected)
      }
    }))

  it.effect("check indices every time", () =>
    onDevice(() => {
      const w = weights()
      captured(w, inputs(0))
      const given = inputs(1)
      given.ids.values[3] = 50
      assert.throws(() => captured(w, given), /aten::embedding.*id 50 is outside the vocabulary of 50/)
      given.ids.values[3] = 49
      given.slots.values[0] = 1 << 20
      assert.throws(() => captured(w, given), /search_r1::kv_append.*slot 1048576/)
      given.slots.values[0] = 0
      given.tokenPos.values[1] = 4096
      assert.throws(() => captured(w, given), /4096|block table/)
      given.tokenPos.values[1] = 0
      captured(w, given)
    }))

  it.effect("attend to runs of one sequence, although recorded for single tokens", () =>
    onDevice(() => {
      const w = weights()
      captured(w, inputs(0))
      const given = inputs(0)
      for (let row = 0; row < Step.rows; row++) {
        given.tokenSeq.values[row] = row >> 3
        given.tokenPos.values[row] = 4 + row % 8
        given.slots.values[row] = (row >> 3) * Step.perRow * Step.blockSize + 4 + row % 8
      }
      clear(w)
      const expected = directly(w, given)
      for (let time = 0; time < 3; time++) {
        clear(w)
        close(captured(w, given), expected)
      }
    }))

  it.effect("are computed anew where they read numbers, and where a computation fails", () =>
    onDevice(() => {
      const run = (step: number, compute: (x: tf.Tensor) => tf.Tensor) => {
        const x = { values: Float32Array.of(step, 2 * step), shape: [2] }
        const [y] = Ops.capturingBackend()!.captured("numbers", { x }, [], (input) => [compute(input("x"))])
        const values = [...y!.dataSync()]
        y!.dispose()
        return values
      }
      assert.throws(() => run(1, () => tf.matMul(tf.ones([2, 3]), tf.ones([2, 3]))))
      for (let step = 0; step < 3; step++) {
        assert.deepStrictEqual(run(step, (x) => tf.mul(x, x.dataSync()[1]!)), [2 * step ** 2, 4 * step ** 2])
      }
    }))
})
