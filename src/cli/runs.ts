/**
 * `search-r1 runs`: lists, shows, compares and exports runs.
 *
 * @since 0.1.0
 */
import { Console, Effect, FileSystem, Path } from "effect"
import { Argument, Command } from "effect/cli"
import * as CheckpointsFileSystem from "../layers/checkpoints/CheckpointsFileSystem.ts"
import { Checkpoints } from "../services/Checkpoints.ts"
import * as Flag from "./flag.ts"
import { runExport } from "./runExport.ts"
import * as RunsJson from "./runsJson.ts"
import { runsPlot } from "./runsPlot.ts"
import * as RunSummary from "./runSummary.ts"
import { comparison, listTable, runView } from "./runsView.ts"
import { style as terminalStyle } from "./style.ts"
import * as TextWidth from "./textWidth.ts"
import { userError } from "./userError.ts"

const base = Flag.String("runs").pipe(
  Flag.withMetavar("DIR"),
  Flag.withDescription("Where the runs' directories are"),
  Flag.withDefault("runs")
)

const json = (description: string) =>
  Flag.Boolean("json").pipe(Flag.withDescription(description), Flag.withDefault(false))

/** The runs in a directory, in the order of their names, which begin with their time. */
const all = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const names = yield* Effect.orElseSucceed(fs.readDirectory(directory), (): ReadonlyArray<string> => [])
  const found: Array<RunSummary.RunSummary> = []
  for (const name of [...names].sort()) {
    const run = path.join(directory, name)
    if (!(yield* Effect.orElseSucceed(fs.exists(path.join(run, "config.json")), () => false))) continue
    const summary = yield* Effect.catch(
      RunSummary.read(run),
      (error) => Effect.as(Console.error(`left out: ${error.userMessage ?? error.message}`), undefined)
    )
    if (summary !== undefined) found.push(summary)
  }
  return found
})

const show = Command.make("show", {
  run: Argument.String("run").pipe(Argument.withDescription("The run's directory")),
  json: json("Print one JSON object: settings, metrics of the last step, evaluations and checkpoints")
}, (input) =>
  Effect.gen(function*() {
    const run = yield* RunSummary.read(input.run)
    const checkpoints = yield* Checkpoints.use(({ list }) => list).pipe(
      Effect.provide(CheckpointsFileSystem.layer(run.folder.checkpoints)),
      Effect.mapError((error) => userError(error))
    )
    yield* Console.log(
      input.json
        ? yield* RunsJson.show(run, checkpoints)
        : runView(run, checkpoints, yield* terminalStyle, yield* TextWidth.available)
    )
  })).pipe(
    Command.withDescription("Show a run: its settings, the metrics of its last step, its evaluations and checkpoints."),
    Command.withShortDescription("Show a run"),
    Command.withExamples([
      { command: "search-r1 runs show runs/20260101-120000-start", description: "Show a run" }
    ])
  )

const compare = Command.make("compare", {
  runs: Argument.String("run").pipe(
    Argument.withDescription("The runs' directories"),
    Argument.variadic({ min: 2 })
  ),
  json: json("Print one JSON array with an object a run, as \"search-r1 runs --json\"")
}, (input) =>
  Effect.gen(function*() {
    const found = yield* Effect.forEach(input.runs, (run) => RunSummary.read(run))
    yield* Console.log(input.json ? yield* RunsJson.list(found) : comparison(found, yield* TextWidth.available))
  })).pipe(
    Command.withDescription("Set the last metrics and evaluations of runs side by side."),
    Command.withShortDescription("Compare runs"),
    Command.withExamples([
      {
        command: "search-r1 runs compare runs/20260101-120000-grpo runs/20260101-130000-ppo",
        description: "Two algorithms"
      },
      { command: "search-r1 runs compare runs/*", description: "All runs" }
    ])
  )

/**
 * @category commands
 * @since 0.1.0
 */
export const runs = Command.make("runs", {
  runs: base,
  json: json("Print one JSON array with an object a run")
}, (input) =>
  Effect.gen(function*() {
    const found = yield* all(input.runs)
    if (found.length === 0) {
      return yield* userError(
        `${input.runs}: there are no runs here.`,
        "Name another directory with --runs DIR, or make a run with \"search-r1 start\"."
      )
    }
    yield* Console.log(input.json ? yield* RunsJson.list(found) : listTable(found, yield* TextWidth.available))
  })).pipe(
    Command.withDescription(
      "List the runs in a directory; show or compare them, or save what one has learned as a model."
    ),
    Command.withShortDescription("List, show, compare, draw and export runs"),
    Command.withExamples([
      { command: "search-r1 runs", description: "List the runs in ./runs" },
      { command: "search-r1 runs --runs experiments", description: "List those in another directory" },
      { command: "search-r1 runs show runs/20260101-120000-start", description: "Show one" }
    ]),
    Command.withSubcommands([show, compare, runsPlot, runExport])
  )
