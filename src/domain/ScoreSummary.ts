/**
 * Graded items and their means, by data source.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { Grade } from "./Grading.ts"
import type { Recording } from "./Recording.ts"

const Score = Schema.Literals([0, 1])

/**
 * The grade of one recorded trajectory, as a line of an items file.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Item = Schema.Struct({
  id: Schema.String,
  data_source: Schema.String,
  question: Schema.String,
  golden_answers: Schema.Array(Schema.String),
  /** The answer that was graded, stripped; null where there is none. */
  prediction: Schema.NullOr(Schema.String),
  em: Score,
  subEm: Score,
  f1: Schema.Finite,
  /** Searches that an observation answered. */
  searches: Schema.Natural,
  /** With a last search that nobody answered. */
  requestedSearches: Schema.Natural,
  /** Turns answered with the invalid-action message. */
  invalidActions: Schema.Natural,
  /** `<information>` blocks that the policy wrote itself. */
  forged: Schema.Natural,
  truncatedObservations: Schema.Natural,
  turns: Schema.Natural,
  validFormat: Schema.Boolean,
  /** Why the format is not valid. */
  formatFlaw: Schema.NullOr(Schema.String),
  /** Whether there is an answer. */
  finished: Schema.Boolean
})

/**
 * @category models
 * @since 0.1.0
 */
export type Item = typeof Item.Type

/**
 * @category constructors
 * @since 0.1.0
 */
export const item = (
  recording: Recording,
  grade: Grade,
  fallback: { readonly id: string; readonly dataSource: string }
): Item => ({
  id: recording.id ?? fallback.id,
  data_source: recording.dataSource ?? fallback.dataSource,
  question: recording.question,
  golden_answers: recording.goldenAnswers,
  prediction: grade.prediction,
  em: grade.em,
  subEm: grade.subEm,
  f1: grade.f1,
  searches: grade.counts.executedSearches,
  requestedSearches: grade.counts.requestedSearches,
  invalidActions: grade.counts.invalidActions,
  forged: grade.counts.forgedObservations,
  truncatedObservations: grade.counts.truncatedObservations,
  turns: recording.transcript.parts.filter((part) => part._tag === "Policy").length,
  validFormat: grade.flaw === null,
  formatFlaw: grade.flaw,
  finished: grade.prediction !== null
})

/**
 * Means over `n` items, except for `forgedObservations`, which is a sum.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Summary = Schema.Struct({
  n: Schema.Natural,
  em: Schema.Finite,
  subEm: Schema.Finite,
  f1: Schema.Finite,
  /** Share of items with a valid format. */
  validFormat: Schema.Finite,
  /** Share of items with an answer. */
  hasAnswer: Schema.Finite,
  /** Executed searches a question. */
  searchesPerQuestion: Schema.Finite,
  forgedObservations: Schema.Natural
})

/**
 * @category models
 * @since 0.1.0
 */
export type Summary = typeof Summary.Type

/**
 * Unweighted means over the data sources: the papers' "Avg".
 *
 * @category schemas
 * @since 0.1.0
 */
export const MacroAverage = Schema.Struct({ em: Schema.Finite, subEm: Schema.Finite, f1: Schema.Finite })

/**
 * @category models
 * @since 0.1.0
 */
export type MacroAverage = typeof MacroAverage.Type

/**
 * All items, the items of each data source in order of appearance, and the mean of the data sources' means.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Report = Schema.Struct({
  total: Summary,
  macroAverage: MacroAverage,
  dataSources: Schema.Record(Schema.String, Summary)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Report = typeof Report.Type

interface Sums {
  n: number
  em: number
  subEm: number
  f1: number
  validFormat: number
  hasAnswer: number
  searches: number
  forged: number
}

const zero = (): Sums => ({ n: 0, em: 0, subEm: 0, f1: 0, validFormat: 0, hasAnswer: 0, searches: 0, forged: 0 })

const add = (sums: Sums, item: Item): void => {
  sums.n++
  sums.em += item.em
  sums.subEm += item.subEm
  sums.f1 += item.f1
  sums.validFormat += item.validFormat ? 1 : 0
  sums.hasAnswer += item.finished ? 1 : 0
  sums.searches += item.searches
  sums.forged += item.forged
}

const mean = (sums: Sums): Summary => {
  const n = Math.max(1, sums.n)
  return {
    n: sums.n,
    em: sums.em / n,
    subEm: sums.subEm / n,
    f1: sums.f1 / n,
    validFormat: sums.validFormat / n,
    hasAnswer: sums.hasAnswer / n,
    searchesPerQuestion: sums.searches / n,
    forgedObservations: sums.forged
  }
}

/**
 * Adds items up; constant memory however many there are.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tally {
  readonly add: (item: Item) => void
  readonly report: () => Report
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const tally = (): Tally => {
  const total = zero()
  const sources = new Map<string, Sums>()
  return {
    add: (item) => {
      add(total, item)
      const found = sources.get(item.data_source)
      const sums = found ?? zero()
      if (found === undefined) sources.set(item.data_source, sums)
      add(sums, item)
    },
    report: () => {
      const summaries = Array.from(sources, ([name, sums]): readonly [string, Summary] => [name, mean(sums)])
      const average = (pick: (summary: Summary) => number): number =>
        summaries.reduce((sum, [, summary]) => sum + pick(summary), 0) / Math.max(1, summaries.length)
      return {
        total: mean(total),
        macroAverage: {
          em: average((summary) => summary.em),
          subEm: average((summary) => summary.subEm),
          f1: average((summary) => summary.f1)
        },
        dataSources: Object.fromEntries(summaries)
      }
    }
  }
}
