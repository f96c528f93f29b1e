/**
 * Saved states of a run.
 *
 * @since 0.1.0
 */
import { Context, type Effect, type Option, Schema } from "effect"

/**
 * A checkpoint is missing, or its content is not what was written.
 *
 * @category errors
 * @since 0.1.0
 */
export class CheckpointCorrupt extends Schema.TaggedError<CheckpointCorrupt>()("CheckpointCorrupt", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path} cannot be used: ${this.reason}`
  }
}

/**
 * A checkpoint could not be written or listed.
 *
 * @category errors
 * @since 0.1.0
 */
export class CheckpointIo extends Schema.TaggedError<CheckpointIo>()("CheckpointIo", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}: ${this.reason}`
  }
}

/**
 * @category errors
 * @since 0.1.0
 */
export const CheckpointError = Schema.Union([CheckpointCorrupt, CheckpointIo])

/**
 * @category errors
 * @since 0.1.0
 */
export type CheckpointError = typeof CheckpointError.Type

/**
 * What identifies a checkpoint without reading its blobs. `metric` is what "best" means (higher is better).
 *
 * @category schemas
 * @since 0.1.0
 */
export const CheckpointInfo = Schema.Struct({
  step: Schema.Natural,
  metric: Schema.NullOr(Schema.Finite),
  path: Schema.String
})

/**
 * @category models
 * @since 0.1.0
 */
export type CheckpointInfo = typeof CheckpointInfo.Type

/**
 * A saved state: JSON that the saving program understands, and named blobs (weights, moments).
 *
 * @category models
 * @since 0.1.0
 */
export interface Checkpoint {
  readonly step: number
  readonly metric: number | null
  readonly state: Schema.Json
  readonly blobs: Readonly<Record<string, Uint8Array>>
}

/**
 * Atomic storage of checkpoints: after a crash at any moment each one is there whole or not at all. Saving keeps the
 * newest ones and the best one and removes the others.
 *
 * @category services
 * @since 0.1.0
 */
export class Checkpoints extends Context.Service<Checkpoints, {
  save(checkpoint: Checkpoint): Effect.Effect<CheckpointInfo, CheckpointError>
  /** Oldest first. */
  readonly list: Effect.Effect<ReadonlyArray<CheckpointInfo>, CheckpointError>
  /** The newest whose every byte is as it was written. Where there are checkpoints and none is, that is an error. */
  readonly latest: Effect.Effect<Option.Option<CheckpointInfo>, CheckpointError>
  /** The one with the highest metric of those whose every byte is as it was written. */
  readonly best: Effect.Effect<Option.Option<CheckpointInfo>, CheckpointError>
  load(info: CheckpointInfo): Effect.Effect<Checkpoint, CheckpointError>
  /** The state of a checkpoint whose blobs are not read. */
  peek(info: CheckpointInfo): Effect.Effect<Schema.Json, CheckpointError>
}>()("effect-search-r1/services/Checkpoints") {}
