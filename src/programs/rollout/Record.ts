/**
 * Rollouts as lines of a file.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { ScoredTrajectory } from "../../domain/Outcome.ts"
import { PolicySource } from "../../domain/PolicySource.ts"
import { RolloutError } from "./Options.ts"

/**
 * One rollout: a scored trajectory with the policy that made it, or why there is none.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RolloutRecord = Schema.TaggedUnion({
  Scored: { scored: ScoredTrajectory, policy: Schema.optionalKey(PolicySource) },
  Failed: {
    promptKey: Schema.String,
    sample: Schema.Natural,
    questionId: Schema.String,
    error: RolloutError
  }
})

/**
 * @category models
 * @since 0.1.0
 */
export type RolloutRecord = typeof RolloutRecord.Type

/**
 * A record as one line of JSON.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RolloutLine = Schema.fromJsonString(Schema.toCodecJson(RolloutRecord))
