/**
 * The second half of a step: advantages of scored trajectories, and the updates of critic and policy.
 *
 * @since 0.1.0
 */
import { Clock, Effect, type Option, Schema } from "effect"
import * as Advantage from "../../domain/Advantage.ts"
import * as Batch from "../../domain/Batch.ts"
import { addMetrics, isMaximum } from "../../domain/Loss.ts"
import type { ScoredTrajectory } from "../../domain/Outcome.ts"
import type { RunConfig } from "../../domain/RunConfigSchema.ts"
import * as RunPlan from "../../domain/RunPlan.ts"
import { tokenIds } from "../../domain/Trajectory.ts"
import { Critic } from "../../services/Critic.ts"
import { type LearnerError, Optimizer } from "../../services/Optimizer.ts"
import { Policy, type PolicyError, type SequenceLogProbs } from "../../services/Policy.ts"
import { ReferencePolicy } from "../../services/ReferencePolicy.ts"
import type { OnProgress } from "./Progress.ts"

/**
 * The configuration asks for a service that the program was not given.
 *
 * @category errors
 * @since 0.1.0
 */
export class MissingService extends Schema.TaggedError<MissingService>()("MissingService", {
  service: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `the configuration needs a ${this.service}: ${this.reason}`
  }
}

/**
 * Why a step's trajectories could not be learned from.
 *
 * @category errors
 * @since 0.1.0
 */
export type LearnError = LearnerError | PolicyError | Advantage.AdvantageError | Batch.BatchError | MissingService

/**
 * What learning from a step did. `skipped` holds, per update of the policy, whether its gradient was not finite and it
 * was left out.
 *
 * @category models
 * @since 0.1.0
 */
export interface Learned {
  readonly metrics: Readonly<Record<string, number>>
  /** Mean divergence from the reference policy, in nats a token, where it was measured. */
  readonly kl: number | null
  readonly skipped: ReadonlyArray<boolean>
  readonly updates: number
  readonly seconds: { readonly prepare: number; readonly update: number }
}

const required = <A>(service: Option.Option<A>, name: string, reason: string): Effect.Effect<A, MissingService> =>
  Effect.mapError(Effect.fromOption(service), () => new MissingService({ service: name, reason }))

/** Metrics of several updates as those of one step: means, and maxima where the name says so. */
class Means {
  readonly #totals: Record<string, number> = {}
  readonly #counts: Record<string, number> = {}

  add(metrics: Readonly<Record<string, number>>): void {
    addMetrics(this.#totals, metrics)
    for (const name of Object.keys(metrics)) this.#counts[name] = (this.#counts[name] ?? 0) + 1
  }

  get values(): Record<string, number> {
    return Object.fromEntries(
      Object.entries(this.#totals).map(([name, total]) =>
        [name, isMaximum(name) ? total : total / (this.#counts[name] ?? 1)] as const
      )
    )
  }
}

const logProbsOf = (rows: ReadonlyArray<SequenceLogProbs>) => rows.map((row) => row.logProbs)

/** What each token needs before any update: log-probabilities before the update, of the reference, and values. */
const prepare = Effect.fnUntraced(function*(config: RunConfig, scored: ReadonlyArray<ScoredTrajectory>) {
  const policy = yield* Policy
  const sequences = scored.map((one) => tokenIds(one.trajectory.segments))
  const temperature = config.sampling.temperature === 0 ? 1 : config.sampling.temperature
  const logProbs = logProbsOf(yield* policy.logProbs(sequences, { temperature }))
  const refLogProbs = RunPlan.usesReference(config)
    ? logProbsOf(
      yield* (yield* required(
        yield* Effect.serviceOption(ReferencePolicy),
        "ReferencePolicy",
        `kl.placement is "${config.kl.placement}"`
      )).logProbs(sequences, { temperature })
    )
    : undefined
  const values = RunPlan.usesCritic(config)
    ? yield* (yield* required(
      yield* Effect.serviceOption(Critic),
      "Critic",
      "advantage.estimator is \"gae\""
    )).values(sequences)
    : undefined
  return { logProbs, refLogProbs, values, temperature }
})

const toSequences = (
  config: RunConfig,
  scored: ReadonlyArray<ScoredTrajectory>,
  estimate: Advantage.Estimate,
  signals: Effect.Success<ReturnType<typeof prepare>>
): Effect.Effect<ReadonlyArray<Batch.TrainingSequence>, Batch.BatchError> =>
  Effect.forEach(scored, (one, index) =>
    Effect.fromResult(Batch.sequence(one, {
      advantages: estimate.advantages[index] ?? new Float32Array(),
      oldLogProbs: signals.logProbs[index] ?? new Float32Array(),
      refLogProbs: signals.refLogProbs?.[index],
      oldValues: signals.values?.[index],
      returns: signals.values === undefined ? undefined : estimate.returns[index]
    }, RunPlan.sequenceOptions(config))))

const updateCritic = Effect.fn("Train.updateCritic")(function*(
  config: RunConfig,
  step: number,
  batches: ReadonlyArray<Batch.MiniBatch>,
  means: Means
) {
  const critic = yield* required(yield* Effect.serviceOption(Critic), "Critic", "advantage.estimator is \"gae\"")
  for (const batch of batches) {
    const { metrics } = yield* critic.update(batch, {
      loss: RunPlan.valueLossConfig(config),
      learningRate: RunPlan.criticLearningRate(config, step),
      adamW: config.optimizer.adamW,
      microBatch: RunPlan.microBatchBudget(config)
    })
    means.add(metrics)
  }
})

const updatePolicy = Effect.fn("Train.updatePolicy")(function*(
  config: RunConfig,
  step: number,
  batches: ReadonlyArray<Batch.MiniBatch>,
  options: { readonly klCoefficient: number; readonly temperature: number; readonly onProgress: OnProgress },
  means: Means
) {
  const optimizer = yield* Optimizer
  const progress = (done: number) =>
    options.onProgress({ step: step + 1, phase: "updates", done, total: batches.length })
  return yield* Effect.forEach(batches, (batch, index) =>
    Effect.andThen(
      progress(index),
      optimizer.update(batch, {
        loss: RunPlan.lossConfig(config, options.klCoefficient),
        learningRate: RunPlan.learningRate(config, step),
        adamW: config.optimizer.adamW,
        temperature: options.temperature,
        microBatch: RunPlan.microBatchBudget(config)
      })
    ).pipe(
      Effect.map(({ metrics }) => {
        means.add(metrics)
        return false
      }),
      // the layer left parameters and moments as they were: the step goes on without this update
      Effect.catchTag("NonFiniteGradient", (error) => Effect.as(Effect.logWarning(error.message), true))
    ))
})

/**
 * @category models
 * @since 0.2.0
 */
export interface Options {
  readonly klCoefficient: number
  readonly onProgress?: OnProgress | undefined
  /** Runs when everything is measured and the first update is about to change parameters. */
  readonly beforeUpdates?: Effect.Effect<void> | undefined
}

/**
 * Learns from a step's trajectories: everything that is measured before the update is measured first, then critic and
 * policy are updated mini-batch by mini-batch (spec §4.1, steps 3 to 11).
 *
 * @category programs
 * @since 0.1.0
 */
export const learn = Effect.fn("Train.learn")(function*(
  config: RunConfig,
  step: number,
  scored: ReadonlyArray<ScoredTrajectory>,
  options: Options
): Effect.fn.Return<Learned, LearnError, Policy | Optimizer> {
  const { beforeUpdates = Effect.void, klCoefficient, onProgress = () => Effect.void } = options
  const started = yield* Clock.currentTimeMillis
  const trained = config.rollout.dynamicSampling
    ? Advantage.informative(scored, config.compat.groupKey)
    : scored
  if (trained.length === 0) {
    return { metrics: {}, kl: null, skipped: [], updates: 0, seconds: { prepare: 0, update: 0 } }
  }
  yield* onProgress({ step: step + 1, phase: "scoring", done: 0, total: trained.length })
  const signals = yield* prepare(config, trained)
  const estimate = yield* Effect.fromResult(
    Advantage.estimate(RunPlan.advantageConfig(config, klCoefficient), trained, signals)
  )
  const sequences = yield* toSequences(config, trained, estimate, signals)
  const prepared = yield* Clock.currentTimeMillis

  yield* beforeUpdates
  const means = new Means()
  const skipped: Array<boolean> = []
  for (let epoch = 0; epoch < config.update.epochs; epoch++) {
    const batches = Batch.miniBatches(sequences, RunPlan.miniBatchOptions(config, step, epoch))
    if (signals.values !== undefined) yield* updateCritic(config, step, batches, means)
    if (signals.values === undefined || step >= config.critic.warmupSteps) {
      skipped.push(
        ...yield* updatePolicy(
          config,
          step,
          batches,
          { klCoefficient, temperature: signals.temperature, onProgress },
          means
        )
      )
    }
  }
  const metrics = { ...estimate.metrics, ...means.values }
  return {
    metrics,
    kl: metrics["critic/kl"] ?? metrics["actor/kl_loss"] ?? null,
    skipped,
    updates: skipped.filter((one) => !one).length,
    seconds: {
      prepare: (prepared - started) / 1000,
      update: ((yield* Clock.currentTimeMillis) - prepared) / 1000
    }
  }
})
