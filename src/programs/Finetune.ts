/**
 * Supervised fine-tuning: a model learns to write what the policy of recorded trajectories wrote.
 *
 * A step is a function of the plan and its number, so a run that was cut off goes on as if it had not been.
 *
 * @since 0.1.0
 */
import { Effect, Option, Schema, Stream } from "effect"
import { AdamW } from "../domain/AdamW.ts"
import * as Batch from "../domain/Batch.ts"
import * as Differences from "../domain/Differences.ts"
import * as LearningRate from "../domain/LearningRate.ts"
import { negativeLogLikelihood } from "../domain/Loss.ts"
import * as Prng from "../domain/Prng.ts"
import { type CheckpointError, Checkpoints } from "../services/Checkpoints.ts"
import { type LearnerError, Optimizer } from "../services/Optimizer.ts"
import { Policy, type PolicyError } from "../services/Policy.ts"
import type { Example } from "./finetune/Example.ts"
import * as LearnerSteps from "./learnerSteps.ts"
import { NothingToDo, ResumeConflict, ResumeMismatch } from "./train/State.ts"

export { type Example, toExample } from "./finetune/Example.ts"

/**
 * Everything that decides the result. `model` stands for the weights that it begins with, `data` for the examples.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Plan = Schema.Struct({
  seed: Schema.String,
  model: Schema.String,
  data: Schema.String,
  examples: Schema.Natural,
  epochs: Schema.Natural,
  batchSize: Schema.Natural,
  learningRate: Schema.Finite,
  schedule: LearningRate.Schedule,
  adamW: AdamW
})

/**
 * @category models
 * @since 0.1.0
 */
export type Plan = typeof Plan.Type

const stepsPerEpoch = ({ batchSize, examples }: Plan): number => Math.ceil(examples / batchSize)

/**
 * Number of updates.
 *
 * @category getters
 * @since 0.1.0
 */
export const steps = (plan: Plan): number => plan.epochs * stepsPerEpoch(plan)

/**
 * The mini-batch of a step (from 0). Every epoch has another order.
 *
 * @category constructors
 * @since 0.1.0
 */
export const batchOf = (plan: Plan, examples: ReadonlyArray<Example>, step: number): Batch.MiniBatch => {
  const epoch = Math.floor(step / stepsPerEpoch(plan))
  const order = Prng.shuffle(Prng.make(`${plan.seed}/${epoch}/examples`), examples)
  const start = (step % stepsPerEpoch(plan)) * plan.batchSize
  return Batch.miniBatch(order.slice(start, start + plan.batchSize).map((example) => Batch.demonstration(example)))
}

/**
 * A finished step, numbered from 1. `loss` is the mean over the `learned` of its `tokens`, in nats.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepReport {
  readonly step: number
  readonly steps: number
  readonly epoch: number
  readonly loss: number
  readonly tokens: number
  readonly learned: number
  readonly learningRate: number
  readonly gradNorm: number
}

/**
 * Mean negative log-likelihood of the learned tokens of examples, in nats; they are not learned from.
 *
 * @category programs
 * @since 0.1.0
 */
export const loss = Effect.fn("Finetune.loss")(function*(
  examples: ReadonlyArray<Example>
): Effect.fn.Return<number, PolicyError, Policy> {
  const policy = yield* Policy
  const rows = yield* policy.logProbs(examples.map(({ ids }) => ids), { temperature: 1 })
  let sum = 0
  let learned = 0
  for (const [index, { weights }] of examples.entries()) {
    for (let position = 1; position < weights.length; position++) {
      if (weights[position] === 0) continue
      sum -= rows[index]?.logProbs[position] ?? 0
      learned++
    }
  }
  return learned === 0 ? 0 : sum / learned
})

const Saved = Schema.Struct({ step: Schema.Natural, plan: Plan, learner: Schema.Json })

const decodeSaved = Schema.decodeUnknownEffect(Saved)
const encodeSaved = Schema.encodeEffect(Saved)

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly plan: Plan
  readonly examples: ReadonlyArray<Example>
  /** Tokens that the device holds at once; the weights do not depend on it but for rounding. */
  readonly microBatchTokens: number
  /** Steps between two checkpoints. */
  readonly checkpointEvery: number
  /** Go on from the newest checkpoint, where there is one. */
  readonly resume: boolean
}

/** Restores the newest checkpoint and tells its step; 0 where there is none. */
const restore = Effect.fnUntraced(function*(plan: Plan) {
  const checkpoints = yield* Checkpoints
  const latest = yield* checkpoints.latest
  if (Option.isNone(latest)) return 0
  const { blobs, state } = yield* checkpoints.load(latest.value)
  const saved = yield* Effect.option(decodeSaved(state))
  if (Option.isNone(saved)) return yield* new ResumeMismatch({ path: latest.value.path, expected: "a fine-tuning" })
  const differences = Differences.between(saved.value.plan, plan)
  if (differences.length > 0) return yield* new ResumeConflict({ differences })
  yield* (yield* Optimizer).restore({ info: saved.value.learner, blobs })
  return saved.value.step
})

/**
 * The steps of a run as they are made; the model is what `Optimizer` holds behind the last. A checkpoint is saved every
 * `checkpointEvery` steps and when the stream ends for whatever reason, an interruption included.
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
    const { examples, plan } = options
    const total = steps(plan)
    const restored = options.resume ? yield* restore(plan) : 0
    if (restored >= total) return yield* new NothingToDo({ step: restored, steps: total })
    if (restored > 0) yield* Effect.logInfo(`going on behind step ${restored} of ${total}`)
    const made = yield* LearnerSteps.make(
      restored,
      (step, learner) => Effect.orDie(encodeSaved({ step, plan, learner }))
    )

    const step = Effect.fn("Finetune.step")(function*(index: number): Effect.fn.Return<
      StepReport,
      LearnerError | CheckpointError
    > {
      const batch = batchOf(plan, examples, index)
      const learningRate = LearningRate.at(plan.schedule, {
        learningRate: plan.learningRate,
        step: index,
        totalSteps: total,
        start: 1
      })
      const { metrics } = yield* made.update(index, batch, {
        loss: negativeLogLikelihood,
        learningRate,
        adamW: plan.adamW,
        temperature: 1,
        microBatch: { maxTokens: options.microBatchTokens }
      })
      const done = index + 1
      if (done % options.checkpointEvery === 0) yield* made.save
      return {
        step: done,
        steps: total,
        epoch: Math.floor(index / stepsPerEpoch(plan)) + 1,
        loss: metrics["actor/loss"] ?? Number.NaN,
        tokens: batch.sequences.reduce((sum, { ids }) => sum + ids.length, 0),
        learned: batch.normaliser.tokens,
        learningRate,
        gradNorm: metrics["actor/grad_norm"] ?? Number.NaN
      }
    })
    return Stream.range(restored, total - 1).pipe(Stream.rechunk(1), Stream.mapEffect(step))
  }))
