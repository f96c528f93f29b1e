/**
 * The learning rate over a run (spec 4.9).
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { described } from "./described.ts"

const Fraction = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))

/**
 * A linear warm-up to the full rate, then constant, or a decay (linear or half a cosine) to `minRatio` of it at the
 * end of the run.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Schedule = Schema.Struct({
  kind: Schema.Literals(["constant", "linear", "cosine"]).pipe(described("What follows the warm-up.")),
  warmupRatio: Fraction.pipe(described("Share of the run that warms up, rounded down to whole steps.")),
  warmupSteps: Schema.NullOr(Schema.Natural).pipe(described("Warm-up in steps; takes precedence over the ratio.")),
  minRatio: Fraction.pipe(described("Where a decay ends, as a share of the full rate."))
})

/**
 * @category models
 * @since 0.1.0
 */
export type Schedule = typeof Schedule.Type

/**
 * The full rate from the first step on.
 *
 * @category constants
 * @since 0.1.0
 */
export const constant: Schedule = { kind: "constant", warmupRatio: 0, warmupSteps: null, minRatio: 0 }

/**
 * A step of a run. `step` counts from 0. `start` is the index that the schedule gives the first step (`lrWarmupStart`):
 * 0 is the reference, whose first step always has the rate 0; 1 wastes no step at either end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Position {
  readonly learningRate: number
  readonly step: number
  readonly totalSteps: number
  readonly start: 0 | 1
}

/**
 * Number of warm-up steps.
 *
 * @category getters
 * @since 0.1.0
 */
export const warmupSteps = (schedule: Schedule, totalSteps: number): number =>
  schedule.warmupSteps ?? Math.floor(schedule.warmupRatio * totalSteps)

/**
 * The learning rate of a step.
 *
 * @category getters
 * @since 0.1.0
 */
export const at = (schedule: Schedule, position: Position): number => {
  const { learningRate, start, step, totalSteps } = position
  const warmup = warmupSteps(schedule, totalSteps)
  const index = step + start
  if (index < Math.max(1, warmup)) return learningRate * (index / Math.max(1, warmup))
  if (schedule.kind === "constant") return learningRate
  const full = Math.max(warmup, start)
  const progress = Math.min(1, Math.max(0, (index - full) / Math.max(1, totalSteps + start - full)))
  const shape = schedule.kind === "linear" ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress))
  return learningRate * (schedule.minRatio + (1 - schedule.minRatio) * shape)
}
