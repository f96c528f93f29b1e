/**
 * Curves and tables of runs, from their logs.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import * as LineChart from "../domain/LineChart.ts"
import * as RunLogFileSystem from "../layers/runlog/RunLogFileSystem.ts"
import type { MetricsRecord } from "../services/RunLog.ts"
import * as RunFolder from "./runFolder.ts"
import { userError } from "./userError.ts"

/**
 * A run's curve: its name in the legend and the metrics of its steps.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunCurve {
  readonly name: string
  readonly records: ReadonlyArray<MetricsRecord>
}

interface Quantity {
  readonly title: string
  readonly range?: readonly [number, number]
}

/** What has a name for people, and bounds. */
const known: Readonly<Record<string, Quantity>> = {
  "reward/total/mean": { title: "mean reward of training rollouts" },
  "answer/em": { title: "exact match of training rollouts", range: [0, 1] },
  "val/em": { title: "greedy exact match, evaluation", range: [0, 1] },
  "val/em_hops/1": { title: "greedy exact match, 1 hop", range: [0, 1] },
  "val/em_hops/2": { title: "greedy exact match, 2 hops", range: [0, 1] },
  "val/em_hops/3": { title: "greedy exact match, 3 hops", range: [0, 1] },
  "val/searches": { title: "searches a question, evaluation" },
  "env/number_of_valid_search": { title: "searches a rollout" },
  "env/ratio_of_valid_action": { title: "valid actions", range: [0, 1] },
  "response_length/mean": { title: "response length, tokens" },
  "actor/kl_loss": { title: "divergence from the base, nats a token" },
  "actor/entropy_loss": { title: "entropy, nats" },
  "actor/grad_norm": { title: "gradient norm before clipping" }
}

/**
 * What is drawn unless told otherwise.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMetrics: ReadonlyArray<string> = [
  "reward/total/mean",
  "val/em",
  "env/number_of_valid_search",
  "response_length/mean"
]

/**
 * Reads the metrics of a run.
 *
 * @category readers
 * @since 0.1.0
 */
export const read = Effect.fn("Cli.readCurve")(function*(directory: string, name: string) {
  const folder = yield* RunFolder.at(directory)
  yield* RunFolder.readConfig(folder)
  const log = yield* RunLogFileSystem.read(folder.log)
  const records = yield* Effect.mapError(Stream.runCollect(log.readMetrics), (error) => userError(error))
  const curve: RunCurve = { name, records }
  return curve
})

/**
 * A chart with a panel a metric.
 *
 * @category formatting
 * @since 0.1.0
 */
export const chart = (runs: ReadonlyArray<RunCurve>, metrics: ReadonlyArray<string>, title: string): string =>
  LineChart.svg(
    metrics.map((metric) => ({
      title: known[metric]?.title ?? metric,
      range: known[metric]?.range,
      curves: runs.map(({ name, records }) => ({
        name,
        points: records.flatMap((record): ReadonlyArray<readonly [number, number]> => {
          const value = record.metrics[metric]
          return value === undefined ? [] : [[record.step, value]]
        })
      }))
    })),
    { title, x: "step" }
  )

/** Steps over which the end of a run is judged: a single step of rollouts is noise. */
const tail = 3

/** The last steps' mean of a figure of training rollouts, the last value of an evaluation's. */
const endOf = (records: ReadonlyArray<MetricsRecord>, metrics: ReadonlyArray<string>): number | undefined => {
  const values = records.flatMap((record) => metrics.flatMap((metric) => record.metrics[metric] ?? []).slice(0, 1))
  const end = values.slice(metrics.some((metric) => metric.startsWith("val/")) ? -1 : -tail)
  return end.length === 0 ? undefined : end.reduce((sum, value) => sum + value, 0) / end.length
}

const lastOf = (records: ReadonlyArray<MetricsRecord>, metric: string): number | undefined =>
  records.findLast((record) => record.metrics[metric] !== undefined)?.metrics[metric]

const highest = (records: ReadonlyArray<MetricsRecord>, metric: string): number =>
  records.reduce((top, record) => Math.max(top, record.metrics[metric] ?? 0), 0)

/**
 * Whether a run lost at the end more than half of the mean reward that it once had, or of its evaluation.
 *
 * @category predicates
 * @since 0.1.0
 */
export const collapsed = ({ records }: RunCurve): boolean => {
  const steps = records.filter(({ metrics }) => metrics["reward/total/mean"] !== undefined)
  const reward = endOf(steps, ["reward/total/mean"]) ?? 0
  const em = lastOf(records, "val/em")
  return (steps.length > tail && reward < highest(steps, "reward/total/mean") / 2) ||
    (em !== undefined && em < highest(records, "val/em") / 2)
}

const columns = [
  ["EM", ["val/em"], 2],
  ["1 hop", ["val/em_hops/1"], 2],
  ["2 hops", ["val/em_hops/2"], 2],
  ["3 hops", ["val/em_hops/3"], 2],
  ["EM at temperature 1", ["answer/em"], 2],
  ["reward", ["reward/total/mean"], 2],
  ["searches", ["val/searches"], 1],
  ["length", ["response_length/mean"], 0],
  ["KL", ["actor/kl_loss", "critic/kl"], 3]
] as const

/**
 * A Markdown table with the figures at the end of runs: the last evaluation's, and means of the last three steps;
 * of several seeds the mean, with the lowest and the highest EM. `groups` are rows: runs of one setting.
 *
 * @category formatting
 * @since 0.1.0
 */
export const markdown = (
  groups: ReadonlyArray<{ readonly name: string; readonly runs: ReadonlyArray<RunCurve> }>
): string => {
  const cell = (runs: ReadonlyArray<RunCurve>, metrics: ReadonlyArray<string>, digits: number): string => {
    const values = runs.flatMap(({ records }) => endOf(records, metrics) ?? [])
    if (values.length === 0) return "–"
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const spread = metrics.includes("val/em") && values.length > 1
      ? ` (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`
      : ""
    return `${mean.toFixed(digits)}${spread}`
  }
  const steps = (runs: ReadonlyArray<RunCurve>): string =>
    [...new Set(runs.map(({ records }) => records.at(-1)?.step ?? 0))].join(", ")
  const collapses = (runs: ReadonlyArray<RunCurve>): string => {
    const count = runs.filter(collapsed).length
    return count === 0 ? "no" : runs.length === 1 ? "yes" : `${count} of ${runs.length}`
  }
  const heading = ["", "steps", ...columns.map(([name]) => name), "collapse"]
  const rows = groups.map(({ name, runs }) => [
    name,
    steps(runs),
    ...columns.map(([, metrics, digits]) => cell(runs, metrics, digits)),
    collapses(runs)
  ])
  const line = (cells: ReadonlyArray<string>) => `| ${cells.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`
  return [line(heading), line(heading.map(() => "---")), ...rows.map(line), ""].join("\n")
}
