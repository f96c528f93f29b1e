import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option, Stream } from "effect"
import * as ModelInit from "../../src/domain/ModelInit.ts"
import * as HeldOut from "../../src/domain/world/HeldOut.ts"
import * as PretrainingPlan from "../../src/domain/world/PretrainingPlan.ts"
import * as Vocabulary from "../../src/domain/world/Vocabulary.ts"
import * as World from "../../src/domain/world/World.ts"
import * as WorldModel from "../../src/domain/world/WorldModel.ts"
import * as CheckpointsMemory from "../../src/layers/checkpoints/CheckpointsMemory.ts"
import * as DeviceWasm from "../../src/layers/device/DeviceWasm.ts"
import * as Engine from "../../src/layers/policy/engine/Engine.ts"
import * as RetrieverMemory from "../../src/layers/retriever/RetrieverMemory.ts"
import * as TokenizerWorld from "../../src/layers/tokenizer/TokenizerWorld.ts"
import * as Pretrain from "../../src/programs/Pretrain.ts"
import { Checkpoints } from "../../src/services/Checkpoints.ts"
import { Optimizer } from "../../src/services/Optimizer.ts"
import { Policy } from "../../src/services/Policy.ts"
import { Retriever } from "../../src/services/Retriever.ts"
import { Tokenizer } from "../../src/services/Tokenizer.ts"
import { assertSameState } from "../support/states.ts"

const vocabulary = Vocabulary.world

const plan: PretrainingPlan.Plan = {
  ...PretrainingPlan.defaultPlan,
  steps: 6,
  batchSize: 4,
  copySteps: 3,
  learningRate: 3e-3,
  warmupSteps: 1,
  hiddenSize: 32,
  layers: 1,
  heads: 2
}

const options: Pretrain.Options = { plan, vocabulary, microBatchTokens: 512, checkpointEvery: 100, resume: false }

const layers = Layer.mergeAll(DeviceWasm.layer({ threads: 1 }), TokenizerWorld.layer())

/** Runs `use` with a fresh model of the plan. */
const withModel = <A, E>(
  use: (engine: Engine.LocalEngine) => Effect.Effect<A, E, Optimizer | Policy | Checkpoints | Tokenizer>
) =>
  Effect.gen(function*() {
    const config = WorldModel.config({ vocabulary, ...plan })
    const tensors = Stream.fromIterable(ModelInit.weights(config, plan.seed))
    const engine = yield* Engine.make({ config, tensors }, yield* Tokenizer)
    return yield* use(engine).pipe(
      Effect.provideService(Optimizer, engine.optimizer),
      Effect.provideService(Policy, engine.policy)
    )
  }).pipe(Effect.scoped, Effect.provide(layers))

const train = (changes: Partial<Pretrain.Options> = {}) => Stream.runCollect(Pretrain.run({ ...options, ...changes }))

describe("Pretrain", () => {
  it.live("learns, with the schedule of the plan, and makes the same weights again from the same seed", () =>
    Effect.gen(function*() {
      const long = { ...plan, steps: 30, copySteps: 30, batchSize: 8 }
      const once = () =>
        withModel((engine) => Effect.all([train({ plan: long }), engine.optimizer.state])).pipe(
          Effect.provide(CheckpointsMemory.layer())
        )
      const [reports, state] = yield* once()
      assert.deepStrictEqual(reports.map(({ step }) => step), Array.from({ length: 30 }, (_, index) => index + 1))
      const [first, last] = [reports[0], reports.at(-1)]
      assert.closeTo(first?.loss ?? 0, Math.log(vocabulary.tokens.length), 0.4)
      assert.isBelow(last?.loss ?? 9, 4.8)
      assert.closeTo(first?.learningRate ?? 0, 3e-3, 1e-12)
      assert.isBelow(last?.learningRate ?? 1, 4e-4)
      for (const { learned, tokens } of reports) assert.isTrue(learned > 0.3 * tokens && learned < 0.7 * tokens)
      const [again, same] = yield* once()
      assert.deepStrictEqual(again, reports)
      assertSameState(same, state)
    }))

  it.live("goes on behind a checkpoint as if it had not stopped", () =>
    Effect.gen(function*() {
      const unbroken = yield* withModel((engine) => Effect.all([train(), engine.optimizer.state])).pipe(
        Effect.provide(CheckpointsMemory.layer())
      )
      const broken = yield* Effect.gen(function*() {
        const before = yield* withModel(() =>
          Pretrain.run({ ...options, checkpointEvery: 2 }).pipe(Stream.take(4), Stream.runCollect)
        )
        const saved = yield* (yield* Checkpoints).latest
        assert.strictEqual(Option.getOrThrow(saved).step, 4)
        const [after, state] = yield* withModel((engine) =>
          Effect.all([train({ resume: true }), engine.optimizer.state])
        )
        assert.strictEqual(before.length, 4)
        return [[...before, ...after], state] as const
      }).pipe(Effect.provide(CheckpointsMemory.layer()))
      assert.deepStrictEqual(broken, unbroken)
    }))

  it.live("saves the last whole step when it is interrupted, and has nothing to do behind the last", () =>
    Effect.gen(function*() {
      const checkpoints = yield* Checkpoints
      yield* withModel(() =>
        Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const fiber = yield* Effect.forkChild(
            Pretrain.run(options).pipe(
              Stream.tap(({ step }) => step === 2 ? Deferred.succeed(begun, undefined) : Effect.void),
              Stream.runDrain
            )
          )
          yield* Deferred.await(begun)
          yield* Fiber.interrupt(fiber)
        })
      )
      const interrupted = Option.getOrThrow(yield* checkpoints.latest)
      assert.isTrue(interrupted.step >= 2 && interrupted.step < 6)
      yield* withModel(() => train({ resume: true }))
      assert.strictEqual(Option.getOrThrow(yield* checkpoints.latest).step, 6)
      const error = yield* Effect.flip(withModel(() => train({ resume: true })))
      assert.strictEqual(error._tag, "NothingToDo")
      const conflict = yield* Effect.flip(
        withModel(() => train({ resume: true, plan: { ...plan, batchSize: 5, learningRate: 1 } }))
      )
      assert.deepStrictEqual(conflict._tag === "ResumeConflict" ? conflict.differences.map(({ key }) => key) : [], [
        "batchSize",
        "learningRate"
      ])
    }).pipe(Effect.provide(CheckpointsMemory.layer())))

  it.live("counts who reads rightly, by hops", () =>
    Effect.gen(function*() {
      const tasks = HeldOut.readingTasks({ seed: "reading", perHops: 10, vocabulary })
      const answers = new Map(tasks.map(({ answer, hops, prefix }) => [vocabulary.decode(prefix), { answer, hops }]))
      // reads one hop rightly, stops too early at two, and is wrong in the last word at three
      const policy = Policy.of({
        contextLength: 384,
        version: Effect.succeed(0),
        logProbs: () => Effect.die("not asked"),
        session: ({ ids }) =>
          Effect.succeed({
            append: () => Effect.void,
            generate: ({ maxTokens, sampling }) => {
              assert.strictEqual(sampling.temperature, 0)
              const { answer, hops } = answers.get(vocabulary.decode(ids)) ?? { answer: new Int32Array(), hops: 0 }
              assert.strictEqual(maxTokens, answer.length)
              const written = hops === 1 ?
                answer :
                hops === 2 ?
                answer.slice(0, -1) :
                answer.map((id, position) => position === 0 ? id + 1 : id)
              const logProbs = new Float32Array(written.length)
              return Effect.succeed({
                ids: written,
                logProbs,
                modelLogProbs: logProbs,
                text: vocabulary.decode(written),
                surplus: "",
                finish: "length",
                policyVersion: 0
              })
            }
          })
      })
      const shares = yield* Pretrain.readingAccuracy(tasks).pipe(Effect.provideService(Policy, policy))
      assert.deepStrictEqual(shares, { "1": 1, "2": 0, "3": 0 })
    }))

  it.live("measures a model by reading, and by searching greedily and at random", () =>
    Effect.gen(function*() {
      const { questions, world } = HeldOut.exam({ seed: "measure", count: 6 })
      const retriever = RetrieverMemory.make({ documents: [...World.documents(world)] })
      const measurement = yield* withModel(() =>
        Pretrain.measure({
          reading: HeldOut.readingTasks({ seed: "measure", perHops: 2, vocabulary }),
          questions,
          sampled: questions.slice(0, 3),
          samples: 4,
          rollout: Pretrain.rolloutBounds
        }).pipe(Effect.provideService(Retriever, retriever))
      )
      assert.deepStrictEqual(Object.keys(measurement.reading), ["1", "2", "3"])
      assert.strictEqual(measurement.greedy.total.n, 6)
      assert.strictEqual(measurement.sampled.total.n, 12)
      assert.strictEqual(measurement.greedy.failed + measurement.sampled.failed, 0)
      // it has learned nothing
      assert.strictEqual(measurement.greedy.total.em, 0)
    }).pipe(Effect.provide(CheckpointsMemory.layer())))
})
