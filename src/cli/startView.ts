/**
 * Before and after, for people.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { ScoredTrajectory } from "../domain/Outcome.ts"
import { plural } from "../domain/Plural.ts"
import { Score, scoreRow, scoreTable } from "./heldOutExam.ts"
import type { Style } from "./style.ts"
import { trajectoryView } from "./trajectoryView.ts"

/**
 * What `start --report` writes. `seconds` runs from the start of training to the table.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Report = Schema.Struct({
  seconds: Schema.Finite,
  steps: Schema.Natural,
  before: Score,
  after: Score,
  noSearchBaseline: Schema.Struct({ em: Schema.Finite })
})

/**
 * @category models
 * @since 0.1.0
 */
export type Report = typeof Report.Type

/**
 * @category formatting
 * @since 0.1.0
 */
export const comparisonTable = (report: Report, questions: number, style: Style, width?: number): string => {
  return [
    scoreTable(questions, [
      scoreRow("before", report.before),
      scoreRow(`after ${plural(report.steps, "step")}`, report.after),
      ["trained without search", report.noSearchBaseline.em.toFixed(2)]
    ], width),
    style.faint(`${report.seconds.toFixed(0)} seconds from the start of training`)
  ].join("\n")
}

/**
 * The same question before and after training.
 *
 * @category formatting
 * @since 0.1.0
 */
export const pairView = (
  before: ScoredTrajectory | undefined,
  after: ScoredTrajectory | undefined,
  style: Style
): string =>
  [
    ["Before", before] as const,
    ["After", after] as const
  ].flatMap(([name, scored]) => scored === undefined ? [] : [`\n${style.title(name)}`, trajectoryView(scored, style)])
    .concat("").join("\n")
