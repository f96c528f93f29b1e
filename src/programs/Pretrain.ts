/**
 * Makes a base model for the search world: next-token training on texts about worlds that never come back.
 *
 * A step is a function of the plan's seed and its number, so a run that was cut off goes on as if it had not been.
 *
 * @since 0.1.0
 */
import { Effect, Option, Schema, Stream } from "effect"
import type { AdamW } from "../domain/AdamW.ts"
import * as Batch from "../domain/Batch.ts"
import * as Differences from "../domain/Differences.ts"
import * as LearningRate from "../domain/LearningRate.ts"
import { negativeLogLikelihood } from "../domain/Loss.ts"
import * as Pretraining from "../domain/world/Pretraining.ts"
import * as PretrainingPlan from "../domain/world/PretrainingPlan.ts"
import type { Vocabulary } from "../domain/world/Vocabulary.ts"
import { type CheckpointError, Checkpoints } from "../services/Checkpoints.ts"
import { type LearnerError, Optimizer } from "../services/Optimizer.ts"
import * as LearnerSteps from "./learnerSteps.ts"
import type * as Rollout from "./Rollout.ts"
import { NothingToDo, ResumeConflict, ResumeMismatch } from "./train/State.ts"

export { measure, type Measurement, type MeasureOptions, readingAccuracy } from "./pretrain/Measure.ts"

/**
 * The bounds of rollouts in the search world: four searches of one passage each, as `start` trains with.
 *
 * @category constants
 * @since 0.1.0
 */
export const rolloutBounds = {
  template: "search",
  maxTurns: 4,
  topK: 1,
  maxPromptTokens: 64,
  maxResponseTokens: 24,
  maxObservationTokens: 60,
  maxContextTokens: 384,
  concurrency: 128
} as const satisfies Partial<Rollout.Options>

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly plan: PretrainingPlan.Plan
  readonly vocabulary: Vocabulary
  /** Tokens that the device holds at once; the weights do not depend on it but for rounding. */
  readonly microBatchTokens: number
  /** Steps between two checkpoints. */
  readonly checkpointEvery: number
  /** Go on from the newest checkpoint, where there is one. */
  readonly resume: boolean
}

/**
 * A finished step, numbered from 1. `loss` is the mean over the `learned` of its `tokens`, in nats.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepReport {
  readonly step: number
  readonly loss: number
  readonly tokens: number
  readonly learned: number
  readonly learningRate: number
  readonly gradNorm: number
}

const Saved = Schema.Struct({ step: Schema.Natural, plan: PretrainingPlan.Plan, learner: Schema.Json })

const decodeSaved = Schema.decodeUnknownEffect(Saved)
const encodeSaved = Schema.encodeEffect(Saved)

const scheduleOf = ({ finalShare, warmupSteps }: PretrainingPlan.Plan): LearningRate.Schedule => ({
  kind: "linear",
  warmupRatio: 0,
  warmupSteps,
  minRatio: finalShare
})

const adamWOf = ({ beta2, maxGradNorm, weightDecay }: PretrainingPlan.Plan): AdamW => ({
  beta1: 0.9,
  beta2,
  epsilon: 1e-8,
  weightDecay,
  maxGradNorm
})

/**
 * The mini-batch of a step (from 0).
 *
 * @category constructors
 * @since 0.1.0
 */
export const batchOf = (recipe: Pretraining.Recipe, step: number): Batch.MiniBatch =>
  Batch.miniBatch(
    Pretraining.batch(recipe, step).map(({ ids, kind, lossMask }, index) =>
      Batch.demonstration({ key: `${step}/${index}/${kind}`, ids, weights: Float32Array.from(lossMask) })
    )
  )

/**
 * The steps of a run as they are made; the model is what `Optimizer` holds behind the last. A checkpoint is saved every
 * `checkpointEvery` steps and when the stream ends for whatever reason, an interruption included: what was learned is
 * never lost. With `resume` the run goes on behind its newest checkpoint, if that was made by the same plan.
 *
 * @category programs
 * @since 0.1.0
 */
export const run = (
  options: Options
): Stream.Stream<
  StepReport,
  LearnerError | CheckpointError | ResumeConflict | ResumeMismatch | NothingToDo,
  Optimizer | Checkpoints
> =>
  Stream.unwrap(Effect.gen(function*() {
    const { plan } = options
    const recipe = PretrainingPlan.recipe(plan, options.vocabulary)
    const schedule = scheduleOf(plan)
    const adamW = adamWOf(plan)

    const restored = options.resume ? yield* restore(plan) : 0
    if (restored >= plan.steps) return yield* new NothingToDo({ step: restored, steps: plan.steps })
    if (restored > 0) yield* Effect.logInfo(`going on behind step ${restored} of ${plan.steps}`)
    const made = yield* LearnerSteps.make(
      restored,
      (step, learner) => Effect.orDie(encodeSaved({ step, plan, learner }))
    )

    const step = Effect.fn("Pretrain.step")(function*(index: number) {
      const batch = batchOf(recipe, index)
      const learningRate = LearningRate.at(schedule, {
        learningRate: plan.learningRate,
        step: index,
        totalSteps: plan.steps,
        start: 1
      })
      const { metrics } = yield* made.update(index, batch, {
        loss: negativeLogLikelihood,
        learningRate,
        adamW,
        temperature: 1,
        microBatch: { maxTokens: options.microBatchTokens }
      })
      const done = index + 1
      if (done % options.checkpointEvery === 0) yield* made.save
      return {
        step: done,
        loss: metrics["actor/loss"] ?? Number.NaN,
        tokens: batch.sequences.reduce((sum, { ids }) => sum + ids.length, 0),
        learned: batch.normaliser.tokens,
        learningRate,
        gradNorm: metrics["actor/grad_norm"] ?? Number.NaN
      }
    })
    return Stream.range(restored, plan.steps - 1).pipe(Stream.rechunk(1), Stream.mapEffect(step))
  }))

/** Restores the newest checkpoint and tells its step; 0 where there is none. */
const restore = Effect.fnUntraced(function*(plan: PretrainingPlan.Plan) {
  const checkpoints = yield* Checkpoints
  const latest = yield* checkpoints.latest
  if (Option.isNone(latest)) return 0
  const { blobs, state } = yield* checkpoints.load(latest.value)
  const saved = yield* Effect.option(decodeSaved(state))
  if (Option.isNone(saved)) return yield* new ResumeMismatch({ path: latest.value.path, expected: "a pretraining" })
  const differences = Differences.between(saved.value.plan, plan)
  if (differences.length > 0) return yield* new ResumeConflict({ differences })
  const optimizer = yield* Optimizer
  yield* optimizer.restore({ info: saved.value.learner, blobs })
  return saved.value.step
})
