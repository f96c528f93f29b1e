/**
 * Signs that a run has collapsed and is not worth going on with (spec §8).
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { plural } from "./Plural.ts"
import type { RunConfig } from "./RunConfigSchema.ts"

/**
 * What is remembered between steps.
 *
 * @category schemas
 * @since 0.1.0
 */
export const EarlyStopState = Schema.Struct({
  /** The best mean reward of a step; null before the first one. */
  bestReward: Schema.NullOr(Schema.Finite),
  /** Consecutive steps that showed a sign. */
  signs: Schema.Natural,
  /** Consecutive updates that were skipped because their gradient was not finite. */
  skipped: Schema.Natural
})

/**
 * @category models
 * @since 0.1.0
 */
export type EarlyStopState = typeof EarlyStopState.Type

/**
 * @category constants
 * @since 0.1.0
 */
export const initial: EarlyStopState = { bestReward: null, signs: 0, skipped: 0 }

/**
 * What a step showed. A null was not measured.
 *
 * @category models
 * @since 0.1.0
 */
export interface Observed {
  readonly meanReward: number | null
  readonly validActionRatio: number | null
  readonly gradNorm: number | null
  readonly kl: number | null
  /** Whether anything was updated. */
  readonly learned: boolean
  /** Updates of the step, in order: true where one was skipped. */
  readonly skipped: ReadonlyArray<boolean>
}

/**
 * The state after a step, and why the run should stop, or null.
 *
 * @category models
 * @since 0.1.0
 */
export interface Verdict {
  readonly state: EarlyStopState
  readonly reason: string | null
}

const signsOf = (config: RunConfig["earlyStop"], best: number | null, seen: Observed): ReadonlyArray<string> => {
  const signs: Array<string> = []
  if (!seen.learned) signs.push("nothing was updated")
  if (
    config.rewardDrop !== null && best !== null && best > 0 && seen.meanReward !== null &&
    seen.meanReward < best * (1 - config.rewardDrop)
  ) signs.push(`the mean reward fell to ${seen.meanReward.toFixed(3)} from ${best.toFixed(3)}`)
  if (
    config.minValidActions !== null && seen.validActionRatio !== null && seen.validActionRatio < config.minValidActions
  ) signs.push(`only ${(100 * seen.validActionRatio).toFixed(0)} % of the turns hold a valid action`)
  if (config.maxGradNorm !== null && seen.gradNorm !== null && seen.gradNorm > config.maxGradNorm) {
    signs.push(`the gradient's norm is ${seen.gradNorm.toPrecision(3)}`)
  }
  if (config.maxKl !== null && seen.kl !== null && seen.kl > config.maxKl) {
    signs.push(`the divergence from the reference policy is ${seen.kl.toPrecision(3)}`)
  }
  return signs
}

/**
 * Takes a step into account: `patience` consecutive steps with a sign, or too many skipped updates in a row, stop a run.
 *
 * @category combinators
 * @since 0.1.0
 */
export const next = (config: RunConfig["earlyStop"], state: EarlyStopState, seen: Observed): Verdict => {
  const signs = signsOf(config, state.bestReward, seen)
  const skipped = seen.skipped.reduce((row, one) => one ? row + 1 : 0, state.skipped)
  const following: EarlyStopState = {
    bestReward: seen.meanReward === null ? state.bestReward : Math.max(state.bestReward ?? 0, seen.meanReward),
    signs: signs.length === 0 ? 0 : state.signs + 1,
    skipped
  }
  const reason = config.maxSkippedUpdates !== null && skipped >= config.maxSkippedUpdates
    ? `${plural(skipped, "update")} in a row had no finite gradient`
    : following.signs >= config.patience
    ? `for ${plural(following.signs, "step")}: ${signs.join("; ")}`
    : null
  return { state: following, reason: config.enabled ? reason : null }
}
