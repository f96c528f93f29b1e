/**
 * Groups of rollouts of one prompt, and what training does with incomplete ones.
 *
 * @since 0.1.0
 */
import { Option, Schema } from "effect"
import type { Failed, RolloutOutcome } from "./Outcome.ts"
import type { Trajectory } from "./Trajectory.ts"

/**
 * The rollouts of one prompt instance: all completed, some of them (with the reasons of the others), or none.
 *
 * @category models
 * @since 0.1.0
 */
export type GroupOutcome<E> = CompleteGroup | DegradedGroup<E> | FailedGroup<E>

/**
 * @category models
 * @since 0.1.0
 */
export interface CompleteGroup {
  readonly _tag: "Complete"
  readonly promptKey: string
  readonly trajectories: ReadonlyArray<Trajectory>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface DegradedGroup<out E> {
  readonly _tag: "Degraded"
  readonly promptKey: string
  readonly trajectories: ReadonlyArray<Trajectory>
  readonly failures: ReadonlyArray<Failed<E>>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface FailedGroup<out E> {
  readonly _tag: "Failed"
  readonly promptKey: string
  readonly failures: ReadonlyArray<Failed<E>>
}

/**
 * Collects the outcomes of one prompt instance, trajectories in the order of their sample numbers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromOutcomes = <E>(promptKey: string, outcomes: ReadonlyArray<RolloutOutcome<E>>): GroupOutcome<E> => {
  const trajectories: Array<Trajectory> = []
  const failures: Array<Failed<E>> = []
  for (const outcome of outcomes) {
    if (outcome._tag === "Completed") trajectories.push(outcome.trajectory)
    else failures.push(outcome)
  }
  trajectories.sort((a, b) => a.sample - b.sample)
  if (failures.length === 0) return { _tag: "Complete", promptKey, trajectories }
  return trajectories.length === 0
    ? { _tag: "Failed", promptKey, failures }
    : { _tag: "Degraded", promptKey, trajectories, failures }
}

/**
 * What a degraded group needs to be trained on: `drop` accepts complete groups only (dropping members at random does
 * bias the group's baseline when failures correlate with behaviour), `minimum` accepts at least that many members.
 *
 * @category schemas
 * @since 0.1.0
 */
export const GroupPolicy = Schema.TaggedUnion({
  Drop: {},
  Minimum: { trajectories: Schema.Natural }
})

/**
 * @category models
 * @since 0.1.0
 */
export type GroupPolicy = typeof GroupPolicy.Type

/**
 * The trajectories of a group that training may use, or none. The one place where incomplete groups are decided on.
 *
 * @category combinators
 * @since 0.1.0
 */
export const select = <E>(
  group: GroupOutcome<E>,
  policy: GroupPolicy
): Option.Option<ReadonlyArray<Trajectory>> => {
  switch (group._tag) {
    case "Complete":
      return Option.some(group.trajectories)
    case "Degraded":
      return policy._tag === "Minimum" && group.trajectories.length >= policy.trajectories
        ? Option.some(group.trajectories)
        : Option.none()
    case "Failed":
      return Option.none()
  }
}
