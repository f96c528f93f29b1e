/**
 * Whether a run has learned anything, told from the metrics of its steps.
 *
 * @since 0.2.0
 */
import { plural } from "./Plural.ts"
import type { RunConfig } from "./RunConfigSchema.ts"
import * as RunPlan from "./RunPlan.ts"

/**
 * Steps that learned nothing, with what became of their rollouts and updates.
 *
 * @category models
 * @since 0.2.0
 */
export interface Idle {
  /** Steps that were made. */
  readonly steps: number
  /** Those among them in which nothing was updated. */
  readonly idle: number
  /** Over the idle steps: failed rollouts by error, and all of them. */
  readonly failed: Readonly<Record<string, number>>
  readonly failures: number
  /** Completed rollouts of groups in which others had failed. */
  readonly dropped: number
  /** Rollouts that completed and taught nothing: their groups' rewards were equal. */
  readonly uninformative: number
  /** Updates whose gradient was not finite. */
  readonly skipped: number
}

/**
 * Whether a step updated something: the policy, or, while it warms up, the critic alone.
 *
 * @category predicates
 * @since 0.2.0
 */
export const hasLearned = (config: RunConfig, step: number, metrics: Readonly<Record<string, number>>): boolean =>
  (metrics["train/updates"] ?? 0) > 0 ||
  (RunPlan.usesCritic(config) && step <= config.critic.warmupSteps && metrics["critic/grad_norm"] !== undefined)

const FAILED = "rollout/failed/"

/**
 * What the steps that learned nothing have in common.
 *
 * @category getters
 * @since 0.2.0
 */
export const idle = (
  config: RunConfig,
  records: ReadonlyArray<{ readonly step: number; readonly metrics: Readonly<Record<string, number>> }>
): Idle => {
  const made = records.filter(({ step }) => step > 0)
  const without = made.filter(({ metrics, step }) => !hasLearned(config, step, metrics))
  const sum = (name: string) => without.reduce((total, { metrics }) => total + (metrics[name] ?? 0), 0)
  const failed: Record<string, number> = {}
  for (const { metrics } of without) {
    for (const [name, count] of Object.entries(metrics)) {
      if (!name.startsWith(FAILED)) continue
      const error = name.slice(FAILED.length)
      failed[error] = (failed[error] ?? 0) + count
    }
  }
  const skipped = sum("train/skipped_updates")
  return {
    steps: made.length,
    idle: without.length,
    failed,
    failures: sum("rollout/failed"),
    dropped: sum("train/dropped_trajectories"),
    uninformative: skipped > 0 ? 0 : sum("rollout/completed"),
    skipped
  }
}

/**
 * Why a run has nothing, or hardly anything, to show for its steps: in sentences, or null where at least half of them
 * learned.
 *
 * @category getters
 * @since 0.2.0
 */
export const verdict = (seen: Idle): ReadonlyArray<string> | null => {
  if (seen.idle === 0 || 2 * seen.idle <= seen.steps) return null
  const errors = Object.entries(seen.failed).map(([name, count]) => `${count} ${name}`).join(", ")
  const causes = [
    ...(seen.failures === 0 ? [] : [`${plural(seen.failures, "rollout")} failed (${errors})`]),
    ...(seen.dropped === 0 ? [] : [`${seen.dropped} were dropped with groups in which others had failed`]),
    ...(seen.uninformative === 0 ? [] : [`${seen.uninformative} were in groups of equal rewards`]),
    ...(seen.skipped === 0 ? [] : [`${plural(seen.skipped, "update")} had no finite gradient`])
  ]
  return [
    seen.idle === seen.steps
      ? `Nothing was learned: no update was made in ${plural(seen.steps, "step")}.`
      : `Hardly anything was learned: no update was made in ${seen.idle} of ${plural(seen.steps, "step")}.`,
    ...(causes.length === 0 ? [] : [`In ${seen.idle === 1 ? "it" : "them"} ${causes.join("; ")}.`])
  ]
}
