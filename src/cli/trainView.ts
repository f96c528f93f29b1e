/**
 * What a person sees of a training run.
 *
 * @since 0.1.0
 */
import * as StepAdvice from "../domain/StepAdvice.ts"
import type { Evaluation } from "../programs/Evaluate.ts"
import type { StepReport } from "../programs/Train.ts"
import { time } from "./progress.ts"
import { hopName } from "./runsView.ts"
import type { Style } from "./style.ts"

const short = (value: number | undefined, digits = 2): string =>
  value === undefined ? "–" : value.toFixed(digits).replace(/^(-?)0\./, "$1.")

/** Metrics that answer how questions of so many hops went; there are none where nothing tells the hops. */
const HOPS = "answer/em_hops/"

const failures = ({ failures, retries }: StepReport, style: Style): string => {
  const texts = Object.entries(failures).map(([name, count]) => `${count} ${name}`)
  return [
    ...(retries === 0 ? [] : [`searches tried again: ${retries}`]),
    ...(texts.length === 0 ? [] : [`failed rollouts: ${texts.join(", ")}`])
  ].map((text) => style.bad(`  ${text}`)).join("")
}

/**
 * Greedy scores in a few words: exact match in all, by data sources where there are several, and by hops; searches a
 * question.
 *
 * @category formatting
 * @since 0.1.0
 */
export const evaluationText = ({ dataSources, failed, hops, total }: Evaluation): string => {
  const bySource = Object.entries(dataSources).map(([source, scores]) => `${source} ${short(scores.em)}`)
  const byHops = Object.entries(hops).map(([hop, scores]) => `${hopName(hop)} ${short(scores.em)}`)
  return [
    `EM ${short(total.em)} of ${total.n}`,
    ...(bySource.length < 2 ? [] : [`(${bySource.join(", ")})`]),
    ...(byHops.length === 0 ? [] : [`(${byHops.join(", ")})`]),
    `searches ${short(total.searches)}`,
    ...(failed === 0 ? [] : [`failed ${failed}`])
  ].join("  ")
}

/**
 * One step in a line, its evaluation in a second one. `rate` is steps a second so far, for the time that is left.
 *
 * @category formatting
 * @since 0.1.0
 */
export const stepText = (report: StepReport, secondsPerStep: number, style: Style): string => {
  const evaluation = report.evaluation === null
    ? []
    : [style.good(`      evaluation  ${evaluationText(report.evaluation)}`)]
  if (report.step === 0) return evaluation.join("\n")
  const { metrics } = report
  const rate = report.seconds.rollout === 0
    ? "–"
    : ((metrics["state_tokens/total"] ?? 0) / report.seconds.rollout).toFixed(0)
  const hops = Object.keys(metrics).filter((name) => name.startsWith(HOPS)).sort()
  const byHops = hops.length === 0
    ? ""
    : ` (${hops.map((name) => `${hopName(name.slice(HOPS.length))} ${short(metrics[name])}`).join(", ")})`
  const facts = [
    `reward ${short(metrics["reward/total/mean"])}`,
    `EM ${short(metrics["answer/em"])}${byHops}`,
    `searches ${short(metrics["env/number_of_valid_search"])}`,
    `valid ${short(metrics["env/ratio_of_valid_action"])}`,
    `length ${(metrics["response_length/mean"] ?? 0).toFixed(0)}`,
    `KL ${short(metrics["actor/kl_loss"] ?? metrics["critic/kl"], 4)}`,
    `entropy ${short(metrics["actor/entropy_loss"])}`,
    `${rate} tokens/s`,
    `left ${time(secondsPerStep * (report.steps - report.step))}`
  ]
  const line = `${
    style.heading(`step ${String(report.step).padStart(String(report.steps).length)}/${report.steps}`)
  }  ${facts.join("  ")}${failures(report, style)}`
  const advice = report.advice.map((one) => style.bad(`      ${StepAdvice.describe(one)}`))
  const stopped = report.stopped === null ? [] : [style.bad(`      stopped early: ${report.stopped}`)]
  return [line, ...advice, ...evaluation, ...stopped].join("\n")
}
