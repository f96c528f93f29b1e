import { assert, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Fiber } from "effect"
import * as DeviceCpu from "../../../../src/layers/device/DeviceCpu.ts"
import { held } from "../../../../src/layers/policy/engine/held.ts"
import { Device } from "../../../../src/services/Device.ts"

const fill = (value: number): tf.Tensor => tf.tidy(() => tf.add(tf.zeros([8]), value))

it.effect("what is held is disposed of, whenever its computation or its use is interrupted", () =>
  Effect.gen(function*() {
    const device = yield* Device
    const before = yield* device.memory
    for (const place of ["first piece", "last piece", "use"]) {
      let interrupt = () => {}
      const stop = (here: string) => {
        if (here === place) interrupt()
      }
      function* compute() {
        const first = fill(1)
        stop("first piece")
        yield
        const second = fill(2)
        stop("last piece")
        return { first, second }
      }
      const fiber = yield* Effect.forkChild(
        held(device, compute, () => Effect.andThen(Effect.sync(() => stop("use")), Effect.never))
      )
      interrupt = () => fiber.interruptUnsafe()
      yield* Fiber.await(fiber)
      assert.deepStrictEqual(yield* device.memory, before, place)
      // the next one has its turn
      const sum = yield* held(device, compute, ({ second }) => Effect.succeed(second.dataSync()[0]))
      assert.strictEqual(sum, 2)
      assert.deepStrictEqual(yield* device.memory, before, place)
    }
  }).pipe(Effect.provide(DeviceCpu.layer())))
