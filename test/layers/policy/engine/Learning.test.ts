import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Stream } from "effect"
import type * as AdamW from "../../../../src/domain/AdamW.ts"
import * as Batch from "../../../../src/domain/Batch.ts"
import * as Loss from "../../../../src/domain/Loss.ts"
import { ModelConfig } from "../../../../src/domain/ModelConfig.ts"
import * as ModelInit from "../../../../src/domain/ModelInit.ts"
import { parameterCount, tensors } from "../../../../src/domain/ModelTensors.ts"
import { greedy } from "../../../../src/domain/Sampling.ts"
import * as DeviceCpu from "../../../../src/layers/device/DeviceCpu.ts"
import * as DeviceWasm from "../../../../src/layers/device/DeviceWasm.ts"
import * as Weights from "../../../../src/layers/model/Weights.ts"
import * as Engine from "../../../../src/layers/policy/engine/Engine.ts"
import { Device } from "../../../../src/services/Device.ts"
import type { UpdateOptions } from "../../../../src/services/Optimizer.ts"
import { assertSameState } from "../../../support/states.ts"
import { byteTokenizer, devices, fastest, golden, model, noModels } from "./fixtures.ts"

interface Arithmetic {
  readonly ids: ReadonlyArray<ReadonlyArray<number>>
  readonly mask: ReadonlyArray<ReadonlyArray<number>>
  readonly advantage_per_sequence: ReadonlyArray<number>
  readonly old_logprobs: ReadonlyArray<ReadonlyArray<number>>
  readonly ref_logprobs: ReadonlyArray<ReadonlyArray<number>>
  readonly steps: ReadonlyArray<{
    readonly loss: number
    readonly policy_loss: number
    readonly entropy: number
    readonly k3: number
    readonly grad_norm: number
    readonly weights_after: Readonly<Record<string, ReadonlyArray<number>>>
    readonly weight_sum: number
  }>
}

const name = "verl_arithmetic"

const start = Effect.fnUntraced(function*(options?: Engine.EngineOptions) {
  const weights = yield* Weights.read(model(name))
  const engine = yield* Engine.make(weights, byteTokenizer(weights.config.vocabularySize), {
    cacheTokens: 64,
    ...options
  })
  return { engine, device: yield* Device }
})

/** A random model that a thousand updates of take seconds. */
const startTiny = Effect.gen(function*() {
  const { config } = yield* Weights.read(model(name))
  const { others: _, ...own } = config
  const tiny = new ModelConfig({
    ...own,
    others: {},
    hiddenSize: 32,
    intermediateSize: 48,
    layers: 2,
    heads: 2,
    keyValueHeads: 2,
    headDim: 16
  })
  const weights = { config: tiny, tensors: Stream.fromIterable(ModelInit.weights(tiny, "tiny")) }
  const engine = yield* Engine.make(weights, byteTokenizer(tiny.vocabularySize), { cacheTokens: 64 })
  return { engine, device: yield* Device }
})

const aligned = (values: ReadonlyArray<number>) => Float32Array.of(0, ...values)

const batch = (data = golden<Arithmetic>(name)): Batch.MiniBatch =>
  Batch.miniBatch(data.ids.map((ids, i) => ({
    promptKey: `${i}`,
    sample: 0,
    ids: Int32Array.from(ids),
    lossMask: Uint8Array.of(0, ...data.mask[i]!),
    advantages: new Float32Array(ids.length).fill(data.advantage_per_sequence[i]!),
    oldLogProbs: aligned(data.old_logprobs[i]!),
    refLogProbs: aligned(data.ref_logprobs[i]!),
    valueMask: Uint8Array.of(0, ...data.mask[i]!),
    oldValues: new Float32Array(ids.length).fill(0.1),
    returns: Float32Array.from(ids, (_, t) => Math.sin(t + i))
  })))

const adamW: AdamW.AdamW = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, maxGradNorm: 1 }

const options: UpdateOptions = {
  loss: { ...Loss.ppo, klCoefficient: 0.01 },
  learningRate: 1e-3,
  adamW,
  temperature: 1,
  microBatch: { maxTokens: 4096 }
}

const relative = (actual: number, expected: number, what: string) =>
  assert.isAtMost(Math.abs(actual - expected), 1e-3 * Math.max(Math.abs(expected), 1e-2), what)

const weightSum = (engine: Engine.LocalEngine) =>
  Effect.reduce(
    tensors(engine.config),
    () => 0,
    (sum, spec) => Effect.map(engine.readWeight(spec), (data) => sum + data.reduce((a, b) => a + b, 0))
  )

// Plain JavaScript takes 20 s for these steps.
for (const device of devices.filter(({ name }) => name !== "DeviceCpu")) {
  describe.skipIf(noModels !== undefined || device.absent !== undefined)(`learning on ${device.name}`, () => {
    for (
      const [what, microBatch, checkpointing] of [
        ["one batch", { maxTokens: 4096 }, false],
        ["a sequence at a time, keeping inputs only", { maxTokens: 48 }, true]
      ] as const
    ) {
      it.effect(`makes the steps of the float64 reference: ${what}`, () =>
        Effect.gen(function*() {
          const { engine } = yield* start({ checkpointing })
          for (const step of golden<Arithmetic>(name).steps) {
            const { metrics } = yield* engine.optimizer.update(batch(), { ...options, microBatch })
            relative(metrics["actor/loss"]!, step.loss, "loss")
            relative(metrics["actor/pg_loss"]!, step.policy_loss, "policy loss")
            relative(metrics["actor/entropy_loss"]!, step.entropy, "entropy")
            relative(metrics["actor/kl_loss"]!, step.k3, "k3")
            relative(metrics["actor/grad_norm"]!, step.grad_norm, "gradient norm")
            assert.strictEqual(metrics["actor/micro_batches"], microBatch.maxTokens === 48 ? 4 : 1)
            for (const [tensor, values] of Object.entries(step.weights_after)) {
              const found = yield* engine.readWeight({ name: tensor, shape: [] })
              // The file holds the first, the middle and the last element.
              const places = [0, Math.floor(found.length / 2), found.length - 1]
              values.forEach((value, i) => relative(found[places[i]!]!, value, `${tensor}[${places[i]}]`))
            }
            relative(yield* weightSum(engine), step.weight_sum, "sum of weights")
          }
          assert.strictEqual(yield* engine.policy.version, 3)
        }).pipe(Effect.provide([device.layer, NodeServices.layer])))
    }
  })
}

// Plain JavaScript takes minutes.
for (const device of devices.filter(({ name }) => name !== "DeviceCpu")) {
  describe.skipIf(noModels !== undefined || device.absent !== undefined)(`many updates on ${device.name}`, () => {
    const provide = Effect.provide([device.layer, NodeServices.layer])
    it.effect("a resumed optimizer continues bit for bit", () =>
      Effect.gen(function*() {
        const states = yield* Effect.scoped(Effect.gen(function*() {
          const { engine } = yield* start()
          yield* engine.optimizer.update(batch(), options)
          const saved = yield* engine.optimizer.state
          yield* engine.optimizer.update(batch(), options)
          return { saved, after: yield* engine.optimizer.state }
        }))
        const { engine } = yield* start()
        yield* engine.optimizer.restore(states.saved)
        assert.strictEqual(yield* engine.policy.version, 1)
        yield* engine.optimizer.update(batch(), options)
        assertSameState(yield* engine.optimizer.state, states.after)
      }).pipe(provide))

    it.effect("1000 updates leave tensors and bytes where they began, and learn", () =>
      Effect.gen(function*() {
        const { device, engine } = yield* startTiny
        const ids = Int32Array.of(3, 4, 5, 6, 7, 8)
        const tiny = Batch.miniBatch([Batch.demonstration({ key: "a", ids })])
        const supervised = { ...options, loss: Loss.negativeLogLikelihood, learningRate: 3e-3 }
        yield* engine.optimizer.update(tiny, supervised)
        const before = yield* device.memory
        for (let i = 0; i < 1000; i++) yield* engine.optimizer.update(tiny, supervised)
        assert.deepStrictEqual(yield* device.memory, before)
        const session = yield* engine.policy.session({ promptKey: "p", sample: 0, ids: ids.slice(0, 1), seed: "s" })
        const { ids: written, policyVersion } = yield* session.generate({ maxTokens: 5, sampling: greedy, stop: [] })
        assert.strictEqual(policyVersion, 1001)
        assert.deepStrictEqual(written, ids.slice(1))
      }).pipe(provide), 60_000)
  })
}

describe.skipIf(noModels !== undefined)(`the learner on ${fastest.name}`, () => {
  const provide = Effect.provide([fastest.layer, NodeServices.layer])

  it.effect("a state that does not fit names the tensor and changes nothing", () =>
    Effect.gen(function*() {
      const { engine } = yield* start()
      const saved = yield* engine.optimizer.state
      const tensor = "model.layers.2.mlp.up_proj.weight"
      const { [tensor]: _, ...others } = saved.blobs
      const missing = yield* Effect.flip(engine.optimizer.restore({ ...saved, blobs: others }))
      assert.include(missing.message, `${tensor} [344, 128] is missing`)
      const short = { ...saved, blobs: { ...saved.blobs, [tensor]: new Uint8Array(8) } }
      assert.include((yield* Effect.flip(engine.optimizer.restore(short))).message, "8 bytes, expected 176128")
      assert.strictEqual((yield* Effect.flip(engine.optimizer.restore({ ...saved, info: 3 })))._tag, "StateMismatch")
      assertSameState(yield* engine.optimizer.state, saved)
    }).pipe(provide))

  it.effect("updates, saving and restoring that are asked for at once take turns", () =>
    Effect.gen(function*() {
      const slices = { ...options, microBatch: { maxTokens: 48 } }
      const saved = yield* Effect.scoped(Effect.gen(function*() {
        const { engine } = yield* start()
        for (let i = 0; i < 2; i++) yield* engine.optimizer.update(batch(), slices)
        return yield* engine.optimizer.state
      }))
      const { engine } = yield* start()
      const { restore, state, update } = engine.optimizer
      const first = yield* state
      const [, , found, , after] = yield* Effect.all(
        [update(batch(), slices), update(batch(), slices), state, restore(first), state],
        { concurrency: "unbounded" }
      )
      assertSameState(found, saved)
      assertSameState(after, first)
    }).pipe(provide))

  it.effect("a gradient that is not finite is reported and changes nothing", () =>
    Effect.gen(function*() {
      const { engine } = yield* start()
      const before = yield* engine.optimizer.state
      const bad = Batch.miniBatch(
        batch().sequences.map((sequence) => ({
          ...sequence,
          advantages: sequence.advantages.map(() => Number.NaN)
        }))
      )
      const error = yield* Effect.flip(engine.optimizer.update(bad, options))
      assert.strictEqual(error._tag, "NonFiniteGradient")
      assertSameState(yield* engine.optimizer.state, before)
      yield* engine.optimizer.update(batch(), options)
    }).pipe(provide))

  it.effect("a loss that lacks its signals and a sequence that is too long have errors of their own", () =>
    Effect.gen(function*() {
      const { engine } = yield* start()
      const without = Batch.miniBatch(batch().sequences.map(({ refLogProbs: _, ...sequence }) => sequence))
      assert.include((yield* Effect.flip(engine.optimizer.update(without, options))).message, "refLogProbs")
      const long = Batch.miniBatch([Batch.demonstration({ key: "long", ids: new Int32Array(2049) })])
      const supervised = { ...options, loss: Loss.negativeLogLikelihood }
      assert.strictEqual((yield* Effect.flip(engine.optimizer.update(long, supervised)))._tag, "ContextOverflow")
    }).pipe(provide))

  it.effect("the critic learns returns, resumes bit for bit, and shares nothing with the policy", () =>
    Effect.gen(function*() {
      const { engine } = yield* start({ critic: true })
      const critic = Option.getOrThrow(engine.critic)
      const before = yield* engine.optimizer.state
      const update = {
        loss: { clip: null, aggregation: "tokenMean" as const },
        learningRate: 1e-3,
        adamW,
        microBatch: { maxTokens: 4096 }
      }
      const sequences = batch().sequences
      const first = yield* critic.values(sequences.map(({ ids }) => ids))
      assert.lengthOf(first, sequences.length)
      first.forEach((values) => assert.deepStrictEqual([...new Set(values)], [0]))
      const losses: Array<number> = []
      for (let i = 0; i < 12; i++) losses.push((yield* critic.update(batch(), update)).metrics["critic/vf_loss"]!)
      assert.isBelow(losses.at(-1)!, 0.7 * losses[0]!)
      const saved = yield* critic.state
      const ahead = (yield* critic.update(batch(), update)).metrics
      yield* critic.restore(saved)
      assert.deepStrictEqual((yield* critic.update(batch(), update)).metrics, ahead)
      assertSameState(yield* engine.optimizer.state, before)
      assert.strictEqual((yield* Effect.flip(critic.restore(before)))._tag, "StateMismatch")
      const one = Batch.miniBatch(sequences.map(({ returns: _, ...sequence }) => sequence))
      assert.strictEqual((yield* Effect.flip(critic.update(one, update)))._tag, "MissingSignals")
    }).pipe(provide))

  it.effect("the reference keeps the first weights", () =>
    Effect.gen(function*() {
      const { engine } = yield* start({ reference: true })
      const reference = Option.getOrThrow(engine.reference)
      const sequences = batch().sequences.map(({ ids }) => ids)
      const before = yield* engine.policy.logProbs(sequences)
      yield* engine.optimizer.update(batch(), options)
      assert.deepStrictEqual(yield* reference.logProbs(sequences), before)
      assert.notDeepEqual(yield* engine.policy.logProbs(sequences), before)
    }).pipe(provide))
})

describe.skipIf(noModels !== undefined)("a device that is too small", () => {
  const sequences = Array.from(
    { length: 8 },
    (_, i) =>
      Batch.demonstration({ key: `${i}`, ids: Int32Array.from({ length: 200 }, (_, t) => 3 + (t * 7 + i) % 500) })
  )

  const updateWithin = (limitBytes: number | undefined) =>
    Effect.gen(function*() {
      const weights = yield* Weights.read(model("stories260K"))
      const engine = yield* Engine.make(weights, byteTokenizer(weights.config.vocabularySize), { cacheTokens: 64 })
      const supervised = { ...options, loss: Loss.negativeLogLikelihood }
      const { metrics } = yield* engine.optimizer.update(Batch.miniBatch(sequences), supervised)
      return { batches: metrics["actor/micro_batches"]!, norm: metrics["actor/grad_norm"]! }
    }).pipe(Effect.scoped, Effect.provide(DeviceWasm.layer({ limitBytes })))

  it.effect(
    "gets the same gradient from smaller micro-batches, and keeps less of each before it gives up",
    () =>
      Effect.gen(function*() {
        const roomy = yield* updateWithin(undefined)
        assert.strictEqual(roomy.batches, 1)
        let before = 1
        for (const limit of [40e6, 24e6, 10e6]) {
          const { batches, norm } = yield* updateWithin(limit)
          assert.isAbove(batches, before)
          assert.closeTo(norm / roomy.norm, 1, 1e-5)
          before = batches
        }
        assert.strictEqual(before, sequences.length)
        const none = yield* Effect.flip(updateWithin(6e6))
        assert.strictEqual(none._tag, "OutOfDeviceMemory")
        assert.match(
          none.message,
          /^wasm is out of memory: \d+ bytes requested, \d+ of 6000000 in use\. Ask for less at once/
        )
        // A model that does not fit is refused before it is read.
        const { config } = yield* Weights.read(model(name))
        const unread = { config, tensors: Stream.die("its weights were read") }
        const early = yield* Effect.flip(
          Engine.make(unread, byteTokenizer(config.vocabularySize)).pipe(
            Effect.scoped,
            Effect.provide(DeviceCpu.layer({ limitBytes: 2e6 }))
          )
        )
        assert.include(early.message, `${4 * parameterCount(config)} bytes requested, 0 of 2000000 in use`)
      }).pipe(Effect.provide(NodeServices.layer)),
    30_000
  )
})
