import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Ref, Stream } from "effect"
import * as CheckpointsMemory from "../../src/layers/checkpoints/CheckpointsMemory.ts"
import * as QuestionsMemory from "../../src/layers/questions/QuestionsMemory.ts"
import * as RewardExactMatch from "../../src/layers/reward/RewardExactMatch.ts"
import * as RunLogMemory from "../../src/layers/runlog/RunLogMemory.ts"
import * as Train from "../../src/programs/Train.ts"
import { Checkpoints } from "../../src/services/Checkpoints.ts"
import { Optimizer } from "../../src/services/Optimizer.ts"
import { Policy, PolicyUnavailable } from "../../src/services/Policy.ts"
import { Retriever, RetrieverUnavailable } from "../../src/services/Retriever.ts"
import { RunLog } from "../../src/services/RunLog.ts"
import * as Tabular from "../support/tabular.ts"
import * as World from "../support/trainWorld.ts"

const { config, evaluation, found, metrics, questions, services } = World

describe("Train", () => {
  it.effect.each(
    [
      ["grpo", {}],
      ["reinforce", { rollout: { prompts: 32, groupSize: 1 }, advantage: { baseline: "batchMean" } }],
      ["rloo", {}],
      ["dr-grpo", { loss: { fixedLength: 32 } }],
      ["reinforce++", {}],
      ["dapo", {}],
      ["cispo", {}],
      ["gspo", {}]
    ] as const
  )("%s learns to search before it answers", ([algorithm, part]) =>
    Effect.gen(function*() {
      const reports = yield* Stream.runCollect(
        Train.run(
          config({
            algorithm,
            ...part,
            rollout: { ...config().rollout, ...("rollout" in part ? part.rollout : {}) },
            steps: 15,
            compat: {}
          }),
          { evaluation }
        )
      )
      const first = reports[0]
      const last = reports.at(-1)
      assert.strictEqual(first?.step, 0)
      assert.strictEqual(last?.step, 15)
      const early = reports[1]?.metrics["critic/score/mean"] ?? Number.NaN
      const late = last?.metrics["critic/score/mean"] ?? Number.NaN
      assert.isBelow(early, 0.45)
      assert.isAbove(late, 0.8)
      assert.strictEqual(last?.evaluation?.total.em, 1)
      assert.strictEqual(last?.evaluation?.total.n, 24)
      assert.deepStrictEqual(Object.keys(last?.evaluation?.dataSources ?? {}), ["even", "odd"])
      assert.isAbove(last?.metrics["env/number_of_valid_search"] ?? 0, 0.8)
    }).pipe(Effect.provide(services())))

  it.effect("without search it learns nothing", () =>
    Effect.gen(function*() {
      const reports = yield* Stream.runCollect(
        Train.run(config({ steps: 10, rollout: { ...config().rollout, doSearch: false } }), { evaluation })
      )
      assert.strictEqual(reports.at(-1)?.evaluation?.total.em, 0)
    }).pipe(Effect.provide(services())))

  it.effect("the same seed gives the same metrics, another seed others", () =>
    Effect.gen(function*() {
      const run = (seed: number) =>
        Stream.runDrain(Train.run(config({ seed }), { evaluation })).pipe(
          Effect.andThen(metrics),
          Effect.provide(services())
        )
      const once = yield* run(3)
      assert.strictEqual(once.length, 13)
      assert.deepStrictEqual(yield* run(3), once)
      assert.notDeepEqual(yield* run(4), once)
    }))

  it.effect("a run that is interrupted again and again equals the unbroken one at every step", () =>
    Effect.gen(function*() {
      const unbroken = yield* Stream.runDrain(Train.run(config(), { evaluation })).pipe(
        Effect.andThen(metrics),
        Effect.provide(services())
      )
      const broken = yield* Effect.gen(function*() {
        // log and checkpoints outlive the process that the learner and its parameters die with
        for (const steps of [1, 3, 2, 4, 100]) {
          const learner = Layer.mergeAll(
            Tabular.layer(),
            found,
            RewardExactMatch.layer(),
            QuestionsMemory.layer(questions, { seed: 3 })
          )
          const seen = yield* Ref.make(0)
          const exit = yield* Train.run(config(), { evaluation, resume: true }).pipe(
            Stream.tap(() => Ref.update(seen, (n) => n + 1)),
            Stream.mapEffect((report) =>
              Effect.flatMap(Ref.get(seen), (n) => n >= steps ? Effect.interrupt : Effect.succeed(report))
            ),
            Stream.runDrain,
            Effect.provide(learner),
            Effect.exit
          )
          if (Exit.isSuccess(exit)) break
        }
        return yield* metrics
      }).pipe(Effect.provide([RunLogMemory.layer(), CheckpointsMemory.layer({ keepLast: 3 })]))
      assert.deepStrictEqual(broken, unbroken)
    }))

  it.effect("interrupted between checkpoints, it saves the last whole step", () =>
    Effect.gen(function*() {
      const exit = yield* Train.run(config({ checkpoints: { every: 0 } })).pipe(
        Stream.mapEffect((report) => report.step === 5 ? Effect.interrupt : Effect.succeed(report)),
        Stream.runDrain,
        Effect.exit
      )
      assert.isTrue(Exit.isFailure(exit))
      const saved = yield* Effect.flatMap(Checkpoints, (checkpoints) => checkpoints.list)
      assert.deepStrictEqual(saved.map((info) => info.step), [5])
    }).pipe(Effect.provide(services())))

  it.effect("interrupted during an evaluation, it makes up for it when it is resumed", () =>
    Effect.gen(function*() {
      const unbroken = yield* Stream.runDrain(Train.run(config({ steps: 4 }), { evaluation })).pipe(
        Effect.andThen(metrics),
        Effect.provide(services())
      )
      const resumed = yield* Effect.gen(function*() {
        const learner = World.learner()
        const asked = yield* Ref.make(0)
        // the second evaluation, behind step 4, is the one that is interrupted
        const interrupting = Stream.unwrap(Effect.map(
          Ref.updateAndGet(asked, (n) => n + 1),
          (n) => n === 2 ? Stream.concat(Stream.take(evaluation, 3), Stream.fromEffect(Effect.interrupt)) : evaluation
        ))
        const exit = yield* Stream.runDrain(Train.run(config({ steps: 4 }), { evaluation: interrupting })).pipe(
          Effect.provide(learner),
          Effect.exit
        )
        assert.isTrue(Exit.isFailure(exit))
        const saved = yield* Effect.flatMap(Checkpoints, (checkpoints) => checkpoints.list)
        assert.strictEqual(saved.at(-1)?.step, 4)
        const reports = yield* Stream.runCollect(Train.run(config({ steps: 4 }), { evaluation, resume: true })).pipe(
          Effect.provide(learner)
        )
        assert.deepStrictEqual(reports.map((report) => report.step), [4])
        return yield* metrics
      }).pipe(Effect.provide([RunLogMemory.layer(), CheckpointsMemory.layer({ keepLast: 3 })]))
      assert.deepStrictEqual(resumed, unbroken)
    }))

  it.effect("interrupted during rollouts, it abandons the step in hand", () =>
    Effect.gen(function*() {
      const hangs = yield* Ref.make(false)
      const retriever = Layer.effect(
        Retriever,
        Effect.map(Retriever, (inner) =>
          Retriever.fromSearch("hanging", (query, options) =>
            Effect.flatMap(Ref.get(hangs), (hang) =>
              hang ? Effect.never : inner.search(query, options))))
      ).pipe(Layer.provide(found))
      yield* Effect.gen(function*() {
        const fiber = yield* Train.run(config({ checkpoints: { every: 0 } })).pipe(
          Stream.tap((report) =>
            Ref.set(hangs, report.step === 2)
          ),
          Stream.runDrain,
          Effect.forkChild
        )
        for (let turn = 0; turn < 200 && !(yield* Ref.get(hangs)); turn++) yield* Effect.yieldNow
        for (let turn = 0; turn < 200; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        const saved = yield* Effect.flatMap(Checkpoints, (checkpoints) => checkpoints.list)
        assert.deepStrictEqual(saved.map((info) => info.step), [2])
        assert.deepStrictEqual((yield* metrics).map((record) => record.step), [1, 2])
      }).pipe(Effect.provide(services({ retriever })))
    }))

  it.effect("interrupted during updates, it abandons them where the step before is saved", () =>
    Effect.gen(function*() {
      const unbroken = yield* Stream.runDrain(Train.run(config({ steps: 4 }))).pipe(
        Effect.andThen(metrics),
        Effect.provide(services())
      )
      const resumed = yield* Effect.gen(function*() {
        const learner = World.learner()
        const hanging = Layer.effect(
          Optimizer,
          Effect.map(Optimizer, (inner) => {
            let updates = 0
            return Optimizer.of({
              ...inner,
              // the update of the third step changes the parameters and never ends
              update: (batch, options) =>
                ++updates === 3
                  ? Effect.andThen(inner.update(batch, options), Effect.never)
                  : inner.update(batch, options)
            })
          })
        ).pipe(Layer.provideMerge(learner))
        const fiber = yield* Stream.runDrain(Train.run(config({ steps: 4 }))).pipe(
          Effect.provide(hanging),
          Effect.forkChild
        )
        const steps = Effect.map(metrics, (records) => records.length)
        while ((yield* steps) < 2) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        for (let turn = 0; turn < 200; turn++) {
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
        yield* Fiber.interrupt(fiber)
        const told = yield* Ref.make<number | null>(null)
        yield* Stream.runDrain(
          Train.run(config({ steps: 4 }), { resume: true, onBegun: ({ step }) => Ref.set(told, step) })
        ).pipe(Effect.provide(learner))
        assert.strictEqual(yield* Ref.get(told), 2)
        return yield* metrics
      }).pipe(Effect.provide([RunLogMemory.layer(), CheckpointsMemory.layer({ keepLast: 3 })]))
      assert.deepStrictEqual(resumed, unbroken)
    }))

  for (
    const { every, hanging, kept, where } of [
      { where: "the first updates", every: 0, hanging: "update 1", kept: [] },
      { where: "the scoring behind a step that is not saved", every: 0, hanging: "scoring 3", kept: [2] }
    ]
  ) {
    it.effect(`interrupted during ${where}, it abandons the step in hand`, () =>
      Effect.gen(function*() {
        const reached = yield* Deferred.make<void>()
        const counts = { update: 0, scoring: 0 }
        const hangs = (what: keyof typeof counts) =>
          `${what} ${++counts[what]}` === hanging
            ? Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
            : Effect.void
        const learner = World.learner()
        const slow = Layer.merge(
          Layer.effect(
            Optimizer,
            Effect.map(Optimizer, (inner) =>
              Optimizer.of({
                ...inner,
                update: (batch, options) => Effect.andThen(hangs("update"), inner.update(batch, options))
              }))
          ),
          Layer.effect(
            Policy,
            Effect.map(Policy, (inner) =>
              Policy.of({
                ...inner,
                logProbs: (sequences, options) => Effect.andThen(hangs("scoring"), inner.logProbs(sequences, options))
              }))
          )
        ).pipe(Layer.provideMerge(learner))
        const fiber = yield* Train.run(config({ checkpoints: { every } })).pipe(
          Stream.runDrain,
          Effect.provide(slow),
          Effect.forkChild
        )
        yield* Deferred.await(reached)
        yield* Fiber.interrupt(fiber)
        const saved = yield* Effect.flatMap(Checkpoints, (checkpoints) => checkpoints.list)
        assert.deepStrictEqual(saved.map(({ step }) => step), kept)
      }).pipe(Effect.provide(services())))
  }

  it.effect("nothing is trained on searches that failed, and they are counted", () =>
    Effect.gen(function*() {
      const down = Layer.succeed(
        Retriever,
        Retriever.fromSearch("down", () =>
          Effect.fail(new RetrieverUnavailable({ retriever: "down", reason: "refused" })))
      )
      yield* Effect.gen(function*() {
        const [report] = yield* Stream.runCollect(
          Train.run(config({ steps: 1, rollout: { ...config().rollout, minimumGroup: 1 } }))
        )
        const completed = report?.metrics["rollout/completed"] ?? 0
        const failed = report?.metrics["rollout/failed/RetrieverUnavailable"] ?? 0
        assert.strictEqual(completed + failed, 32)
        assert.isAbove(failed, 4)
        assert.strictEqual(report?.failures["RetrieverUnavailable"], failed)
        // what completed never searched: no trained trajectory holds an observation of one
        assert.strictEqual(report?.metrics["env/number_of_valid_search"], 0)
        const events = yield* Effect.flatMap(RunLog, (log) =>
          Stream.runCollect(log.readEvents))
        assert.strictEqual(events.filter((event) => event.event === "rollout-failed").length, failed)
      }).pipe(Effect.provide(services({ retriever: down })))

      // groups with a failure are dropped by default; with all of them gone there is no update
      const searching = Layer.mergeAll(services({ retriever: down }))
      const version = yield* Effect.gen(function*() {
        const before = yield* Effect.flatMap(Optimizer, (optimizer) => optimizer.state)
        const [report] = yield* Stream.runCollect(Train.run(config({ steps: 1 })))
        const after = yield* Effect.flatMap(Optimizer, (optimizer) => optimizer.state)
        assert.strictEqual(report?.metrics["train/updates"], 0)
        assert.isAbove(report?.metrics["train/dropped_trajectories"] ?? 0, 0)
        assert.deepStrictEqual(after, before)
        return after.info
      }).pipe(Effect.provide(searching))
      assert.deepStrictEqual(version, { version: 0 })
    }))

  it.effect("ends when the policy has ended, instead of counting steps without rollouts", () =>
    Effect.gen(function*() {
      const policy = yield* Policy
      let sessions = 0
      // It ends in the middle of the third step.
      const session: typeof policy.session = (options) =>
        ++sessions > 80
          ? Effect.fail(new PolicyUnavailable({ reason: "the engine has ended" }))
          : policy.session(options)
      const steps = yield* Ref.make(0)
      const error = yield* Train.run(config({ checkpoints: { every: 100 } })).pipe(
        Stream.runForEach((report) => Ref.set(steps, report.step)),
        Effect.flip,
        Effect.provideService(Policy, { ...policy, session })
      )
      assert.strictEqual(error._tag, "PolicyUnavailable")
      // The third step still learns from the groups that were whole.
      assert.strictEqual(yield* Ref.get(steps), 3)
      const latest = yield* Effect.flatMap(Checkpoints, (checkpoints) => checkpoints.latest)
      assert.strictEqual(Option.getOrThrow(latest).step, 3)
    }).pipe(Effect.provide(services())))

  it.effect("rollouts are never more than the allowed number of steps behind the policy", () =>
    Effect.gen(function*() {
      for (const staleness of [0, 1, 3]) {
        const reports = yield* Stream.runCollect(
          Train.run(config({ rollout: { ...config().rollout, staleness }, update: { miniBatchSize: 8 } }))
        ).pipe(Effect.provide(services()))
        let most = 0
        for (const { step, trajectories } of reports) {
          for (const { trajectory } of trajectories) {
            for (const segment of trajectory.segments) {
              // one update a step: the version before step s is s − 1
              if (segment._tag === "Sampled") most = Math.max(most, step - 1 - segment.policyVersion)
            }
          }
        }
        assert.isAtMost(most, staleness)
        if (staleness > 0) assert.isAbove(most, 0)
        assert.strictEqual(reports.length, 12)
      }
    }))

  it.effect("says when there is nothing left to do, and when the settings are others", () =>
    Effect.gen(function*() {
      yield* Stream.runDrain(Train.run(config({ steps: 2 })))
      const done = yield* Effect.flip(Stream.runDrain(Train.run(config({ steps: 2 }), { resume: true })))
      assert.strictEqual(done._tag, "NothingToDo")
      const other = yield* Effect.flip(
        Stream.runDrain(
          Train.run(config({ steps: 4, optimizer: { ...config().optimizer, learningRate: 1 } }), { resume: true })
        )
      )
      if (other._tag !== "ResumeConflict") return assert.fail(other._tag)
      assert.deepStrictEqual(other.differences, [{ key: "optimizer.learningRate", before: 60, after: 1 }])
      const longer = yield* Stream.runCollect(Train.run(config({ steps: 3 }), { resume: true }))
      assert.deepStrictEqual(longer.map((report) => report.step), [3])
    }).pipe(Effect.provide(services())))

  it.effect("skips updates whose gradient is not finite and stops when nothing else comes", () =>
    Effect.gen(function*() {
      const reports = yield* Stream.runCollect(
        Train.run(config({ earlyStop: { maxSkippedUpdates: 3 } }))
      )
      assert.deepStrictEqual(reports.map((report) => report.metrics["train/skipped_updates"]), [1, 0, 1, 1, 1])
      assert.include(reports.at(-1)?.stopped ?? "", "3 updates in a row")
    }).pipe(Effect.provide(services({ tabular: { nonFiniteUpdates: new Set([0, 2, 3, 4, 5, 6]) } }))))

  it.effect("a run that needs a critic says so before anything is updated", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Stream.runDrain(Train.run(config({ algorithm: "ppo", steps: 1 }))))
      assert.strictEqual(error._tag, "MissingService")
    }).pipe(Effect.provide(services())))
})
