/**
 * What a set of rollouts comes to, for people and as JSON.
 *
 * @since 0.1.0
 */
import * as Metrics from "../domain/Metrics.ts"
import type { Failed, ScoredTrajectory } from "../domain/Outcome.ts"
import { plural } from "../domain/Plural.ts"
import type { RolloutError } from "../programs/Rollout.ts"
import { oneLine, type Style } from "./style.ts"
import { table } from "./table.ts"
import { cut } from "./textWidth.ts"
import { prediction } from "./trajectoryView.ts"

/**
 * A row a question, at most `limit`: how many of its rollouts were right, what the first one answered.
 *
 * @category formatting
 * @since 0.1.0
 */
export const questionTable = (
  scored: ReadonlyArray<ScoredTrajectory>,
  failures: ReadonlyArray<Failed<RolloutError>>,
  style: Style,
  width?: number,
  limit = 30
): string => {
  const keys = [...new Set([...scored.map((one) => one.trajectory.promptKey), ...failures.map((one) => one.promptKey)])]
  const rows = keys.slice(0, limit).map((key) => {
    const own = scored.filter((one) => one.trajectory.promptKey === key)
    const failed = failures.filter((one) => one.promptKey === key)
    const first = own[0]?.trajectory
    const mean = (value: (one: ScoredTrajectory) => number) =>
      own.length === 0 ? 0 : own.reduce((sum, one) => sum + value(one), 0) / own.length
    const reward = mean((one) => one.reward)
    const said = first === undefined ? null : prediction(first)
    return [
      cut(oneLine(first?.question.question ?? failed[0]?.questionId ?? key), 60),
      own.length === 0 ? style.bad(failed[0]?.error._tag ?? "failed") : cut(oneLine(said ?? "(no answer)"), 28),
      cut(oneLine(first?.question.goldenAnswers[0] ?? ""), 24),
      own.length === 0 ? "" : (reward > 0.5 ? style.good : style.bad)(reward.toFixed(2)),
      own.length === 0 ? "" : mean((one) => one.trajectory.counts.executedSearches).toFixed(1),
      failed.length === 0 ? "" : String(failed.length)
    ]
  })
  const more = keys.length > limit ? `\n… and ${plural(keys.length - limit, "more question")}` : ""
  return table(
    [
      { heading: "question" },
      { heading: "first answer" },
      { heading: "gold" },
      { heading: "reward", align: "right" },
      { heading: "searches", align: "right" },
      { heading: "failed", align: "right" }
    ],
    rows,
    width
  ) + more
}

/**
 * The means of all rollouts in a line or two.
 *
 * @category formatting
 * @since 0.1.0
 */
export const totals = (
  scored: ReadonlyArray<ScoredTrajectory>,
  failures: ReadonlyArray<Failed<RolloutError>>
): string => {
  const metrics = Metrics.rollouts(scored, failures)
  const number = (name: string, digits = 2) => (metrics[name] ?? 0).toFixed(digits)
  const reasons = Object.entries(metrics).filter(([name]) => name.startsWith("rollout/failed/"))
    .map(([name, count]) => `${count} ${name.slice("rollout/failed/".length)}`)
  return [
    `${plural(scored.length, "rollout")} completed, ${failures.length} failed${
      reasons.length === 0 ? "" : ` (${reasons.join(", ")})`
    }`,
    ...(scored.length === 0 ? [] : [
      `reward ${number("reward/total/mean", 3)} · searches ${number("env/number_of_valid_search")} · valid actions ${
        number("env/ratio_of_valid_action")
      } · answered ${number("env/finish_ratio")} · trained share of response tokens ${number("state_tokens/coverage")}`
    ])
  ].join("\n")
}
