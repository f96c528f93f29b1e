/**
 * What is told and written down of a step.
 *
 * @since 0.2.0
 */
import { Effect } from "effect"
import * as Advantage from "../../domain/Advantage.ts"
import type * as EarlyStop from "../../domain/EarlyStop.ts"
import * as Metrics from "../../domain/Metrics.ts"
import type { ScoredTrajectory } from "../../domain/Outcome.ts"
import type { RunConfig } from "../../domain/RunConfigSchema.ts"
import * as RunVerdict from "../../domain/RunVerdict.ts"
import * as StepAdvice from "../../domain/StepAdvice.ts"
import { RunLog } from "../../services/RunLog.ts"
import type * as Evaluate from "../Evaluate.ts"
import type { Collected } from "./Collect.ts"
import type { Learned } from "./Learn.ts"

/**
 * What the consumer of the stream sees: one report a step, after its updates. Times are in seconds and are not part of
 * `metrics`, which are the same for the same seed.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepReport {
  /** Steps made, this one included. 0 is the evaluation before training. */
  readonly step: number
  readonly steps: number
  readonly metrics: Readonly<Record<string, number>>
  readonly evaluation: Evaluate.Evaluation | null
  readonly failures: Readonly<Record<string, number>>
  readonly trajectories: ReadonlyArray<ScoredTrajectory>
  readonly seconds: {
    readonly rollout: number
    readonly prepare: number
    readonly update: number
    readonly total: number
  }
  /** Searches that were tried once more during the step. Like times, no part of `metrics`. */
  readonly retries: number
  /** Whether anything was updated. */
  readonly learned: boolean
  /** What the step's rollouts say about the settings. */
  readonly advice: ReadonlyArray<StepAdvice.Advice>
  /** Why the run ends here although steps are left, or null. */
  readonly stopped: string | null
}

/**
 * Failed rollouts by their error.
 *
 * @category getters
 * @since 0.1.0
 */
export const failureCounts = (collected: Collected): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { error } of collected.failures) counts[error._tag] = (counts[error._tag] ?? 0) + 1
  return counts
}

/**
 * Metrics without those that are not finite: numbers that JSON cannot hold would make the log unreadable.
 *
 * @category getters
 * @since 0.1.0
 */
export const finite = (metrics: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)))

/**
 * What early stopping looks at.
 *
 * @category getters
 * @since 0.1.0
 */
export const observed = (
  config: RunConfig,
  step: number,
  metrics: Readonly<Record<string, number>>,
  learned: Learned
): EarlyStop.Observed => ({
  meanReward: metrics["critic/score/mean"] ?? null,
  validActionRatio: metrics["env/ratio_of_valid_action"] ?? null,
  gradNorm: metrics["actor/grad_norm"] ?? null,
  kl: learned.kl,
  learned: RunVerdict.hasLearned(config, step, metrics),
  skipped: learned.skipped
})

/**
 * What the rollouts of a step say about the settings.
 *
 * @category getters
 * @since 0.2.0
 */
export const advise = (
  config: RunConfig,
  collected: Collected,
  contextLength: number
): ReadonlyArray<StepAdvice.Advice> => {
  const { scored } = collected
  const keys = scored.map((one) => Advantage.groupKeyOf(one, config.compat.groupKey))
  return StepAdvice.advise(config, {
    metrics: Metrics.rollouts(scored, collected.failures),
    completed: scored.length,
    dropped: collected.dropped,
    failures: collected.failures.map(({ error }) => ({
      _tag: error._tag,
      message: error.message,
      tokens: error._tag === "PromptTooLong" ? error.tokens : undefined
    })),
    groups: [...new Set(keys)].map((key) =>
      scored.filter((_, index) => keys[index] === key).map(({ reward }) => reward)
    ),
    contextLength
  })
}

/**
 * Logs the first trajectories of a step, and every failure.
 *
 * @category programs
 * @since 0.1.0
 */
export const logRollouts = Effect.fnUntraced(function*(step: number, collected: Collected, logged = 4) {
  const log = yield* RunLog
  for (const scored of collected.scored.slice(0, logged)) {
    yield* log.trajectory({ step, scored })
  }
  for (const { error, promptKey, questionId, sample } of collected.failures) {
    yield* log.event("rollout-failed", {
      step,
      promptKey,
      sample,
      questionId,
      error: error._tag,
      message: error.message
    })
  }
})
