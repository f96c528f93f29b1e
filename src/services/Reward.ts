/**
 * Scores completed rollouts.
 *
 * @since 0.1.0
 */
import { Context, type Effect } from "effect"
import type { Trajectory } from "../domain/Trajectory.ts"

/**
 * A reward and what it is made of: `total` is the sum of `components`. `metrics` are reported and not rewarded.
 *
 * @category models
 * @since 0.1.0
 */
export interface RewardBreakdown {
  readonly total: number
  readonly components: Readonly<Record<string, number>>
  readonly metrics: Readonly<Record<string, number>>
}

/**
 * The outcome reward. It only ever receives completed trajectories: a failed rollout has no reward.
 *
 * @category services
 * @since 0.1.0
 */
export class Reward extends Context.Service<Reward, {
  score(trajectory: Trajectory): Effect.Effect<RewardBreakdown>
}>()("effect-search-r1/services/Reward") {}
