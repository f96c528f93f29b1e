/** What work that ends early leaves behind: nothing on the device, nothing in the weights. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Exit, Fiber, Layer, Stream } from "effect"
import type * as AdamW from "../../../../src/domain/AdamW.ts"
import * as Batch from "../../../../src/domain/Batch.ts"
import { negativeLogLikelihood } from "../../../../src/domain/Loss.ts"
import * as ModelInit from "../../../../src/domain/ModelInit.ts"
import { onPolicy } from "../../../../src/domain/Sampling.ts"
import * as Vocabulary from "../../../../src/domain/world/Vocabulary.ts"
import * as WorldModel from "../../../../src/domain/world/WorldModel.ts"
import * as DeviceTensorFlow from "../../../../src/layers/device/DeviceTensorFlow.ts"
import * as DeviceTorch from "../../../../src/layers/device/DeviceTorch.ts"
import * as DeviceWasm from "../../../../src/layers/device/DeviceWasm.ts"
import * as Engine from "../../../../src/layers/policy/engine/Engine.ts"
import { Device } from "../../../../src/services/Device.ts"
import type { UpdateOptions } from "../../../../src/services/Optimizer.ts"
import { assertSameBlobs, assertSameState } from "../../../support/states.ts"
import { byteTokenizer, devices } from "./fixtures.ts"

const config = WorldModel.config({ vocabulary: Vocabulary.world, hiddenSize: 32, layers: 2, heads: 2 })

const engineOf = Engine.make(
  { config, tensors: Stream.fromIterable(ModelInit.weights(config, "interrupted")) },
  byteTokenizer(config.vocabularySize),
  { cacheTokens: 4096 }
)

const adamW: AdamW.AdamW = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 }

const options: UpdateOptions = {
  loss: negativeLogLikelihood,
  learningRate: 1e-3,
  adamW,
  temperature: 1,
  microBatch: { maxTokens: 1 << 20 }
}

const texts = (count: number, tokens: number): Batch.MiniBatch =>
  Batch.miniBatch(Array.from({ length: count }, (_, index) =>
    Batch.demonstration({
      key: `${index}`,
      ids: Int32Array.from({ length: tokens }, (_, position) => 2 + (index * 7 + position * 3) % 200)
    })))

const limited = {
  DeviceWasm: (limitBytes?: number) => Layer.orDie(DeviceWasm.layer({ limitBytes })),
  DeviceTensorFlow: (limitBytes?: number) =>
    Layer.orDie(DeviceTensorFlow.layer({ limitBytes }).pipe(Layer.provide(NodeServices.layer))),
  DeviceTorch: (limitBytes?: number) =>
    Layer.orDie(DeviceTorch.layer({ device: "cpu", limitBytes }).pipe(Layer.provide(NodeServices.layer)))
}

/** Takes all memory of a device in pieces of 128 KiB. */
const fill = Effect.fnUntraced(function*(device: Device["Service"]) {
  const pieces: Array<tf.Tensor> = []
  const take = Effect.map(device.run(() => tf.add(tf.ones([1 << 15]), 1)), (piece) => pieces.push(piece))
  yield* Effect.ignore(Effect.forever(take))
  return pieces
})

/** Lets other fibers run `turns` times. */
const turns = (count: number) => Effect.repeat(Effect.yieldNow, { times: count })

for (const { absent, name } of devices) {
  if (name === "DeviceCpu") continue
  const layer = limited[name]
  describe.skipIf(absent !== undefined)(`work that ends early on ${name}`, () => {
    it.effect("100 interrupted rollouts leave tensors and bytes where they began", () =>
      Effect.gen(function*() {
        const device = yield* Device
        const { policy, scheduler } = yield* engineOf
        const rollout = (index: number, tokens: number) =>
          Effect.scoped(Effect.gen(function*() {
            const ids = Int32Array.of(1, 2, 3 + index % 8)
            const session = yield* policy.session({ promptKey: `${index % 8}`, sample: index, ids, seed: `${index}` })
            yield* session.generate({ maxTokens: tokens, sampling: onPolicy, stop: [] })
            yield* session.append(Int32Array.of(9, 8, 7))
            yield* session.generate({ maxTokens: tokens, sampling: onPolicy, stop: [] })
          }))
        const round = Effect.fnUntraced(function*(count: number) {
          const fibers = yield* Effect.forEach(
            Array.from({ length: count }, (_, index) => index),
            (index) => Effect.forkChild(rollout(index, 180), { startImmediately: true })
          )
          let interrupted = 0
          for (const fiber of fibers) {
            yield* turns(1)
            if (Exit.isFailure(yield* Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber)))) interrupted++
          }
          return interrupted
        })
        // what is made once, such as recorded steps, is made here
        yield* round(110)
        const before = yield* device.memory
        // a few end by themselves
        assert.isAtLeast(yield* round(110), 100)
        assert.strictEqual(yield* scheduler.usedBlocks, 0)
        assert.deepStrictEqual(yield* device.memory, before)
      }).pipe(Effect.scoped, Effect.provide(layer())))

    it.effect("20 interrupted updates leave memory and weights as a whole number of steps does", () =>
      Effect.gen(function*() {
        const device = yield* Device
        const { optimizer, policy } = yield* engineOf
        const batch = texts(6, 20)
        const sliced = { ...options, microBatch: { maxTokens: 20 } }
        yield* optimizer.update(batch, sliced)
        const before = yield* device.memory
        for (let index = 0; index < 20; index++) {
          const fiber = yield* Effect.forkChild(optimizer.update(batch, sliced), { startImmediately: true })
          yield* turns(index)
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(yield* device.memory, before)
        }
        const steps = yield* policy.version
        assert.isBelow(steps, 21)
        const { blobs } = yield* optimizer.state
        const whole = yield* engineOf
        for (let index = 0; index < steps; index++) yield* whole.optimizer.update(batch, sliced)
        assertSameBlobs((yield* whole.optimizer.state).blobs, blobs)
      }).pipe(Effect.scoped, Effect.provide(layer())))

    it.effect("5 times out of memory change nothing; with a little room the step is made in smaller micro-batches", () =>
      Effect.gen(function*() {
        const device = yield* Device
        const batch = texts(64, 24)
        const roomy = yield* Effect.scoped(
          Effect.flatMap(
            engineOf,
            ({ optimizer }) => Effect.andThen(optimizer.update(texts(1, 24), options), optimizer.update(batch, options))
          )
        )
        const { optimizer, policy } = yield* engineOf
        yield* optimizer.update(texts(1, 24), options)
        const before = yield* device.memory
        const state = yield* optimizer.state
        const ballast = yield* fill(device)
        const full = yield* device.memory
        for (let time = 0; time < 5; time++) {
          assert.strictEqual((yield* Effect.flip(optimizer.update(batch, options)))._tag, "OutOfDeviceMemory")
          assert.deepStrictEqual(yield* device.memory, full)
        }
        assert.strictEqual(yield* policy.version, 1)
        assertSameState(yield* optimizer.state, state)
        yield* device.run(() => tf.dispose(ballast.splice(0, 16)))
        const { metrics } = yield* optimizer.update(batch, options)
        assert.isAbove(metrics["actor/micro_batches"] ?? 0, 1)
        assert.closeTo(
          (metrics["actor/grad_norm"] ?? 0) / (roomy.metrics["actor/grad_norm"] ?? 0),
          1,
          1e-3
        )
        assert.strictEqual(yield* policy.version, 2)
        yield* device.run(() => tf.dispose(ballast))
        assert.deepStrictEqual(yield* device.memory, before)
      }).pipe(Effect.scoped, Effect.provide(layer(24 << 20))))
  })
}
