/**
 * `search-r1 data`: prepares training records.
 *
 * @since 0.1.0
 */
import { Console, Effect, Option, Schema, Stream } from "effect"
import { Argument, CliError, Command } from "effect/cli"
import { plural } from "../domain/Plural.ts"
import { ReferenceRecord } from "../domain/QuestionRecord.ts"
import * as QuestionsFile from "../layers/questions/QuestionsFile.ts"
import * as PrepareData from "../programs/PrepareData.ts"
import * as Flag from "./flag.ts"
import { withLines } from "./lineWriter.ts"
import * as Outputs from "./outputs.ts"
import * as PathKind from "./pathKind.ts"
import { progress } from "./progress.ts"
import { retrieverFlags, retrieverLayer, retrieverReads } from "./retrieverFlags.ts"
import { userError } from "./userError.ts"

const encodeLine = Schema.encodeEffect(Schema.fromJsonString(ReferenceRecord))

/** Records that are written at once. */
const linesPerWrite = 256

/**
 * @category commands
 * @since 0.1.0
 */
export const data = Command.make("data", {
  files: Argument.String("file").pipe(
    Argument.withDescription(
      "Questions: JSON lines or an array of {\"id\",\"question\",\"golden_answers\"}, also .gz, or Parquet; several are joined"
    ),
    Argument.variadic({ min: 1 })
  ),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Write the records here, one JSON object a line")
  ),
  template: Flag.Literals("template", ["search", "r1", "rag"]).pipe(
    Flag.withDescription(
      "The prompt: with search, reasoning without search, or passages up front (needs a retriever)"
    ),
    Flag.withDefault("search")
  ),
  split: Flag.String("split").pipe(
    Flag.withDescription("Name of the split, for extra_info"),
    Flag.withDefault("train")
  ),
  dataSource: Flag.String("data-source").pipe(
    Flag.withDescription("Data source of questions that name none; the default is the file's or folder's name"),
    Flag.optional
  ),
  only: Flag.String("only").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("Keep questions of this data source; may be given several times (default all)"),
    Flag.between(0, 100)
  ),
  sample: Flag.Int("sample").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(0))),
    Flag.withDescription("Keep so many questions, drawn with --seed (default all)"),
    Flag.optional
  ),
  seed: Flag.String("seed").pipe(Flag.withDescription("Seed of --sample"), Flag.withDefault("42")),
  topK: Flag.Int("top-k").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 }))),
    Flag.withDescription("Passages in a rag prompt"),
    Flag.withDefault(3)
  ),
  ...retrieverFlags
}, (input) =>
  Effect.gen(function*() {
    const records = input.template === "rag"
      ? PrepareData.ragRecords({ split: input.split, topK: input.topK, concurrency: 16 }).pipe(
        Stream.provide(retrieverLayer(input))
      )
      : PrepareData.records({ template: input.template, split: input.split })
    const out = yield* Outputs.claimOut(Option.some(input.out), [
      ...Outputs.files(input.files),
      ...retrieverReads(input)
    ])
    const { advance } = yield* progress({ unit: "record" })
    const count = yield* withLines(out, (write) =>
      records.pipe(
        Stream.provide(QuestionsFile.layer({
          paths: input.files,
          dataSource: Option.getOrUndefined(input.dataSource),
          dataSources: input.only.length === 0 ? undefined : input.only,
          sample: Option.getOrUndefined(input.sample),
          seed: input.seed
        })),
        Stream.mapEffect((record) => encodeLine(record)),
        Stream.grouped(linesPerWrite),
        Stream.mapEffect((lines) => Effect.as(Effect.andThen(write(lines), advance(lines.length)), lines.length)),
        Stream.runFold(() => 0, (sum, lines) => sum + lines)
      ))
    yield* Console.log(`${plural(count, "record")} in ${input.out}`)
  }).pipe(
    Effect.scoped,
    Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error))),
    PathKind.explain(input.files.flatMap((path) => PathKind.given("questions", path)), PathKind.searching)
  )).pipe(
    Command.withDescription(
      "Prepare training records in the reference's form: the prompt rendered from a template, the golden answers as ground truth, and an index that is unique over all files."
    ),
    Command.withShortDescription("Prepare training records in the reference's form"),
    Command.withExamples([
      {
        command: "search-r1 data nq/train.jsonl hotpotqa/train.jsonl --out train.jsonl",
        description: "Join two data sets as the reference's merge script does"
      },
      {
        command: "search-r1 data nq/test.jsonl --template rag --corpus corpus.jsonl --split test --out rag.jsonl",
        description: "Put the first three passages into each prompt"
      }
    ])
  )
