import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Ref, Stream } from "effect"
import * as CheckpointsMemory from "../../src/layers/checkpoints/CheckpointsMemory.ts"
import * as Train from "../../src/programs/Train.ts"
import { Checkpoints } from "../../src/services/Checkpoints.ts"
import { Critic } from "../../src/services/Critic.ts"
import { LearnerUnavailable, Optimizer } from "../../src/services/Optimizer.ts"
import { RunLog } from "../../src/services/RunLog.ts"
import { config, evaluation, learner, metrics, store } from "../support/trainWorld.ts"

/** What the log holds: metrics, and which trajectories of which steps. */
const logged = Effect.gen(function*() {
  const log = yield* RunLog
  const trajectories = yield* Stream.runCollect(log.readTrajectories)
  return {
    metrics: yield* Stream.runCollect(log.readMetrics),
    trajectories: trajectories.map(({ scored, step }) => [step, scored.trajectory.promptKey, scored.trajectory.sample])
  }
})

const unbroken = (part: Record<string, unknown>, options: Train.Options = { evaluation }) =>
  Stream.runDrain(Train.run(config(part), options)).pipe(
    Effect.andThen(logged),
    Effect.provide(Layer.merge(learner(), store()))
  )

/** An evaluation that is interrupted after three of its questions when it is the `n`-th. */
const interruptedAt = (n: number) =>
  Effect.map(Ref.make(0), (asked) =>
    Stream.unwrap(Effect.map(
      Ref.updateAndGet(asked, (count) => count + 1),
      (count) =>
        count === n ? Stream.concat(Stream.take(evaluation, 3), Stream.fromEffect(Effect.interrupt)) : evaluation
    )))

const turns = (count: number) =>
  Effect.forEach(
    Array.from({ length: count }),
    () => Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
    { discard: true }
  )

describe("a run that goes on", () => {
  it.effect("has all trajectories of a step whose evaluation was interrupted, once", () =>
    Effect.gen(function*() {
      const part = { steps: 4, evaluation: { every: 2 } }
      const whole = yield* unbroken(part)
      assert.isAbove(whole.trajectories.filter(([step]) => step === 2).length, 0)
      // before training, behind step 2, and behind the last
      for (const at of [1, 2, 3]) {
        const broken = yield* Effect.gen(function*() {
          const interrupting = yield* interruptedAt(at)
          const exit = yield* Stream.runDrain(Train.run(config(part), { evaluation: interrupting })).pipe(
            Effect.provide(learner()),
            Effect.exit
          )
          assert.isTrue(Exit.isFailure(exit))
          yield* Stream.runDrain(Train.run(config(part), { evaluation, resume: true })).pipe(Effect.provide(learner()))
          return yield* logged
        }).pipe(Effect.provide(store()))
        assert.deepStrictEqual(broken, whole, `interrupted in evaluation ${at}`)
      }
    }))

  it.effect("logs a step once that was killed between its line and its checkpoint", () =>
    Effect.gen(function*() {
      const part = { steps: 2, evaluation: { every: 2 } }
      const whole = yield* unbroken(part)
      const broken = yield* Effect.gen(function*() {
        const interrupting = yield* interruptedAt(2)
        yield* Effect.exit(Stream.runDrain(Train.run(config(part), { evaluation: interrupting }))).pipe(
          Effect.provide(learner())
        )
        // the line of the step that was made up for, and then no checkpoint
        yield* RunLog.use((log) => log.metrics({ step: 2, metrics: { "train/updates": 1 } }))
        yield* Stream.runDrain(Train.run(config(part), { evaluation, resume: true })).pipe(Effect.provide(learner()))
        return yield* logged
      }).pipe(Effect.provide(store()))
      assert.deepStrictEqual(broken, whole)
    }))

  it.effect("has a line for every step though its log lost the last one", () =>
    Effect.gen(function*() {
      const lines = yield* Effect.gen(function*() {
        yield* Stream.runDrain(Train.run(config({ steps: 2 }))).pipe(Effect.provide(learner()))
        yield* RunLog.use((log) => log.rewind(1, { trajectories: 2 }))
        yield* Stream.runDrain(Train.run(config({ steps: 3 }), { resume: true })).pipe(Effect.provide(learner()))
        return yield* metrics
      }).pipe(Effect.provide(store()))
      assert.deepStrictEqual(lines.map(({ step }) => step), [1, 2, 3])
    }))

  it.effect("ends updates that have begun before it saves: a checkpoint holds the weights of its step", () =>
    Effect.gen(function*() {
      const part = { steps: 4, evaluation: { every: 0 }, checkpoints: { every: 0 } }
      const whole = yield* unbroken(part, {})
      const broken = yield* Effect.gen(function*() {
        // the first update of the third step has changed the parameters when the interruption comes
        const reached = yield* Ref.make(false)
        const slow = Layer.effect(
          Optimizer,
          Effect.map(Optimizer, (inner) => {
            let updates = 0
            return Optimizer.of({
              ...inner,
              update: (batch, options) =>
                inner.update(batch, options).pipe(
                  Effect.tap(() => ++updates === 3 ? Effect.andThen(Ref.set(reached, true), turns(50)) : Effect.void)
                )
            })
          })
        ).pipe(Layer.provideMerge(learner()))
        const fiber = yield* Stream.runDrain(Train.run(config(part))).pipe(Effect.provide(slow), Effect.forkChild)
        while (!(yield* Ref.get(reached))) yield* turns(1)
        yield* Fiber.interrupt(fiber)
        const saved = yield* Checkpoints.use((checkpoints) => checkpoints.list)
        assert.deepStrictEqual(saved.map(({ step }) => step), [3])
        yield* Stream.runDrain(Train.run(config(part), { resume: true })).pipe(Effect.provide(learner()))
        return yield* logged
      }).pipe(Effect.provide(store()))
      assert.deepStrictEqual(broken, whole)
    }))

  it.effect("saves nothing when its updates ended half-way, and makes up for the steps since the last checkpoint", () =>
    Effect.gen(function*() {
      const part = { steps: 4, evaluation: { every: 0 }, checkpoints: { every: 2 }, update: { miniBatches: 2 } }
      const whole = yield* unbroken(part, {})
      const broken = yield* Effect.gen(function*() {
        // the second of the fourth step's updates fails, the first has changed the parameters
        const failing = Layer.effect(
          Optimizer,
          Effect.map(Optimizer, (inner) => {
            let updates = 0
            return Optimizer.of({
              ...inner,
              update: (batch, options) =>
                ++updates === 8
                  ? Effect.fail(new LearnerUnavailable({ reason: "no memory left" }))
                  : inner.update(batch, options)
            })
          })
        ).pipe(Layer.provideMerge(learner()))
        const error = yield* Effect.flip(Stream.runDrain(Train.run(config(part)))).pipe(Effect.provide(failing))
        assert.strictEqual(error._tag, "LearnerUnavailable")
        assert.deepStrictEqual(
          (yield* Checkpoints.use((checkpoints) => checkpoints.list)).map(({ step }) => step),
          [2]
        )
        yield* Stream.runDrain(Train.run(config(part), { resume: true })).pipe(Effect.provide(learner()))
        return yield* logged
      }).pipe(Effect.provide(store()))
      assert.deepStrictEqual(broken, whole)
    }))

  it.effect("restores the critic of a PPO run, and refuses a checkpoint without one", () =>
    Effect.gen(function*() {
      let weight = 0
      const critic = Layer.sync(Critic, () => {
        weight = 0
        return Critic.of({
          values: (sequences) => Effect.succeed(sequences.map((ids) => new Float32Array(ids.length).fill(weight))),
          update: () => Effect.sync(() => ({ metrics: { "critic/weight": ++weight, "critic/grad_norm": 1 } })),
          state: Effect.sync(() => ({ info: { weight }, blobs: { weight: Uint8Array.of(weight) } })),
          restore: ({ blobs }) =>
            Effect.sync(() => {
              weight = blobs["weight"]?.[0] ?? Number.NaN
            })
        })
      })
      const ppo = (steps: number) =>
        config({
          algorithm: "ppo",
          steps,
          rollout: { ...config().rollout, groupSize: 1 },
          kl: { placement: "none" },
          evaluation: { every: 0 },
          update: { miniBatches: 1 }
        })
      const weights = (steps: ReadonlyArray<number>) =>
        Effect.gen(function*() {
          for (const [part, count] of steps.entries()) {
            yield* Stream.runDrain(Train.run(ppo(count), { resume: part > 0 })).pipe(
              Effect.provide([learner(), Layer.fresh(critic)])
            )
          }
          return (yield* metrics).map((record) => record.metrics["critic/weight"])
        }).pipe(Effect.provide(store()))
      assert.deepStrictEqual(yield* weights([1, 2, 3]), yield* weights([3]))
      assert.deepStrictEqual(yield* weights([3]), [1, 2, 3])

      yield* Effect.gen(function*() {
        yield* Stream.runDrain(Train.run(ppo(1))).pipe(Effect.provide([learner(), Layer.fresh(critic)]))
        const checkpoints = yield* Checkpoints
        const saved = yield* checkpoints.load(Option.getOrThrow(yield* checkpoints.latest))
        const { critic: _, ...learners } = (saved.state as { learners: Record<string, unknown> }).learners
        yield* checkpoints.save({ ...saved, state: { ...saved.state as object, learners } as never })
        const error = yield* Effect.flip(Stream.runDrain(Train.run(ppo(2), { resume: true }))).pipe(
          Effect.provide([learner(), Layer.fresh(critic)])
        )
        assert.include(error.message, "it holds no critic, which this run has")
      }).pipe(Effect.provide(store()))
    }))

  it.effect("tells where it begins after everything was checked and before anything is changed", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const onBegun = ({ resumed, step }: Train.Begun) =>
        Effect.map(metrics, (lines) => void told.push(`${resumed} ${step} ${lines.length}`)).pipe(
          Effect.orDie,
          Effect.provideContext(context)
        )
      const context = yield* Effect.context<RunLog>()
      const run = (steps: number, part: Record<string, unknown> = {}) =>
        Stream.runDrain(Train.run(config({ steps, evaluation: { every: 0 }, ...part }), { resume: true, onBegun }))
          .pipe(
            Effect.provide(learner())
          )
      yield* RunLog.use((log) => log.metrics({ step: 7, metrics: {} }))
      yield* run(2)
      assert.deepStrictEqual(told, ["false 0 1"], "the line that somebody else left is still there")
      yield* RunLog.use((log) => log.metrics({ step: 3, metrics: {} }))
      assert.strictEqual((yield* Effect.flip(run(2)))._tag, "NothingToDo")
      assert.strictEqual((yield* Effect.flip(run(3, { seed: 4 })))._tag, "ResumeConflict")
      assert.strictEqual(told.length, 1, "a run that is refused has not begun")
      assert.strictEqual((yield* metrics).length, 3, "and has changed nothing")
      yield* run(3)
      assert.deepStrictEqual(told.slice(1), ["true 2 3"])
      const refused = yield* Effect.flip(
        Stream.runDrain(Train.run(config({ steps: 9 }), { resume: true, onBegun: () => Effect.fail("disk full") }))
          .pipe(
            Effect.provide(learner())
          )
      )
      assert.strictEqual(refused, "disk full")
      assert.strictEqual((yield* metrics).length, 3)
    }).pipe(Effect.provide(store())))

  it.effect("takes other machinery, other places and more steps, and no other settings", () =>
    Effect.gen(function*() {
      const part = { steps: 1, evaluation: { every: 0 } }
      yield* Stream.runDrain(Train.run(config(part))).pipe(Effect.provide(learner()))
      const go = (other: Record<string, unknown>) =>
        Effect.exit(Stream.runDrain(Train.run(config({ ...part, ...other }), { resume: true }))).pipe(
          Effect.provide(learner())
        )
      const { rollout, update } = config()
      assert.isTrue(Exit.isSuccess(
        yield* go({
          steps: 2,
          device: "cpu",
          model: "moved",
          questions: { train: "moved.jsonl", evaluate: "other.jsonl" },
          retriever: { kind: "lunr", corpus: "moved", url: "http://other:1/", retries: 1, timeoutSeconds: 1, cache: 0 },
          rollout: { ...rollout, concurrency: 3, deadlineSeconds: 1000 },
          update: { ...update, microBatchTokens: 77 },
          checkpoints: { every: 2 }
        })
      ))
      const refused = yield* Effect.flip(
        Stream.runDrain(Train.run(
          config({ ...part, steps: 3, rollout: { ...rollout, topK: 1 }, reward: { kind: "f1" } }),
          { resume: true }
        ))
      ).pipe(Effect.provide(learner()))
      assert.include(
        refused.message,
        "other settings: rollout.topK was 3 and is now 1, reward.kind was \"exactMatch\" and is now \"f1\". Resume"
      )
      // the reference's mean depends on the micro-batches
      const compat = { ...config().compat, lossAgg: "microTokenMean" }
      yield* Effect.gen(function*() {
        yield* Stream.runDrain(Train.run(config({ ...part, compat }))).pipe(Effect.provide(learner()))
        const error = yield* Effect.flip(
          Stream.runDrain(Train.run(config({ ...part, steps: 2, compat, update: { ...update, microBatchTokens: 7 } }), {
            resume: true
          }))
        ).pipe(Effect.provide(learner()))
        assert.include(error.message, "update.microBatchTokens was 16384 and is now 7")
      }).pipe(Effect.provide(Layer.fresh(CheckpointsMemory.layer())))
    }).pipe(Effect.provide(store())))
})

describe("evaluations of a run", () => {
  it.effect("with evaluation.every 0 there is none, neither before nor behind", () =>
    Effect.gen(function*() {
      const asked = yield* Ref.make(0)
      const counting = Stream.tap(evaluation, () => Ref.update(asked, (n) => n + 1))
      const reports = yield* Stream.runCollect(
        Train.run(config({ steps: 2, evaluation: { every: 0 } }), { evaluation: counting })
      )
      assert.strictEqual(yield* Ref.get(asked), 0)
      assert.deepStrictEqual(reports.map(({ evaluation, step }) => [step, evaluation]), [[1, null], [2, null]])
      const last = Option.getOrThrow(yield* Checkpoints.use((checkpoints) => checkpoints.latest))
      assert.deepStrictEqual([last.step, last.metric], [2, null])
      assert.strictEqual(
        (yield* Effect.flip(
          Stream.runDrain(Train.run(config({ steps: 2, evaluation: { every: 0 } }), { resume: true }))
        ))
          ._tag,
        "NothingToDo"
      )
    }).pipe(Effect.provide(Layer.merge(learner(), store()))))

  it.effect("tell how many of how many questions are answered", () =>
    Effect.gen(function*() {
      const told: Array<readonly [number, number, number | null]> = []
      const onProgress = (progress: Train.Progress) =>
        Effect.sync(() => {
          const { done, phase, step, total } = progress
          if (phase === "evaluation") told.push([step, done, total])
        })
      const run = (questions: number | null, evaluationSize?: number) =>
        Stream.runDrain(
          Train.run(config({ steps: 1, evaluation: { every: 1, beforeTraining: false, questions } }), {
            evaluation,
            evaluationSize,
            onProgress
          })
        )
      yield* run(5, 24)
      assert.deepStrictEqual(told, [0, 1, 2, 3, 4, 5].map((done) => [1, done, 5]))
      told.length = 0
      yield* run(null, 24)
      assert.deepStrictEqual(told.at(-1), [1, 24, 24])
      told.length = 0
      yield* run(null)
      assert.deepStrictEqual(told.at(-1), [1, 24, null])
      told.length = 0
      yield* run(50, 24)
      assert.deepStrictEqual(told.at(-1), [1, 24, 24])
    }).pipe(Effect.provide(Layer.merge(learner(), store()))))
})
