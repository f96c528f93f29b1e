/**
 * `search-r1 runs plot`: curves of runs as SVG, with a table.
 *
 * @since 0.1.0
 */
import { Console, Effect, Path } from "effect"
import { Argument, Command } from "effect/cli"
import { plural } from "../domain/Plural.ts"
import * as AtomicFile from "../layers/atomicFile.ts"
import * as Flag from "./flag.ts"
import * as Outputs from "./outputs.ts"
import * as RunCurves from "./runCurves.ts"
import * as RunFolder from "./runFolder.ts"
import { userError } from "./userError.ts"

/**
 * @category commands
 * @since 0.1.0
 */
export const runsPlot = Command.make("plot", {
  runs: Argument.String("run").pipe(
    Argument.withDescription("The runs' directories; NAME=DIR names one in the legend"),
    Argument.variadic({ min: 1 })
  ),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("The SVG file to write")
  ),
  metric: Flag.String("metric").pipe(
    Flag.withAlias("m"),
    Flag.withMetavar("NAME"),
    Flag.withDescription(
      `A metric to draw, as "search-r1 runs show" lists them; may be repeated (default ${
        RunCurves.defaultMetrics.join(", ")
      })`
    ),
    Flag.atLeast(0)
  ),
  title: Flag.String("title").pipe(Flag.withDescription("What stands above the curves"), Flag.withDefault("Runs"))
}, (input) =>
  Effect.gen(function*() {
    const { basename, resolve } = yield* Path.Path
    const named = input.runs.map((argument) => {
      const [, name, directory] = /^([^/\\=]+)=(.+)$/.exec(argument) ?? []
      return { directory: directory ?? argument, name: name ?? basename(resolve(argument)) }
    })
    const folders = yield* Effect.forEach(named, ({ directory }) => RunFolder.at(directory))
    const out = yield* Outputs.claimOne(
      { flag: "--out", path: input.out, kind: "file" },
      folders.flatMap(Outputs.run)
    )
    const runs = yield* Effect.forEach(named, ({ directory, name }) => RunCurves.read(directory, name))
    const metrics = input.metric.length === 0 ? RunCurves.defaultMetrics : input.metric
    const missing = metrics.find((metric) =>
      runs.every(({ records }) => records.every((record) => record.metrics[metric] === undefined))
    )
    if (missing !== undefined && input.metric.length > 0) {
      const names = [
        ...new Set(runs.flatMap(({ records }) => records.flatMap((record) => Object.keys(record.metrics))))
      ]
      return yield* userError(`none of the runs has the metric ${missing}`, `There are ${names.sort().join(", ")}.`)
    }
    yield* AtomicFile.writeString(out, RunCurves.chart(runs, metrics, input.title)).pipe(
      Effect.mapError((error) => userError(error))
    )
    yield* Console.log(RunCurves.markdown(runs.map((run) => ({ name: run.name, runs: [run] }))))
    yield* Console.log(`${input.out}: ${plural(metrics.length, "panel")} of ${plural(runs.length, "run")}`)
  })).pipe(
    Command.withDescription(
      "Draw the curves of runs as an SVG file, and print their last figures as a Markdown table."
    ),
    Command.withShortDescription("Draw curves of runs"),
    Command.withExamples([
      {
        command: "search-r1 runs plot grpo=runs/20260101-120000-grpo ppo=runs/20260101-130000-ppo --out curves.svg",
        description: "Two algorithms, named"
      },
      {
        command: "search-r1 runs plot runs/* --out kl.svg --metric actor/kl_loss --metric actor/grad_norm",
        description: "Other metrics of all runs"
      }
    ])
  )
