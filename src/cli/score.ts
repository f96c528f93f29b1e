/**
 * `search-r1 score`: grades recorded trajectories.
 *
 * @since 0.1.0
 */
import { Console, Effect, Option, Ref, Schema, Stdio, Stream } from "effect"
import { Argument, CliError, Command } from "effect/cli"
import { plural } from "../domain/Plural.ts"
import * as Presets from "../domain/Presets.ts"
import * as Recording from "../domain/Recording.ts"
import * as ScoreSummary from "../domain/ScoreSummary.ts"
import * as RecordFile from "../layers/recordFile.ts"
import * as TextFile from "../layers/textFile.ts"
import * as Score from "../programs/Score.ts"
import * as Flag from "./flag.ts"
import { withLines } from "./lineWriter.ts"
import * as Outputs from "./outputs.ts"
import * as PathKind from "./pathKind.ts"
import { progress } from "./progress.ts"
import { type Column, table } from "./table.ts"
import * as TextWidth from "./textWidth.ts"
import { userError } from "./userError.ts"

const sourceOf = (
  file: string,
  dataSource: Option.Option<string>
): Score.Source<TextFile.FileUnreadable, Stdio.Stdio> => {
  const name = file.split(/[/\\]/).at(-1) ?? file
  const stem = name.replace(/\.(?:jsonl?|ndjson|log|txt|parquet)?(?:\.gz)?$/, "")
  return file === "-"
    ? {
      path: "standard input",
      dataSource: Option.getOrElse(dataSource, () => "stdin"),
      text: Stream.unwrap(Stdio.Stdio.useSync((stdio) => stdio.stdin)).pipe(
        Stream.mapError((error) => new TextFile.FileUnreadable({ path: "standard input", reason: error.message })),
        TextFile.decode("standard input")
      )
    }
    : {
      path: file,
      dataSource: Option.getOrElse(dataSource, () => stem || name),
      text: RecordFile.text(file, Recording.columns)
    }
}

const encodeItem = Schema.encodeEffect(Schema.fromJsonString(ScoreSummary.Item))

const rounded = (value: number): string => value.toFixed(3)

const columns: ReadonlyArray<Column> = [
  { heading: "data source" },
  ...["n", "EM", "sub-EM", "F1", "valid format", "has answer", "searches/question", "forged"].map((heading) => ({
    heading,
    align: "right" as const
  }))
]

const row = (name: string, summary: ScoreSummary.Summary): ReadonlyArray<string> => [
  name,
  String(summary.n),
  rounded(summary.em),
  rounded(summary.subEm),
  rounded(summary.f1),
  rounded(summary.validFormat),
  rounded(summary.hasAnswer),
  summary.searchesPerQuestion.toFixed(2),
  String(summary.forgedObservations)
]

const show = ({ dataSources, macroAverage, total }: ScoreSummary.Report, width: number | undefined): string => {
  const sources = Object.entries(dataSources)
  return table(
    columns,
    [
      ...sources.map(([name, summary]) => row(name, summary)),
      ...(sources.length > 1
        ? [[
          "average of the above",
          "",
          rounded(macroAverage.em),
          rounded(macroAverage.subEm),
          rounded(macroAverage.f1)
        ]]
        : []),
      row("total", total)
    ],
    width
  )
}

const encodeReport = Schema.encodeEffect(Schema.fromJsonString(Schema.Struct({
  preset: Presets.CompatName,
  total: ScoreSummary.Summary,
  macroAverage: ScoreSummary.MacroAverage,
  dataSources: Schema.Record(Schema.String, ScoreSummary.Summary),
  skipped: Schema.Natural
})))

/** At most so many skipped records are named one by one. */
const namedSkips = 10

/**
 * @category commands
 * @since 0.1.0
 */
export const score = Command.make("score", {
  files: Argument.String("file").pipe(
    Argument.withDescription(
      "Recorded trajectories: JSON lines, one JSON array or a training log, also .gz, or Parquet; - reads standard input"
    ),
    Argument.variadic({ min: 1 })
  ),
  preset: Flag.Literals("preset", ["fixed", "reference"]).pipe(
    Flag.withDescription(
      "fixed grades what the policy wrote; reference does what Search-R1's code does, prompt and documents included"
    ),
    Flag.withDefault("fixed")
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print one JSON object: {\"total\",\"macroAverage\",\"dataSources\",…}"),
    Flag.withDefault(false)
  ),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("items.jsonl"),
    Flag.withDescription("Write the grade of each trajectory to this file, one JSON object a line"),
    Flag.optional
  ),
  dataSource: Flag.String("data-source").pipe(
    Flag.withDescription("Data source of records that name none; the default is the file's name"),
    Flag.optional
  ),
  skipBad: Flag.Boolean("skip-bad").pipe(
    Flag.withDescription("Count records that cannot be graded and go on, instead of ending with an error"),
    Flag.withDefault(false)
  )
}, (input) =>
  Effect.gen(function*() {
    const out = yield* Outputs.claimOut(input.out, Outputs.files(input.files))
    const { advance } = yield* progress({ unit: "trajectory", units: "trajectories" })
    const skips = yield* Ref.make(0)
    const sources = input.files.map((file) => sourceOf(file, input.dataSource))
    const { report, skipped } = yield* withLines(out, (write) =>
      Score.run(sources, {
        scopes: Presets.compat[input.preset],
        skipBad: input.skipBad,
        onItems: Effect.fnUntraced(function*(items) {
          if (out !== undefined) yield* write(yield* Effect.forEach(items, (item) => Effect.orDie(encodeItem(item))))
          yield* advance(items.length)
        }),
        onSkipped: (error) =>
          Effect.flatMap(
            Ref.updateAndGet(skips, (n) => n + 1),
            (n) =>
              n <= namedSkips
                ? Console.error(`skipped ${error.message}`)
                : n === namedSkips + 1
                ? Console.error("further records are skipped without a word")
                : Effect.void
          )
      }).pipe(
        Effect.filterOrFail(
          ({ report }) => report.total.n > 0,
          ({ skipped }) =>
            userError(
              `${input.files.join(", ")}: ${
                skipped === 0 ? "no records to score" : `none of ${plural(skipped, "record")} can be scored`
              }`
            )
        )
      ))
    if (skipped > 0) yield* Console.error(`${skipped} of ${plural(skipped + report.total.n, "record")} skipped`)
    yield* input.json
      ? Effect.flatMap(encodeReport({ preset: input.preset, ...report, skipped }), Console.log)
      : Console.log(show(report, yield* TextWidth.available))
  }).pipe(
    Effect.scoped,
    Effect.catchIf(
      (error) => !CliError.isCliError(error),
      (error) =>
        Effect.fail(
          userError(
            error,
            error._tag === "RecordInvalid" ? "With --skip-bad such records are counted and left out." : undefined
          )
        )
    ),
    PathKind.explain(input.files.flatMap((path) => PathKind.given("rollouts", path)), {})
  )).pipe(
    Command.withDescription(
      "Grade recorded trajectories: {id, question, golden_answers, response, prompt?, data_source?}, logs of Search-R1 evaluations on FlashRAG, samples that Search-R1's training prints, or trajectories of this program. In a response, an <information> block behind a complete <search> is the environment's; any other is forged and counts as the policy's text."
    ),
    Command.withShortDescription("Grade recorded trajectories"),
    Command.withExamples([
      { command: "search-r1 score responses.jsonl", description: "Print a table with a row for each data source" },
      {
        command: "search-r1 score nq.jsonl.gz hotpotqa.jsonl.gz --json --out items.jsonl",
        description: "Print JSON and keep the grade of each trajectory"
      },
      {
        command: "search-r1 score responses.jsonl --preset reference",
        description: "Grade as Search-R1's own code does"
      }
    ])
  )
