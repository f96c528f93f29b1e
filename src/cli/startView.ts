/**
 * Before and after, for people.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { ScoredTrajectory } from "../domain/Outcome.ts"
import type { Style } from "./style.ts"
import { table } from "./table.ts"
import { trajectoryView } from "./trajectoryView.ts"

/**
 * Scores on held-out questions: `em` greedy exact match, `em1` to `em3` by hops, `sampled` success at temperature 1,
 * `searches` a question.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Score = Schema.Struct({
  em: Schema.Finite,
  em1: Schema.Finite,
  em2: Schema.Finite,
  em3: Schema.Finite,
  sampled: Schema.Finite,
  searches: Schema.Finite
})

/**
 * @category models
 * @since 0.1.0
 */
export type Score = typeof Score.Type

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
export const comparisonTable = (report: Report, questions: number, style: Style): string => {
  const row = (name: string, score: Score) => [
    name,
    ...[score.em, score.em1, score.em2, score.em3, score.sampled].map((value) => value.toFixed(2)),
    score.searches.toFixed(1)
  ]
  const right = (heading: string) => ({ heading, align: "right" as const })
  return [
    table(
      [
        { heading: `${questions} held-out questions` },
        ...["EM", "1 hop", "2 hops", "3 hops", "sampled", "searches"].map(right)
      ],
      [
        row("before", report.before),
        row(`after ${report.steps} steps`, report.after),
        ["trained without search", report.noSearchBaseline.em.toFixed(2)]
      ]
    ),
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
