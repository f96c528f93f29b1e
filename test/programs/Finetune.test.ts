/** Supervised fine-tuning, with an optimizer that remembers what it was asked. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Stream } from "effect"
import { type MiniBatch } from "../../src/domain/Batch.ts"
import * as CheckpointsMemory from "../../src/layers/checkpoints/CheckpointsMemory.ts"
import * as Finetune from "../../src/programs/Finetune.ts"
import { CheckpointIo, Checkpoints } from "../../src/services/Checkpoints.ts"
import { Optimizer, type UpdateOptions } from "../../src/services/Optimizer.ts"
import { Policy } from "../../src/services/Policy.ts"
import { withWarnings } from "../support/warnings.ts"

/** Examples of 2, 3, … tokens of which all but the first two are learned. */
const examples = (count: number): ReadonlyArray<Finetune.Example> =>
  Array.from({ length: count }, (_, index) => ({
    key: `e${index}`,
    ids: Int32Array.from({ length: index + 2 }, () => index),
    weights: Float32Array.from({ length: index + 2 }, (_, position) => position < 2 ? 0 : 1),
    rendered: false,
    foreignTokens: false
  }))

const plan: Finetune.Plan = {
  seed: "s",
  model: "m",
  data: "d",
  examples: 5,
  epochs: 2,
  batchSize: 2,
  learningRate: 1e-2,
  schedule: { kind: "linear", warmupRatio: 0, warmupSteps: null, minRatio: 0 },
  adamW: { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, maxGradNorm: 1 }
}

const keysOf = ({ sequences }: MiniBatch) => sequences.map(({ promptKey }) => promptKey)

describe("the batches of a plan", () => {
  it("hold every example once an epoch, in an order that differs between epochs and seeds alone", () => {
    assert.strictEqual(Finetune.steps(plan), 6)
    const epoch = (number: number, seed = "s") =>
      [0, 1, 2].map((step) => keysOf(Finetune.batchOf({ ...plan, seed }, examples(5), 3 * number + step)))
    assert.deepStrictEqual(epoch(0).map(({ length }) => length), [2, 2, 1])
    for (const number of [0, 1]) assert.deepStrictEqual(epoch(number).flat().sort(), ["e0", "e1", "e2", "e3", "e4"])
    assert.notDeepEqual(epoch(0), epoch(1))
    assert.notDeepEqual(epoch(0), epoch(0, "t"))
    assert.deepStrictEqual(epoch(0), epoch(0))
  })

  it("learn what the weights say", () => {
    const batch = Finetune.batchOf({ ...plan, examples: 1 }, [examples(4)[3]!], 0)
    assert.deepStrictEqual([...batch.sequences[0]?.lossMask ?? []], [0, 0, 1, 1, 1])
    assert.strictEqual(batch.normaliser.tokens, 3)
  })
})

describe("the loss of examples", () => {
  const lossOf = (examples: ReadonlyArray<Finetune.Example>, temperatures: Array<number | undefined> = []) =>
    Finetune.loss(examples).pipe(Effect.provide(Layer.mock(Policy, {
      contextLength: 10,
      logProbs: (sequences, options) =>
        Effect.sync(() => {
          temperatures.push(options?.temperature)
          return sequences.map((ids) => ({
            logProbs: Float32Array.from(ids, (_, position) => -(2 ** position)),
            entropy: new Float32Array(ids.length)
          }))
        })
    })))
  const one = (...weights: ReadonlyArray<number>) => ({
    key: "k",
    ids: new Int32Array(weights.length),
    weights: Float32Array.from(weights),
    rendered: false,
    foreignTokens: false
  })

  it.effect("is the mean over the learned tokens of all, at temperature 1", () =>
    Effect.gen(function*() {
      const temperatures: Array<number | undefined> = []
      // 2 + 8 and 4: nothing predicts a first token
      assert.strictEqual(yield* lossOf([one(1, 1, 0, 1), one(0, 0, 1)], temperatures), 14 / 3)
      assert.deepStrictEqual(temperatures, [1])
    }))

  it.effect("is 0 where nothing is learned", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* lossOf([one(1), one(0, 0)]), 0)
      assert.strictEqual(yield* lossOf([]), 0)
    }))
})

/** An optimizer whose state is the number of its updates. */
const makeOptimizer = (metrics: (update: number) => Readonly<Record<string, number>> = () => ({})) => {
  const asked: Array<{ readonly batch: MiniBatch; readonly options: UpdateOptions }> = []
  let count = 0
  const optimizer = Optimizer.of({
    update: (batch, options) =>
      Effect.sync(() => {
        asked.push({ batch, options })
        count++
        return { metrics: metrics(count), policyVersion: count }
      }),
    state: Effect.sync(() => ({ info: { count }, blobs: { count: Uint8Array.of(count) } })),
    restore: ({ blobs }) =>
      Effect.sync(() => {
        count = blobs["count"]?.[0] ?? -1
      })
  })
  return { asked, layer: Layer.succeed(Optimizer, optimizer) }
}

const options: Finetune.Options = {
  plan,
  examples: examples(5),
  microBatchTokens: 77,
  checkpointEvery: 100,
  resume: false
}

const reports = (changes: Partial<Finetune.Options> = {}) => Stream.runCollect(Finetune.run({ ...options, ...changes }))

const savedSteps = Effect.flatMap(Checkpoints, ({ list }) => Effect.map(list, (all) => all.map(({ step }) => step)))

const messageOf = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

describe("a fine-tuning", () => {
  it.effect("tells of every step what was learned, of how much, and how fast", () =>
    Effect.gen(function*() {
      const { asked, layer } = makeOptimizer((update) =>
        update === 2 ? {} : { "actor/loss": 1 / update, "actor/grad_norm": 10 * update }
      )
      const told = yield* reports().pipe(Effect.provide(layer))
      assert.deepStrictEqual(told.map(({ epoch, step, steps }) => [step, steps, epoch]), [
        [1, 6, 1],
        [2, 6, 1],
        [3, 6, 1],
        [4, 6, 2],
        [5, 6, 2],
        [6, 6, 2]
      ])
      assert.deepStrictEqual([told[0]?.loss, told[2]?.loss], [1, 1 / 3])
      assert.deepStrictEqual([told[0]?.gradNorm, told[2]?.gradNorm], [10, 30])
      assert.deepStrictEqual([told[1]?.loss, told[1]?.gradNorm], [Number.NaN, Number.NaN])
      // an epoch has 2 + 3 + 4 + 5 + 6 tokens; the first two of each are not learned
      const sum = (key: "tokens" | "learned", from: number) =>
        told.slice(from, from + 3).reduce((all, report) => all + report[key], 0)
      assert.deepStrictEqual([sum("tokens", 0), sum("learned", 0)], [20, 10])
      assert.deepStrictEqual([sum("tokens", 3), sum("learned", 3)], [20, 10])
      // the full rate first, then evenly down over the steps that are left
      assert.deepStrictEqual(
        told.map(({ learningRate }) => Math.round(learningRate * 1e6)),
        [10_000, 8333, 6667, 5000, 3333, 1667]
      )
      assert.deepStrictEqual(asked.map(({ options }) => options.learningRate), told.map((one) => one.learningRate))
      for (const [index, { batch, options }] of asked.entries()) {
        assert.deepStrictEqual(keysOf(batch), keysOf(Finetune.batchOf(plan, examples(5), index)))
        assert.strictEqual(options.temperature, 1)
        assert.deepStrictEqual(options.microBatch, { maxTokens: 77 })
        assert.deepStrictEqual(options.adamW, plan.adamW)
      }
    }).pipe(Effect.provide(CheckpointsMemory.layer())))

  it.effect("saves every so many steps, and once at its end", () =>
    Effect.gen(function*() {
      for (
        const [checkpointEvery, expected] of [[2, [2, 4, 6]], [4, [4, 6]], [100, [6]], [6, [6]]] as const
      ) {
        const saves: Array<number> = []
        const counting = Layer.effect(
          Checkpoints,
          Effect.map(Checkpoints, (checkpoints) =>
            Checkpoints.of({
              ...checkpoints,
              save: (checkpoint) => {
                saves.push(checkpoint.step)
                assert.isNull(checkpoint.metric)
                return checkpoints.save(checkpoint)
              }
            }))
        ).pipe(Layer.provide(CheckpointsMemory.layer()))
        yield* reports({ checkpointEvery }).pipe(Effect.provide([makeOptimizer().layer, counting]))
        assert.deepStrictEqual(saves, [...expected])
      }
    }))

  it.effect("goes on behind its newest checkpoint with what was learned, and says so", () =>
    Effect.gen(function*() {
      yield* Finetune.run(options).pipe(Stream.take(2), Stream.runDrain, Effect.provide(makeOptimizer().layer))
      assert.deepStrictEqual(yield* savedSteps, [2])
      const second = makeOptimizer((update) => ({ "actor/loss": update }))
      const told = yield* reports({ resume: true }).pipe(Effect.provide(second.layer))
      assert.deepStrictEqual(told.map(({ loss, step }) => [step, loss]), [[3, 3], [4, 4], [5, 5], [6, 6]])
      assert.deepStrictEqual(keysOf(second.asked[0]!.batch), keysOf(Finetune.batchOf(plan, examples(5), 2)))
      // without `resume` a run begins anew
      assert.strictEqual((yield* reports().pipe(Effect.provide(makeOptimizer().layer)))[0]?.step, 1)
    }).pipe(Effect.provide(CheckpointsMemory.layer())))

  it.effect("begins where nothing is saved yet", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* reports({ resume: true }))[0]?.step, 1)
    }).pipe(Effect.provide([makeOptimizer().layer, CheckpointsMemory.layer()])))

  it.effect("says when nothing is left to do, what differs from the run that is to go on, and what is no such run", () =>
    Effect.gen(function*() {
      yield* reports()
      const resumed = (changes: Partial<Finetune.Plan> = {}) =>
        messageOf(reports({ resume: true, plan: { ...plan, ...changes } }))
      assert.strictEqual(
        yield* resumed(),
        "the run has made 6 of its 6 steps: there is nothing left to do (raise steps to go on)"
      )
      assert.match(yield* resumed({ batchSize: 5, data: "other" }), /other settings: .*data.*batchSize|batchSize.*data/)
      const checkpoints = yield* Checkpoints
      yield* checkpoints.save({ step: 9, metric: null, state: { step: 9 }, blobs: {} })
      assert.strictEqual(yield* resumed(), "memory:step-9 is no checkpoint of a fine-tuning")
    }).pipe(Effect.provide([makeOptimizer().layer, CheckpointsMemory.layer()])))

  it.effect("saves the step in hand when it is interrupted", () =>
    Effect.gen(function*() {
      const run = yield* Effect.forkChild(
        Finetune.run(options).pipe(
          Stream.tap(({ step }) => step === 3 ? Effect.never : Effect.void),
          Stream.runDrain,
          Effect.provide(makeOptimizer().layer)
        ),
        { startImmediately: true }
      )
      for (let turn = 0; turn < 200; turn++) yield* Effect.yieldNow
      yield* Fiber.interrupt(run)
      const latest = Option.getOrThrow(yield* (yield* Checkpoints).latest)
      assert.strictEqual(latest.step, 3)
      const { blobs } = yield* (yield* Checkpoints).load(latest)
      assert.deepStrictEqual([...blobs["count"] ?? []], [3])
    }).pipe(Effect.provide(CheckpointsMemory.layer())))

  it.effect("fails where a checkpoint cannot be saved on its way, and says it where that is the last", () =>
    Effect.gen(function*() {
      const full = Layer.mock(Checkpoints, {
        latest: Effect.succeed(Option.none()),
        save: () => Effect.fail(new CheckpointIo({ path: "/run", reason: "no space left" }))
      })
      const exit = yield* Effect.exit(
        reports({ checkpointEvery: 1 }).pipe(Effect.provide([makeOptimizer().layer, full]))
      )
      assert.isTrue(Exit.isFailure(exit))
      const { value, warnings } = yield* withWarnings(
        reports().pipe(Effect.provide([makeOptimizer().layer, full]))
      )
      assert.strictEqual(value.length, 6)
      assert.strictEqual(warnings.length, 1)
      assert.match(warnings[0] ?? "", /^the last checkpoint could not be saved: .*no space left/)
    }))
})
