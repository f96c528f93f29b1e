/**
 * How rollouts end, and what may become a reward.
 *
 * A rollout is `Completed` or `Failed`. Only a completed one can be scored and only a scored one can reach an advantage
 * estimator, so an infrastructure failure can never be mistaken for a reward of 0.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { Trajectory } from "./Trajectory.ts"

/**
 * A completed trajectory with its reward. `reward` is the sum of `components`; `metrics` are reported only.
 *
 * @category models
 * @since 0.1.0
 */
export class ScoredTrajectory
  extends Schema.Class<ScoredTrajectory>("effect-search-r1/domain/Outcome/ScoredTrajectory")({
    trajectory: Trajectory,
    reward: Schema.Finite,
    components: Schema.Record(Schema.String, Schema.Finite),
    metrics: Schema.Record(Schema.String, Schema.Finite)
  })
{}

/**
 * A rollout that ran to its end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Completed {
  readonly _tag: "Completed"
  readonly trajectory: Trajectory
}

/**
 * A rollout that ended without a trajectory that may be learned from. It has no reward and no segments that a loss
 * could use.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failed<out E> {
  readonly _tag: "Failed"
  readonly promptKey: string
  readonly sample: number
  readonly questionId: string
  readonly error: E
}

/**
 * The end of one rollout. `E` is the error of a failed one.
 *
 * @category models
 * @since 0.1.0
 */
export type RolloutOutcome<E> = Completed | Failed<E>

/**
 * @category constructors
 * @since 0.1.0
 */
export const completed = (trajectory: Trajectory): Completed => ({ _tag: "Completed", trajectory })

/**
 * @category constructors
 * @since 0.1.0
 */
export const failed = <E>(options: Omit<Failed<E>, "_tag">): Failed<E> => ({ _tag: "Failed", ...options })
