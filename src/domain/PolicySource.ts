/**
 * Which policy made a trajectory.
 *
 * @since 0.2.0
 */
import { Schema } from "effect"

/**
 * `place` is the folder or file that was named. `model` is the model whose tokens the policy speaks, by path and content: for
 * a run the one that it began with, null for scripts and recordings.
 *
 * @category schemas
 * @since 0.2.0
 */
export const PolicySource = Schema.Struct({
  kind: Schema.Literals(["model", "run", "script", "replay"]),
  place: Schema.String,
  model: Schema.NullOr(Schema.Struct({ path: Schema.String, sha256: Schema.String }))
})

/**
 * @category models
 * @since 0.2.0
 */
export type PolicySource = typeof PolicySource.Type
