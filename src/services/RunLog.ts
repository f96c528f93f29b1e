/**
 * What happened in a run: metrics, trajectories and events, append-only.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Schema, type Stream } from "effect"
import { ScoredTrajectory } from "../domain/Outcome.ts"

/**
 * The log could not be written or read.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunLogError extends Schema.TaggedError<RunLogError>()("RunLogError", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}: ${this.reason}`
  }
}

/**
 * The numbers of one step.
 *
 * @category schemas
 * @since 0.1.0
 */
export const MetricsRecord = Schema.Struct({
  step: Schema.Natural,
  metrics: Schema.Record(Schema.String, Schema.Finite)
})

/**
 * @category models
 * @since 0.1.0
 */
export type MetricsRecord = typeof MetricsRecord.Type

/**
 * Something worth telling that is no number: a failed rollout, a saved checkpoint, the end of the run.
 *
 * @category schemas
 * @since 0.1.0
 */
export const EventRecord = Schema.Struct({
  /** Milliseconds since the epoch. */
  time: Schema.Finite,
  event: Schema.String,
  detail: Schema.Json
})

/**
 * @category models
 * @since 0.1.0
 */
export type EventRecord = typeof EventRecord.Type

/**
 * One trajectory of one step.
 *
 * @category schemas
 * @since 0.1.0
 */
export const TrajectoryRecord = Schema.Struct({ step: Schema.Natural, scored: ScoredTrajectory })

/**
 * @category models
 * @since 0.1.0
 */
export type TrajectoryRecord = typeof TrajectoryRecord.Type

/**
 * The log of a run. Appends are ordered and each is whole: it is there once the append has ended, and a crash leaves no
 * part of it. Readers may read while the run goes on and see whole records only, up to those that are there when they
 * reach the end.
 *
 * @category services
 * @since 0.1.0
 */
export class RunLog extends Context.Service<RunLog, {
  metrics(record: MetricsRecord): Effect.Effect<void, RunLogError>
  trajectory(record: TrajectoryRecord): Effect.Effect<void, RunLogError>
  event(event: string, detail: Schema.Json): Effect.Effect<void, RunLogError>
  readonly readMetrics: Stream.Stream<MetricsRecord, RunLogError>
  readonly readTrajectories: Stream.Stream<TrajectoryRecord, RunLogError>
  readonly readEvents: Stream.Stream<EventRecord, RunLogError>
  /**
   * Takes back what was recorded behind a step, so that a run which resumes there records it anew: metrics and
   * trajectories from the first record of a later step on; -1 takes all. `trajectories` is the step of the trajectories
   * where it is another one. Events stay.
   */
  rewind(step: number, options?: { readonly trajectories?: number | undefined }): Effect.Effect<void, RunLogError>
  /** Forces what was appended to the disk, so that not even a machine that loses its power forgets it. */
  readonly sync: Effect.Effect<void, RunLogError>
}>()("effect-search-r1/services/RunLog") {}
