import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import * as DeviceWasm from "../../../../src/layers/device/DeviceWasm.ts"
import * as Ops from "../../../../src/layers/device/ops/index.ts"
import { Device, OutOfDeviceMemory } from "../../../../src/services/Device.ts"
import {
  blockSize,
  captured,
  clear,
  directly,
  inputs,
  perRow,
  rows,
  weights,
  width
} from "../../../support/recordedStep.ts"

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
