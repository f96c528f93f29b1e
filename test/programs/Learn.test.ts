/** The second half of a training step, with services that remember what they were asked. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Result, type Schema } from "effect"
import { TestClock } from "effect/testing"
import type { MiniBatch } from "../../src/domain/Batch.ts"
import type { ScoredTrajectory } from "../../src/domain/Outcome.ts"
import * as RunConfig from "../../src/domain/RunConfig.ts"
import { tokenCount } from "../../src/domain/Trajectory.ts"
import { learn } from "../../src/programs/train/Learn.ts"
import type { Progress } from "../../src/programs/train/Progress.ts"
import { Critic, type CriticUpdateOptions } from "../../src/services/Critic.ts"
import { NonFiniteGradient, Optimizer, type UpdateOptions } from "../../src/services/Optimizer.ts"
import { Policy } from "../../src/services/Policy.ts"
import { ReferencePolicy } from "../../src/services/ReferencePolicy.ts"
import { scoredTrajectory, segmentOf } from "../support/samples.ts"

const resolved = (input: { readonly [key: string]: Schema.Json }) =>
  Result.getOrThrow(RunConfig.resolve({
    steps: 10,
    update: { miniBatches: 2 },
    optimizer: { learningRate: 1e-3, schedule: { kind: "constant", warmupRatio: 0 } },
    critic: { schedule: { kind: "constant", warmupRatio: 0 } },
    ...input
  }))

/** Two prompts with two answers each, the first of which is right. */
const scored = [0, 1, 2, 3].map((at) =>
  scoredTrajectory({
    promptKey: `p${at >> 1}`,
    sample: at % 2,
    reward: 1 - at % 2,
    segments: [segmentOf("Prompt", 2), segmentOf("Sampled", 3), segmentOf("Observation", 1), segmentOf("Sampled", 2)]
  })
)
const tokens = tokenCount(scored[0]!.trajectory.segments)

/** A constant row for each sequence, or one that counts: -1, -2, ... */
const rows = (sequences: ReadonlyArray<Int32Array>, value: number) =>
  sequences.map((ids) => new Float32Array(ids.length).fill(value))

interface Asked {
  readonly scored: Array<{ readonly who: "policy" | "reference"; readonly temperature: number | undefined }>
  readonly updates: Array<{ readonly batch: MiniBatch; readonly options: UpdateOptions }>
  readonly critic: Array<{ readonly batch: MiniBatch; readonly options: CriticUpdateOptions }>
}

/** Services that answer at once, or after a second each where `slow`; `metrics` are those of update number `n`. */
const services = (
  metrics: (n: number) => Readonly<Record<string, number>> | undefined = () => ({}),
  slow = false
) => {
  const asked: Asked = { scored: [], updates: [], critic: [] }
  const wait = slow ? Effect.sleep("1 second") : Effect.void
  const logProbs =
    (who: "policy" | "reference", value: number): Policy["Service"]["logProbs"] => (sequences, options) =>
      Effect.as(
        Effect.andThen(wait, Effect.sync(() => asked.scored.push({ who, temperature: options?.temperature }))),
        rows(sequences, value).map((logProbs) => ({ logProbs, entropy: logProbs }))
      )
  const state = Effect.succeed({ info: null, blobs: {} })
  const layer = Layer.mergeAll(
    Layer.mock(Policy, { contextLength: 1000, version: Effect.succeed(0), logProbs: logProbs("policy", -1) }),
    Layer.succeed(
      Optimizer,
      Optimizer.of({
        update: (batch, options) =>
          Effect.andThen(
            wait,
            Effect.suspend(() => {
              const found = metrics(asked.updates.length)
              asked.updates.push({ batch, options })
              return found === undefined
                ? Effect.fail(new NonFiniteGradient({ network: "actor", norm: "NaN", loss: "1" }))
                : Effect.succeed({ metrics: found, policyVersion: asked.updates.length })
            })
          ),
        state,
        restore: () => Effect.void
      })
    )
  )
  const reference = Layer.succeed(ReferencePolicy, ReferencePolicy.of({ logProbs: logProbs("reference", -3) }))
  const critic = Layer.succeed(
    Critic,
    Critic.of({
      values: (sequences) => Effect.succeed(rows(sequences, 0.25)),
      update: (batch, options) =>
        Effect.sync(() => {
          asked.critic.push({ batch, options })
          return { metrics: { "critic/vf_loss": asked.critic.length } }
        }),
      state,
      restore: () => Effect.void
    })
  )
  return { asked, layer, reference, critic }
}

describe("learning from a step", () => {
  it.effect("takes all log-probabilities at the temperature that rollouts were sampled at, at 1 for greedy ones", () =>
    Effect.gen(function*() {
      for (const [temperature, expected] of [[0.7, 0.7], [1, 1], [0, 1]] as const) {
        const { asked, layer, reference } = services()
        const config = resolved({ algorithm: "grpo" })
        const sampling = { ...config.sampling, temperature }
        yield* learn({ ...config, sampling }, 0, scored, { klCoefficient: 0.1 }).pipe(
          Effect.provide([layer, reference])
        )
        assert.deepStrictEqual(asked.scored, [
          { who: "policy", temperature: expected },
          { who: "reference", temperature: expected }
        ])
        assert.deepStrictEqual(asked.updates.map(({ options }) => options.temperature), [expected, expected])
      }
    }))

  it.effect("gives each update its part of the trajectories, with what was measured before the first", () =>
    Effect.gen(function*() {
      const { asked, critic, layer, reference } = services()
      const config = resolved({ algorithm: "ppo", kl: { placement: "loss", coefficient: 0.1 } })
      yield* learn(config, 4, scored, { klCoefficient: 0.2 }).pipe(Effect.provide([layer, reference, critic]))
      assert.deepStrictEqual(
        asked.updates.map(({ batch }) => batch.sequences.map(({ promptKey, sample }) => `${promptKey}/${sample}`)),
        [["p0/0", "p0/1"], ["p1/0", "p1/1"]]
      )
      assert.deepStrictEqual(asked.critic.map(({ batch }) => batch), asked.updates.map(({ batch }) => batch))
      for (const { batch, options } of asked.updates) {
        assert.strictEqual(options.loss.klCoefficient, 0.2)
        assert.strictEqual(options.learningRate, 1e-3)
        assert.deepStrictEqual(options.adamW, config.optimizer.adamW)
        assert.deepStrictEqual(options.microBatch, { maxTokens: config.update.microBatchTokens })
        for (const { advantages, lossMask, oldLogProbs, oldValues, refLogProbs, returns, sample } of batch.sequences) {
          assert.deepStrictEqual([...lossMask], [0, 0, 1, 1, 1, 0, 1, 1])
          assert.deepStrictEqual([...oldLogProbs], Array.from({ length: tokens }, () => -1))
          assert.deepStrictEqual([...refLogProbs ?? []], Array.from({ length: tokens }, () => -3))
          assert.deepStrictEqual([...oldValues ?? []], Array.from({ length: tokens }, () => 0.25))
          assert.deepStrictEqual([...returns ?? []], [0, 0, 1, 1, 1, 0, 1, 1].map((bit) => bit * (1 - sample)))
          assert.deepStrictEqual(
            [...advantages].map(Math.sign),
            [0, 0, 1, 1, 1, 0, 1, 1].map((bit) => bit === 0 ? 0 : 1 - 2 * sample)
          )
        }
      }
      for (const { options } of asked.critic) {
        assert.deepStrictEqual(options.loss, { clip: config.critic.clip, aggregation: "tokenMean" })
        assert.strictEqual(options.learningRate, config.critic.learningRate)
      }
    }))

  it.effect("reports the means of several updates, and the largest of what is a maximum", () =>
    Effect.gen(function*() {
      const updates = [
        { "actor/pg_loss": 1, "actor/ratio_max": 1.5, "actor/rare": 7 },
        { "actor/pg_loss": 2, "actor/ratio_max": 4 },
        { "actor/pg_loss": 6, "actor/ratio_max": 2 }
      ]
      const { asked, critic, layer } = services((n) => updates[n])
      const config = resolved({
        algorithm: "ppo",
        kl: { placement: "none" },
        update: { miniBatches: 1, epochs: 3 }
      })
      const learned = yield* learn(config, 0, scored, { klCoefficient: 0 }).pipe(Effect.provide([layer, critic]))
      assert.strictEqual(asked.updates.length, 3)
      assert.strictEqual(learned.metrics["actor/pg_loss"], 3)
      assert.strictEqual(learned.metrics["actor/ratio_max"], 4)
      assert.strictEqual(learned.metrics["actor/rare"], 7)
      assert.strictEqual(learned.metrics["critic/vf_loss"], 2)
      assert.strictEqual(learned.metrics["critic/score/mean"], 0.5)
      assert.deepStrictEqual(learned.skipped, [false, false, false])
      assert.strictEqual(learned.updates, 3)
      assert.isNull(learned.kl)
    }))

  it.effect("leaves out an update whose gradient is not finite, and says which", () =>
    Effect.gen(function*() {
      const { layer } = services((n) => n === 0 ? undefined : { "actor/pg_loss": 5 })
      const learned = yield* learn(resolved({ algorithm: "grpo", kl: { placement: "none" } }), 0, scored, {
        klCoefficient: 0
      }).pipe(
        Effect.provide(layer)
      )
      assert.deepStrictEqual(learned.skipped, [true, false])
      assert.strictEqual(learned.updates, 1)
      assert.strictEqual(learned.metrics["actor/pg_loss"], 5)
    }))

  it.effect("updates the critic alone while it warms up", () =>
    Effect.gen(function*() {
      const { asked, critic, layer } = services()
      const config = resolved({
        algorithm: "ppo",
        kl: { placement: "none" },
        critic: { warmupSteps: 2, schedule: { kind: "constant", warmupRatio: 0 } }
      })
      for (const [step, updates] of [[1, 0], [2, 2]] as const) {
        asked.updates.length = 0
        asked.critic.length = 0
        const learned = yield* learn(config, step, scored, { klCoefficient: 0 }).pipe(Effect.provide([layer, critic]))
        assert.strictEqual(asked.critic.length, 2)
        assert.strictEqual(asked.updates.length, updates)
        assert.strictEqual(learned.updates, updates)
      }
    }))

  it.effect("updates the policy from the first step on where there is no critic to warm up", () =>
    Effect.gen(function*() {
      const { asked, layer } = services()
      const config = resolved({ algorithm: "grpo", kl: { placement: "none" } })
      const warming = { ...config, critic: { ...config.critic, warmupSteps: 2 } }
      yield* learn(warming, 0, scored, { klCoefficient: 0 }).pipe(Effect.provide(layer))
      assert.strictEqual(asked.updates.length, 2)
    }))

  it.effect("reports the divergence from the reference where it is measured: in the reward, else in the loss", () =>
    Effect.gen(function*() {
      const kl = (placement: string, metrics: Readonly<Record<string, number>>) => {
        const { critic, layer, reference } = services(() => metrics)
        return Effect.map(
          learn(resolved({ algorithm: "ppo", kl: { placement, estimator: "k1" } }), 0, scored, { klCoefficient: 0.1 }),
          (learned) => learned.kl
        ).pipe(Effect.provide([layer, reference, critic]))
      }
      assert.strictEqual(yield* kl("reward", { "actor/kl_loss": 9 }), 2)
      assert.strictEqual(yield* kl("loss", { "actor/kl_loss": 9 }), 9)
      assert.isNull(yield* kl("none", {}))
    }))

  it.effect("asks nobody where no group says anything, if only those that do are wanted", () =>
    Effect.gen(function*() {
      const alike: ReadonlyArray<ScoredTrajectory> = scored.filter(({ reward }) => reward === 1).flatMap((
        one
      ) => [one, one])
      const { asked, layer } = services()
      const config = resolved({ algorithm: "dapo", rollout: { dynamicSampling: true } })
      const learned = yield* learn(config, 0, alike, { klCoefficient: 0 }).pipe(Effect.provide(layer))
      assert.deepStrictEqual(learned, {
        metrics: {},
        kl: null,
        skipped: [],
        updates: 0,
        seconds: { prepare: 0, update: 0 }
      })
      assert.deepStrictEqual(asked, { scored: [], updates: [], critic: [] })
      // without the switch they are learned from, to no effect
      yield* learn(resolved({ algorithm: "grpo", kl: { placement: "none" } }), 0, alike, { klCoefficient: 0 }).pipe(
        Effect.provide(layer)
      )
      assert.strictEqual(asked.updates.length, 2)
    }))

  it.effect("names the service that a configuration needs and the program lacks", () =>
    Effect.gen(function*() {
      const { layer, reference } = services()
      const message = (algorithm: string) =>
        Effect.map(
          Effect.flip(learn(resolved({ algorithm }), 0, scored, { klCoefficient: 0.1 })),
          (error) => error.message
        ).pipe(Effect.provide(layer))
      assert.strictEqual(
        yield* message("grpo"),
        "the configuration needs a ReferencePolicy: kl.placement is \"loss\""
      )
      assert.strictEqual(
        yield* message("ppo").pipe(Effect.provide(reference)),
        "the configuration needs a Critic: advantage.estimator is \"gae\""
      )
    }))

  it.effect("tells when everything is measured and nothing is changed yet", () =>
    Effect.gen(function*() {
      const { asked, layer, reference } = services()
      const seen: Array<readonly [scored: number, updates: number]> = []
      yield* learn(resolved({ algorithm: "grpo" }), 0, scored, {
        klCoefficient: 0.1,
        beforeUpdates: Effect.sync(() => void seen.push([asked.scored.length, asked.updates.length]))
      }).pipe(Effect.provide([layer, reference]))
      assert.deepStrictEqual(seen, [[2, 0]])
    }))

  it.effect("says how far it is, and how long each half took", () =>
    Effect.gen(function*() {
      const { layer } = services(undefined, true)
      const said: Array<Progress> = []
      yield* TestClock.adjust("1 day")
      const fiber = yield* Effect.forkChild(
        learn(resolved({ algorithm: "grpo", kl: { placement: "none" } }), 6, scored, {
          klCoefficient: 0,
          onProgress: (progress) => Effect.sync(() => said.push(progress))
        }).pipe(Effect.provide(layer))
      )
      yield* TestClock.adjust("1 minute")
      const { seconds } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(seconds, { prepare: 1, update: 2 })
      assert.deepStrictEqual(said, [
        { step: 7, phase: "scoring", done: 0, total: 4 },
        { step: 7, phase: "updates", done: 0, total: 2 },
        { step: 7, phase: "updates", done: 1, total: 2 }
      ])
    }))
})
