/**
 * What the log of a run says about it.
 *
 * @since 0.1.0
 */
import { Effect, Option, Path, Schema, Stream } from "effect"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import * as CheckpointsFileSystem from "../layers/checkpoints/CheckpointsFileSystem.ts"
import * as RunLogFileSystem from "../layers/runlog/RunLogFileSystem.ts"
import * as WriterLock from "../layers/writerLock.ts"
import { Checkpoints } from "../services/Checkpoints.ts"
import type { MetricsRecord } from "../services/RunLog.ts"
import * as RunFolder from "./runFolder.ts"
import { userError } from "./userError.ts"

/**
 * `running` is a run that a process writes to. `not evaluated` is one that has made its steps and whose last evaluation
 * was interrupted, `unfinished` one that was interrupted before.
 *
 * @category schemas
 * @since 0.1.0
 */
export const State = Schema.Literals([
  "running",
  "done",
  "not evaluated",
  "stopped early",
  "unfinished",
  "no step yet"
])

/**
 * @category models
 * @since 0.1.0
 */
export type State = typeof State.Type

/**
 * A run at a glance.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunSummary {
  readonly folder: RunFolder.RunFolder
  readonly name: string
  readonly config: RunConfig
  /** Milliseconds since the epoch; null before the first event. */
  readonly started: number | null
  readonly lastSign: number | null
  /** Steps made. */
  readonly step: number
  readonly state: State
  /** The last step's. */
  readonly metrics: Readonly<Record<string, number>>
  /** Of the steps that were evaluated, oldest first. */
  readonly evaluations: ReadonlyArray<MetricsRecord>
}

const stateOf = (logged: number, step: number, config: RunConfig, lastEvent: string | undefined): State =>
  logged >= config.steps
    ? "done"
    : step >= config.steps
    ? "not evaluated"
    : lastEvent === "stopped"
    ? "stopped early"
    : step === 0
    ? "no step yet"
    : "unfinished"

/**
 * Reads a run, which may be going on.
 *
 * @category readers
 * @since 0.1.0
 */
export const read = Effect.fn("Cli.readRun")(function*(directory: string) {
  const path = yield* Path.Path
  const folder = yield* RunFolder.at(directory)
  const config = yield* RunFolder.readConfig(folder)
  const log = yield* RunLogFileSystem.read(folder.log)
  const evaluations: Array<MetricsRecord> = []
  const last = yield* log.readMetrics.pipe(
    Stream.tap((record) =>
      Effect.sync(() => {
        if (record.metrics["val/em"] !== undefined) evaluations.push(record)
      })
    ),
    Stream.runLast,
    Effect.mapError((error) => userError(error))
  )
  const events = yield* log.readEvents.pipe(
    Stream.map(({ event, time }) => ({ event, time })),
    Stream.runCollect,
    Effect.mapError((error) => userError(error))
  )
  const logged = Option.match(last, { onNone: () => 0, onSome: (record) => record.step })
  // a step that is learned and saved is made, though an interruption left its evaluation out
  const saved = yield* Checkpoints.use(({ list }) => list).pipe(
    Effect.provide(CheckpointsFileSystem.layer(folder.checkpoints)),
    Effect.orElseSucceed(() => [])
  )
  const step = Math.max(logged, saved.at(-1)?.step ?? 0)
  const summary: RunSummary = {
    folder,
    name: path.basename(folder.directory),
    config,
    started: events[0]?.time ?? null,
    lastSign: events.at(-1)?.time ?? null,
    step,
    state: (yield* WriterLock.isHeld(folder.directory))
      ? "running"
      : stateOf(logged, step, config, events.at(-1)?.event),
    metrics: Option.match(last, { onNone: () => ({}), onSome: (record) => record.metrics }),
    evaluations
  }
  return summary
})

/**
 * Exact match of the last evaluation.
 *
 * @category getters
 * @since 0.1.0
 */
export const lastEm = ({ evaluations }: RunSummary): number | undefined => evaluations.at(-1)?.metrics["val/em"]

/**
 * The highest exact match of all evaluations.
 *
 * @category getters
 * @since 0.1.0
 */
export const bestEm = ({ evaluations }: RunSummary): number | undefined =>
  evaluations.length === 0 ? undefined : Math.max(...evaluations.map(({ metrics }) => metrics["val/em"] ?? 0))
