/**
 * Runs as JSON, for programs.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { RunConfig } from "../domain/RunConfig.ts"
import { CheckpointInfo } from "../services/Checkpoints.ts"
import { MetricsRecord } from "../services/RunLog.ts"
import { bestEm, lastEm, type RunSummary, State } from "./runSummary.ts"

const Metrics = Schema.Record(Schema.String, Schema.Finite)

const fields = {
  name: Schema.String,
  directory: Schema.String,
  state: State,
  algorithm: Schema.String,
  seed: Schema.Natural,
  /** Steps made, of `steps`. */
  step: Schema.Natural,
  steps: Schema.Natural,
  /** ISO 8601, null before the first event. */
  begun: Schema.NullOr(Schema.String),
  lastSign: Schema.NullOr(Schema.String),
  /** Greedy exact match of the last and of the best evaluation, null without one. */
  lastEm: Schema.NullOr(Schema.Finite),
  bestEm: Schema.NullOr(Schema.Finite),
  /** Of the last step. */
  metrics: Metrics
}

const Listed = Schema.Struct(fields)

const Shown = Schema.Struct({
  ...fields,
  config: RunConfig,
  evaluations: Schema.Array(MetricsRecord),
  checkpoints: Schema.Array(CheckpointInfo)
})

const encodeList = Schema.encodeEffect(Schema.fromJsonString(Schema.Array(Listed)))
const encodeShown = Schema.encodeEffect(Schema.fromJsonString(Schema.toCodecJson(Shown)))

const iso = (time: number | null): string | null => time === null ? null : new Date(time).toISOString()

const listed = (run: RunSummary): typeof Listed.Type => ({
  name: run.name,
  directory: run.folder.directory,
  state: run.state,
  algorithm: run.config.algorithm,
  seed: run.config.seed,
  step: run.step,
  steps: run.config.steps,
  begun: iso(run.started),
  lastSign: iso(run.lastSign),
  lastEm: lastEm(run) ?? null,
  bestEm: bestEm(run) ?? null,
  metrics: run.metrics
})

/**
 * One JSON array with an object a run.
 *
 * @category formatting
 * @since 0.1.0
 */
export const list = (runs: ReadonlyArray<RunSummary>): Effect.Effect<string> =>
  Effect.orDie(encodeList(runs.map(listed)))

/**
 * One JSON object with everything that is known about a run.
 *
 * @category formatting
 * @since 0.1.0
 */
export const show = (run: RunSummary, checkpoints: ReadonlyArray<CheckpointInfo>): Effect.Effect<string> =>
  Effect.orDie(encodeShown({ ...listed(run), config: run.config, evaluations: run.evaluations, checkpoints }))
