/**
 * Runs as a person reads them.
 *
 * @since 0.1.0
 */
import { plural } from "../domain/Plural.ts"
import type { CheckpointInfo } from "../services/Checkpoints.ts"
import { bestEm, lastEm, type RunSummary } from "./runSummary.ts"
import type { Style } from "./style.ts"
import { table } from "./table.ts"

const number = (value: number | undefined, digits = 2): string => value === undefined ? "–" : value.toFixed(digits)

const moment = (time: number | null): string =>
  time === null ? "–" : new Date(time).toISOString().slice(0, 16).replace("T", " ")

const right = (heading: string) => ({ heading, align: "right" as const })

const HOPS = "val/em_hops/"

const hopKeys = (metrics: ReadonlyArray<Readonly<Record<string, number>>>): ReadonlyArray<string> =>
  [...new Set(metrics.flatMap((one) => Object.keys(one)))].filter((key) => key.startsWith(HOPS)).sort()

/**
 * Questions of so many hops, in words.
 *
 * @category formatting
 * @since 0.2.0
 */
export const hopName = (hops: string): string => hops === "1" ? "1 hop" : `${hops} hops`

const REWARD = "reward/total/mean"

/**
 * One row a run. Times are in UTC.
 *
 * @category formatting
 * @since 0.1.0
 */
export const listTable = (runs: ReadonlyArray<RunSummary>, width?: number): string =>
  table(
    [
      { heading: "run" },
      { heading: "begun (UTC)" },
      { heading: "last sign (UTC)" },
      { heading: "algorithm" },
      ...["steps", "reward", "last EM", "best EM"].map(right),
      { heading: "state" }
    ],
    runs.map((run) => [
      run.name,
      moment(run.started),
      moment(run.lastSign),
      run.config.algorithm,
      `${run.step}/${run.config.steps}`,
      number(run.metrics[REWARD]),
      number(lastEm(run)),
      number(bestEm(run)),
      run.state
    ]),
    width
  )

const highlights = ({ config }: RunSummary): ReadonlyArray<readonly [string, string]> => [
  ["algorithm", config.algorithm],
  ["seed", String(config.seed)],
  ["model", config.model ?? "the one that ships with the package"],
  ["device", config.device],
  ["questions", config.questions.train ?? "–"],
  ["retriever", `${config.retriever.kind} ${config.retriever.url ?? config.retriever.corpus ?? ""}`.trimEnd()],
  [
    "rollouts",
    `${plural(config.rollout.prompts, "prompt")} × ${config.rollout.groupSize}, ${
      plural(config.rollout.maxTurns, "turn")
    }, ${plural(config.rollout.topK, "passage")} a search${config.rollout.doSearch ? "" : ", search off"}`
  ],
  ["reward", config.reward.kind],
  ["KL", config.kl.placement === "none" ? "none" : `${config.kl.coefficient} in the ${config.kl.placement}`],
  ["learning rate", String(config.optimizer.learningRate)]
]

const evaluationTable = ({ evaluations }: RunSummary, width: number | undefined): string => {
  const hops = hopKeys(evaluations.map(({ metrics }) => metrics))
  return table(
    ["step", "EM", ...hops.map((key) => hopName(key.slice(HOPS.length))), "searches"].map(right),
    evaluations.map(({ metrics, step }) => [
      String(step),
      number(metrics["val/em"]),
      ...hops.map((key) => number(metrics[key])),
      number(metrics["val/searches"])
    ]),
    width
  )
}

const significant = (value: number): string =>
  Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)))

/**
 * Everything that is known about one run.
 *
 * @category formatting
 * @since 0.1.0
 */
export const runView = (
  run: RunSummary,
  checkpoints: ReadonlyArray<CheckpointInfo>,
  style: Style,
  width?: number
): string => {
  const metrics = Object.entries(run.metrics).filter(([name]) => !name.startsWith("val/"))
  return [
    style.heading(run.folder.directory),
    `${run.state}, ${run.step} of ${plural(run.config.steps, "step")}, begun ${moment(run.started)}, last sign ${
      moment(run.lastSign)
    } (UTC)`,
    `checkpoints of steps ${checkpoints.map(({ step }) => step).join(", ") || "–"}`,
    "",
    table([{ heading: "setting" }, { heading: "value" }], highlights(run), width),
    ...(metrics.length === 0
      ? []
      : [
        "",
        table(
          [{ heading: `step ${run.step}` }, right("value")],
          metrics.map(([name, value]) => [name, significant(value)]),
          width
        )
      ]),
    ...(run.evaluations.length === 0 ? [] : ["", style.title("Evaluations"), evaluationTable(run, width)])
  ].join("\n")
}

/** What runs are compared by, of the metrics of their last step. */
const compared: ReadonlyArray<readonly [string, string]> = [
  ["reward", REWARD],
  ["searches", "env/number_of_valid_search"],
  ["valid actions", "env/ratio_of_valid_action"],
  ["response length", "response_length/mean"],
  ["KL (loss)", "actor/kl_loss"],
  ["KL (reward)", "critic/kl"],
  ["entropy", "actor/entropy_loss"],
  ["gradient norm", "actor/grad_norm"]
]

/**
 * Runs side by side: one column each.
 *
 * @category formatting
 * @since 0.1.0
 */
export const comparison = (runs: ReadonlyArray<RunSummary>, width?: number): string => {
  const row = (name: string, cell: (run: RunSummary) => string) => [name, ...runs.map(cell)]
  const hops = hopKeys(runs.map(({ evaluations }) => evaluations.at(-1)?.metrics ?? {}))
  return table(
    [{ heading: "" }, ...runs.map(({ name }) => right(name))],
    [
      row("algorithm", ({ config }) => config.algorithm),
      row("seed", ({ config }) => String(config.seed)),
      row("steps", ({ config, step }) => `${step}/${config.steps}`),
      row("state", ({ state }) => state),
      row("last EM", (run) => number(lastEm(run))),
      row("best EM", (run) => number(bestEm(run))),
      ...hops.map((key) =>
        row(`EM, ${hopName(key.slice(HOPS.length))}`, (run) => number(run.evaluations.at(-1)?.metrics[key]))
      ),
      ...compared
        .filter(([, key]) => runs.some(({ metrics }) => metrics[key] !== undefined))
        .map(([name, key]) => row(name, ({ metrics }) => number(metrics[key], 3)))
    ],
    width
  )
}
