/**
 * Rollouts with their rewards: what evaluation, training and the command line consume.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { type Failed, type RolloutOutcome, ScoredTrajectory } from "../domain/Outcome.ts"
import type { Trajectory } from "../domain/Trajectory.ts"
import { Reward } from "../services/Reward.ts"

/**
 * A rollout that was scored, or that failed. There is no third case and no default reward.
 *
 * @category models
 * @since 0.1.0
 */
export type ScoredOutcome<E> = Scored | Failed<E>

/**
 * @category models
 * @since 0.1.0
 */
export interface Scored {
  readonly _tag: "Scored"
  readonly scored: ScoredTrajectory
}

/**
 * Scores one completed trajectory.
 *
 * @category programs
 * @since 0.1.0
 */
export const scoreTrajectory = Effect.fnUntraced(function*(trajectory: Trajectory) {
  const reward = yield* Reward
  const { components, metrics, total } = yield* reward.score(trajectory)
  return new ScoredTrajectory({ trajectory, reward: total, components, metrics })
})

/**
 * Scores every completed rollout of a stream and passes failures on.
 *
 * @category programs
 * @since 0.1.0
 */
export const score = <E, E2, R>(
  outcomes: Stream.Stream<RolloutOutcome<E>, E2, R>
): Stream.Stream<ScoredOutcome<E>, E2, R | Reward> =>
  Stream.mapEffect(outcomes, (outcome): Effect.Effect<ScoredOutcome<E>, never, Reward> =>
    outcome._tag === "Failed"
      ? Effect.succeed(outcome)
      : Effect.map(scoreTrajectory(outcome.trajectory), (scored) => ({ _tag: "Scored", scored })))
