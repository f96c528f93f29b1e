/** Policies, learners, devices and models: sessions, tensors, threads and file descriptors. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert } from "@effect/vitest"
import * as tf from "@tensorflow/tfjs-core"
import { Deferred, Effect, Layer, Stream } from "effect"
import { elements, type TensorSpec } from "../../../src/domain/ModelTensors.ts"
import { greedy, onPolicy } from "../../../src/domain/Sampling.ts"
import { shippedModel } from "../../../src/layers/assets.ts"
import * as DeviceCpu from "../../../src/layers/device/DeviceCpu.ts"
import * as DeviceTensorFlow from "../../../src/layers/device/DeviceTensorFlow.ts"
import * as DeviceTorch from "../../../src/layers/device/DeviceTorch.ts"
import * as DeviceWasm from "../../../src/layers/device/DeviceWasm.ts"
import * as HuggingFaceWriter from "../../../src/layers/model/HuggingFaceWriter.ts"
import * as Weights from "../../../src/layers/model/Weights.ts"
import * as PolicyEngine from "../../../src/layers/policy/PolicyEngine.ts"
import * as PolicyScripted from "../../../src/layers/policy/PolicyScripted.ts"
import * as TokenizerBytes from "../../../src/layers/tokenizer/TokenizerBytes.ts"
import * as TokenizerFolder from "../../../src/layers/tokenizer/TokenizerFolder.ts"
import { Device } from "../../../src/services/Device.ts"
import { Policy } from "../../../src/services/Policy.ts"
import { Tokenizer } from "../../../src/services/Tokenizer.ts"
import { type Lifetime, lifetimes, type Work } from "../../contract/lifetimes.ts"
import { devices } from "../policy/engine/fixtures.ts"
import * as Tiny from "../policy/engine/tinyEngine.ts"

const node = Effect.provide(NodeServices.layer)
const absentOf = (name: string) => devices.find((device) => device.name === name)?.absent

const device = (
  name: string,
  layer: () => Layer.Layer<Device, unknown, NodeServices.NodeServices>,
  absent?: string
): Lifetime => {
  const within = (use: (device: Device["Service"]) => Effect.Effect<unknown, unknown>) =>
    Effect.flatMap(Device, use).pipe(Effect.provide(layer()), node)
  return {
    name,
    absent,
    interruptions: [0, 2, 5, 10, 25, 60],
    succeeds: () =>
      within(({ resource, run }) =>
        Effect.scoped(Effect.gen(function*() {
          const { x } = yield* resource(() => ({ x: tf.ones([64, 64]) }))
          assert.strictEqual((yield* run(() => tf.sum(tf.matMul(x, x)).dataSync()))[0], 64 ** 3)
        }))
      ),
    fails: () => within(({ run }) => run(() => tf.matMul(tf.ones([2, 3]), tf.ones([2, 3])))),
    hangs: ({ begun }) =>
      within(({ resource }) =>
        Effect.scoped(
          resource(() => ({ x: tf.ones([64, 64]) })).pipe(
            Effect.andThen(Deferred.succeed(begun, undefined)),
            Effect.andThen(Effect.never)
          )
        )
      )
  }
}

lifetimes("Device", [
  device("DeviceCpu", () => DeviceCpu.layer()),
  device("DeviceWasm, one thread", () => DeviceWasm.layer({ threads: 1 })),
  device("DeviceWasm, two threads", () => DeviceWasm.layer({ threads: 2 })),
  device("DeviceTensorFlow", () => DeviceTensorFlow.layer(), absentOf("DeviceTensorFlow")),
  device("DeviceTorch", () => DeviceTorch.layer({ device: "cpu" }), absentOf("DeviceTorch"))
])

const sessionOf = (ids: Int32Array, sample = 0) => ({ promptKey: "p", sample, ids, seed: "s" })

/** Two sessions that generate at once; one that asks for more than the context holds; one that does not come to an end. */
const policy = <E>(
  name: string,
  layer: () => Layer.Layer<Policy, E, NodeServices.NodeServices>,
  more: Partial<Lifetime> = {}
): Lifetime => {
  const within = (use: (policy: Policy["Service"]) => Effect.Effect<unknown, unknown>) =>
    Effect.flatMap(Policy, use).pipe(Effect.provide(layer()), node)
  const options = { maxTokens: 12, sampling: onPolicy, stop: [] }
  return {
    name,
    succeeds: () =>
      within(({ session }) =>
        Effect.forEach([0, 1], (sample) =>
          Effect.scoped(Effect.gen(function*() {
            const own = yield* session(sessionOf(Tiny.ids(9), sample))
            yield* own.generate(options)
            yield* own.append(Int32Array.of(3))
            yield* own.generate(options)
          })), { concurrency: 2 })
      ),
    fails: () => within(({ contextLength, session }) => Effect.scoped(session(sessionOf(Tiny.ids(contextLength + 1))))),
    ...more
  }
}

const engine = (options: Partial<PolicyEngine.StartOptions> = {}): PolicyEngine.StartOptions => ({
  model: shippedModel,
  device: "wasm",
  threads: 1,
  ...options
})

/** A generation that is interrupted in the middle: behind its first text. */
const generating = (layer: () => Layer.Layer<Policy, unknown, NodeServices.NodeServices>): Work => ({ begun }) =>
  Effect.gen(function*() {
    const { session } = yield* Policy
    const own = yield* session(sessionOf(Int32Array.of(5, 6, 7)))
    for (;;) {
      yield* own.generate({ maxTokens: 200, sampling: greedy, stop: [] }, () => Deferred.succeed(begun, undefined))
        .pipe(
          Effect.ignore
        )
      yield* Effect.yieldNow
    }
  }).pipe(Effect.scoped, Effect.provide(layer()), node)

lifetimes("Policy and Optimizer", [
  policy(
    "PolicyScripted",
    () =>
      PolicyScripted.layer(["<search>a</search>", "<answer>b</answer>"], { contextLength: 64 }).pipe(
        Layer.provide(TokenizerBytes.layer)
      )
  ),
  policy("PolicyEngine in this thread", () => PolicyEngine.layerLocal(engine()), {
    interruptions: [0, 3, 10, 40, 100],
    hangs: generating(() => PolicyEngine.layerLocal(engine()))
  }),
  policy("PolicyEngine in a thread", () => PolicyEngine.layer(engine()), {
    slow: true,
    interruptions: [3, 400],
    fails: () =>
      Policy.use(() => Effect.void).pipe(Effect.provide(PolicyEngine.layer(engine({ model: "/no/such" }))), node),
    hangs: generating(() => PolicyEngine.layer(engine()))
  }),
  {
    name: "an engine that learns, saves and restores",
    interruptions: [0, 5, 20, 60, 150],
    succeeds: () =>
      Effect.gen(function*() {
        const { optimizer } = yield* Tiny.engine({ critic: true, reference: true })
        yield* optimizer.update(Tiny.batch, Tiny.update)
        yield* optimizer.restore(yield* optimizer.state)
      }).pipe(Effect.provide(Tiny.device)),
    fails: () =>
      Effect.gen(function*() {
        const { optimizer } = yield* Tiny.engine()
        yield* optimizer.restore({ info: 3, blobs: {} })
      }).pipe(Effect.provide(Tiny.device))
  }
])

lifetimes("models and tokenizers", [
  {
    name: "TokenizerFolder",
    succeeds: () =>
      Tokenizer.useSync(({ encode }) => encode("a b")).pipe(Effect.provide(TokenizerFolder.layer(shippedModel)), node),
    fails: ({ directory }) =>
      Tokenizer.useSync(({ encode }) => encode("a")).pipe(Effect.provide(TokenizerFolder.layer(directory)), node)
  },
  {
    name: "a model that is saved over another",
    leaves: ["model"],
    interruptions: [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 20, 40],
    succeeds: ({ directory }) =>
      Effect.gen(function*() {
        const saved = {
          config: Tiny.config,
          read: (spec: TensorSpec) => Effect.succeed(new Float32Array(elements(spec.shape)))
        }
        yield* HuggingFaceWriter.check(`${directory}/model`)
        yield* Weights.save(`${directory}/model`, saved)
        yield* Weights.save(`${directory}/model`, saved)
      }).pipe(node),
    fails: ({ directory }) =>
      Weights.save(`${directory}/model`, { config: Tiny.config, read: () => Effect.fail("unreadable" as const) }).pipe(
        node
      )
  },
  {
    name: "weights that are read to a part of them",
    interruptions: [0, 1, 2, 4, 8, 16],
    succeeds: () =>
      Effect.flatMap(Weights.read(shippedModel), ({ tensors }) => Stream.runDrain(Stream.take(tensors, 2))).pipe(node),
    fails: ({ directory }) => Weights.read(directory).pipe(node),
    hangs: ({ begun }) =>
      Effect.flatMap(
        Weights.read(shippedModel),
        ({ tensors }) =>
          Stream.runForEach(tensors, () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
      ).pipe(node)
  }
])
