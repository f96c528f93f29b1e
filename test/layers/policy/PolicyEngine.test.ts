import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import * as Batch from "../../../src/domain/Batch.ts"
import * as Loss from "../../../src/domain/Loss.ts"
import { finalNorm } from "../../../src/domain/ModelTensors.ts"
import { onPolicy } from "../../../src/domain/Sampling.ts"
import * as PolicyEngine from "../../../src/layers/policy/PolicyEngine.ts"
import { Critic } from "../../../src/services/Critic.ts"
import { Optimizer, type UpdateOptions } from "../../../src/services/Optimizer.ts"
import { Policy } from "../../../src/services/Policy.ts"
import { ReferencePolicy } from "../../../src/services/ReferencePolicy.ts"
import { model, noModels } from "./engine/fixtures.ts"

const start: PolicyEngine.StartOptions = {
  model: model("stories260K"),
  device: "wasm",
  threads: 1,
  critic: true,
  reference: true
}

const update: UpdateOptions = {
  loss: Loss.negativeLogLikelihood,
  learningRate: 1e-3,
  adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 },
  temperature: 1,
  microBatch: { maxTokens: 4096 }
}

const prompt = Int32Array.of(1, 403, 407, 261, 378)

const story = (seed: string) =>
  Effect.gen(function*() {
    const policy = yield* Policy
    const session = yield* policy.session({ promptKey: "p", sample: 0, ids: prompt, seed })
    const first = yield* session.generate({ maxTokens: 12, sampling: onPolicy, stop: [] })
    yield* session.append(Int32Array.of(403))
    const second = yield* session.generate({ maxTokens: 12, sampling: onPolicy, stop: ["."] })
    return [first, second]
  }).pipe(Effect.scoped)

for (
  const [where, layer] of [["in a worker thread", PolicyEngine.layer], [
    "in this thread",
    PolicyEngine.layerLocal
  ]] as const
) {
  describe.skipIf(noModels !== undefined)(`the engine ${where}`, () => {
    it.live("samples, scores, learns, saves and restores", () =>
      Effect.gen(function*() {
        const policy = yield* Policy
        const optimizer = yield* Optimizer
        const [first, second] = yield* story("a")
        assert.strictEqual(first!.ids.length, 12)
        assert.deepStrictEqual(yield* story("a"), [first, second])
        const ids = Int32Array.of(...prompt, ...first!.ids)
        const [scored] = yield* policy.logProbs([ids])
        first!.modelLogProbs.forEach((lp, i) => assert.closeTo(scored!.logProbs[prompt.length + i]!, lp, 1e-3))
        const reference = yield* ReferencePolicy
        assert.deepStrictEqual(yield* reference.logProbs([ids]), [scored!])

        const batch = Batch.miniBatch([Batch.demonstration({ key: "k", ids })])
        const saved = yield* optimizer.state
        const { metrics, policyVersion } = yield* optimizer.update(batch, update)
        assert.strictEqual(policyVersion, 1)
        assert.isAbove(metrics["actor/grad_norm"]!, 0)
        assert.strictEqual(ids.length, 17, "the batch's arrays stay the caller's")
        const [better] = yield* policy.logProbs([ids])
        assert.isAbove(better!.logProbs.reduce((a, b) => a + b), scored!.logProbs.reduce((a, b) => a + b))
        yield* optimizer.restore(saved)
        assert.strictEqual(yield* policy.version, 0)
        assert.deepStrictEqual(yield* policy.logProbs([ids]), [scored!])
        assert.deepStrictEqual(yield* optimizer.state, saved)

        const critic = yield* Critic
        const [values] = yield* critic.values([ids])
        assert.deepStrictEqual(values, new Float32Array(17))
        const { readWeight } = yield* PolicyEngine.Engine
        assert.strictEqual((yield* readWeight({ name: finalNorm, shape: [64] })).length, 64)
      }).pipe(Effect.provide(
        Layer.mergeAll(PolicyEngine.critic, PolicyEngine.reference).pipe(
          Layer.provideMerge(layer(start)),
          Layer.provide(NodeServices.layer)
        )
      )))

    it.live("passes typed errors on", () =>
      Effect.gen(function*() {
        const policy = yield* Policy
        const optimizer = yield* Optimizer
        const long = policy.session({ promptKey: "p", sample: 0, ids: new Int32Array(513), seed: "s" })
        const error = yield* Effect.flip(Effect.scoped(long))
        assert.strictEqual(error._tag, "ContextOverflow")
        assert.include(error.message, "513")
        const mismatch = yield* Effect.flip(optimizer.restore({ info: {}, blobs: {} }))
        assert.strictEqual(mismatch._tag, "StateMismatch")
      }).pipe(
        Effect.provide(layer({ ...start, critic: false, reference: false }).pipe(Layer.provide(NodeServices.layer)))
      ))

    it.live("says what is wrong with a model that cannot be loaded", () =>
      Effect.gen(function*() {
        const missing = layer({ ...start, model: "/nonexistent/model" }).pipe(Layer.provide(NodeServices.layer))
        const error = yield* Effect.flip(Effect.scoped(Layer.build(missing)))
        assert.strictEqual(error._tag, "ModelFileMissing")
        assert.include(error.message, "/nonexistent/model")
      }))
  })
}

describe.skipIf(noModels !== undefined)("the engine's thread", () => {
  it.live("generates while it learns, and an interrupted update changes nothing more", () =>
    Effect.gen(function*() {
      const optimizer = yield* Optimizer
      const policy = yield* Policy
      const sequences = Array.from({ length: 6 }, (_, i) =>
        Batch.demonstration({
          key: `${i}`,
          ids: Int32Array.from({ length: 64 }, (_, t) => 3 + (t * 7 + i) % 500)
        }))
      const fiber = yield* Effect.forkChild(
        Effect.forever(optimizer.update(Batch.miniBatch(sequences), { ...update, microBatch: { maxTokens: 128 } })),
        { startImmediately: true }
      )
      // The engine answers between micro-batches of the update.
      yield* story("during")
      yield* Fiber.interrupt(fiber)
      const version = yield* policy.version
      yield* story("after")
      assert.strictEqual(yield* policy.version, version)
    }).pipe(Effect.provide(
      PolicyEngine.layer({ ...start, critic: false, reference: false }).pipe(Layer.provide(NodeServices.layer))
    )), 30_000)
})
