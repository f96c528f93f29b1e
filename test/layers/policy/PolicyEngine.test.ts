import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import type { Worker } from "node:worker_threads"
import * as Batch from "../../../src/domain/Batch.ts"
import * as Loss from "../../../src/domain/Loss.ts"
import { finalNorm } from "../../../src/domain/ModelTensors.ts"
import { onPolicy } from "../../../src/domain/Sampling.ts"
import * as PolicyEngine from "../../../src/layers/policy/PolicyEngine.ts"
import { Critic } from "../../../src/services/Critic.ts"
import { Optimizer, type UpdateOptions } from "../../../src/services/Optimizer.ts"
import { Policy } from "../../../src/services/Policy.ts"
import { ReferencePolicy } from "../../../src/services/ReferencePolicy.ts"
import { assertSameState } from "../../support/states.ts"
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
        assertSameState(yield* optimizer.state, saved)

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

  it.live(
    "fails every call, pending and later, when it is killed, and leaves nothing behind",
    () =>
      Effect.gen(function*() {
        const started = yield* Deferred.make<Worker>()
        const onWorker = (worker: Worker) => Deferred.doneUnsafe(started, Effect.succeed(worker))
        process.once("worker", onWorker)
        yield* Effect.addFinalizer(() => Effect.sync(() => process.off("worker", onWorker)))
        yield* Effect.gen(function*() {
          const policy = yield* Policy
          const optimizer = yield* Optimizer
          const critic = yield* Critic
          const reference = yield* ReferencePolicy
          const engine = yield* PolicyEngine.Engine
          const ids = Array.from(
            { length: 8 },
            (_, i) => Int32Array.from({ length: 400 }, (_, t) => 3 + (t * 7 + i) % 500)
          )
          const batch = Batch.miniBatch(ids.map((ids, i) => Batch.demonstration({ key: `${i}`, ids })))
          const open = policy.session({ promptKey: "p", sample: 0, ids: prompt, seed: "s" })
          const session = yield* open
          type Calls = ReadonlyArray<readonly [tag: string, call: Effect.Effect<unknown, { readonly _tag: string }>]>
          // A state is answered in no time where it comes before the update.
          const quick: Calls = [["LearnerUnavailable", optimizer.state]]
          const calls: Calls = [
            ["LearnerUnavailable", optimizer.update(batch, update)],
            ["LearnerUnavailable", critic.values(ids)],
            ["PolicyUnavailable", session.generate({ maxTokens: 400, sampling: onPolicy, stop: [] })],
            ["PolicyUnavailable", Effect.scoped(open)],
            ["PolicyUnavailable", policy.logProbs(ids)],
            ["PolicyUnavailable", reference.logProbs(ids)],
            ["DeviceFailed", engine.readWeight({ name: finalNorm, shape: [64] })]
          ]
          const failures = (asked: Calls) =>
            Effect.forEach(asked, ([, call]) => Effect.flip(call), { concurrency: "unbounded" })
          const thread = yield* Deferred.await(started)
          assert.include(process.getActiveResourcesInfo(), "MessagePort")
          // Killed before it can have answered: all calls are under way.
          const pending = yield* Effect.forkChild(failures(calls), { startImmediately: true })
          yield* Effect.promise(() => thread.terminate())
          const all = [...calls, ...quick]
          for (const [asked, found] of [[calls, yield* Fiber.join(pending)], [all, yield* failures(all)]] as const) {
            assert.deepStrictEqual(found.map(({ _tag }) => _tag), asked.map(([tag]) => tag))
            for (const error of found) {
              assert.include(String(error), "the engine's thread has ended: it exited with code 1")
            }
          }
          assert.strictEqual(yield* policy.version, 0)
        }).pipe(
          Effect.scoped,
          Effect.provide(
            Layer.mergeAll(PolicyEngine.critic, PolicyEngine.reference).pipe(
              Layer.provideMerge(PolicyEngine.layer(start)),
              Layer.provide(NodeServices.layer)
            )
          )
        )
        assert.notInclude(process.getActiveResourcesInfo(), "MessagePort")
      }),
    30_000
  )

  it.live("that dies while it starts fails the start", () =>
    Effect.gen(function*() {
      const kill = (worker: Worker) => void worker.once("online", () => void worker.terminate())
      process.once("worker", kill)
      yield* Effect.addFinalizer(() => Effect.sync(() => process.off("worker", kill)))
      const layer = PolicyEngine.layer(start).pipe(Layer.provide(NodeServices.layer))
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
      assert.strictEqual(error._tag, "DeviceFailed")
      assert.include(error.message, "the engine's thread has ended")
    }), 30_000)
})
