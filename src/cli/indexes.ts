/**
 * `search-r1 index`: builds, describes, checks and measures indexes.
 *
 * @since 0.1.0
 */
import { Console, Effect, Option, Schema } from "effect"
import { Argument, Command } from "effect/cli"
import { plural } from "../domain/Plural.ts"
import { shellPath } from "../domain/ShellWord.ts"
import * as QuestionsFile from "../layers/questions/QuestionsFile.ts"
import * as RetrieverIndex from "../layers/retriever/RetrieverIndex.ts"
import * as RetrievalBenchmark from "../programs/RetrievalBenchmark.ts"
import * as Flag from "./flag.ts"
import { indexBuild } from "./indexBuild.ts"
import { indexInstall } from "./indexInstall.ts"
import { bytesOf, count, describeIndex, friendly, size } from "./indexView.ts"
import * as PathKind from "./pathKind.ts"
import { retrieverFlags, retrieverLayer } from "./retrieverFlags.ts"
import { table } from "./table.ts"
import * as TextWidth from "./textWidth.ts"
import { userError } from "./userError.ts"

const toJson = (value: unknown): string => JSON.stringify(value)

const json = Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object"), Flag.withDefault(false))
const file = Argument.String("index").pipe(
  Argument.withDescription("The index: a file, or the directory of one by LanceDB")
)

const ways: PathKind.Ways = {
  corpus: (path) => `"search-r1 index build ${shellPath(path)}" makes an index of it.`
}

const info = Command.make("info", { file, json }, (input) =>
  Effect.gen(function*() {
    const description = yield* RetrieverIndex.describe(input.file)
    yield* Console.log(input.json ? toJson(description) : describeIndex(input.file, description))
  }).pipe(friendly, PathKind.explain(PathKind.given("index", input.file), ways))).pipe(
    Command.withDescription("Say what an index holds."),
    Command.withExamples([{ command: "search-r1 index info wiki-18.idx", description: "Describe an index" }])
  )

const verify = Command.make("verify", { file }, (input) =>
  Effect.gen(function*() {
    const { documents } = yield* RetrieverIndex.verify(input.file)
    yield* Console.log(`${input.file}: all ${plural(documents, "passage")} and the index are as they were written`)
  }).pipe(friendly, PathKind.explain(PathKind.given("index", input.file), ways))).pipe(
    Command.withDescription("Read a whole index and compare its checksums; fails when a byte has changed."),
    Command.withShortDescription("Check an index"),
    Command.withExamples([{ command: "search-r1 index verify wiki-18.idx", description: "Check an index" }])
  )

const concurrencies: ReadonlyArray<number> = [1, 8, 64]

// a remembered answer would be measured as a search
const { cache: _, ...uncachedFlags } = retrieverFlags

const bench = Command.make("bench", {
  questions: Flag.String("questions").pipe(
    Flag.withAlias("q"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Questions as JSON lines, plain or .gz, or Parquet; metadata.gold_ids names their passages")
  ),
  topK: Flag.Int("top-k").pipe(
    Flag.withAlias("k"),
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 }))),
    Flag.withDescription("Passages for a question"),
    Flag.withDefault(3)
  ),
  json,
  ...uncachedFlags
}, (input) =>
  Effect.gen(function*() {
    const questions = yield* QuestionsFile.read(input.questions)
    const queries = questions.map(({ goldIds, question }) => ({ question, goldIds: goldIds ?? [] }))
    if (queries.length === 0) return yield* userError(`${input.questions} holds no question`)
    // the first pass is not counted: it warms the compiler up
    yield* RetrievalBenchmark.speed(queries, { concurrency: 1, topK: input.topK })
    const speeds = yield* Effect.forEach(
      concurrencies,
      (concurrency) => RetrievalBenchmark.speed(queries, { concurrency, topK: input.topK })
    )
    const quality = yield* RetrievalBenchmark.quality(queries, { topK: input.topK })
    const diskBytes = Option.isSome(input.index)
      ? bytesOf(yield* RetrieverIndex.describe(input.index.value))
      : undefined
    const residentBytes = process.memoryUsage().rss
    if (input.json) {
      return yield* Console.log(toJson({ questions: queries.length, speeds, quality, diskBytes, residentBytes }))
    }
    yield* Console.log(table(
      [
        { heading: "at once", align: "right" },
        { heading: "queries/s", align: "right" },
        { heading: "p50 ms", align: "right" },
        { heading: "p99 ms", align: "right" }
      ],
      speeds.map((speed) => [
        String(speed.concurrency),
        count(speed.queriesPerSecond),
        speed.p50.toFixed(2),
        speed.p99.toFixed(2)
      ]),
      yield* TextWidth.available
    ))
    yield* Console.log(
      quality.questions === 0
        ? `${plural(queries.length, "question")}, none with known gold passages`
        : `${plural(queries.length, "question")}; of ${
          count(quality.questions)
        } with known gold passages, recall@${input.topK} ${quality.recall.toFixed(3)}, all-gold@${input.topK} ${
          quality.allGold.toFixed(3)
        }`
    )
    yield* Console.log(
      `${diskBytes === undefined ? "" : `${size(diskBytes)} on disk, `}${size(residentBytes)} of memory in this process`
    )
  }).pipe(
    friendly,
    PathKind.explain(PathKind.given("questions", input.questions), PathKind.searching),
    Effect.provide(retrieverLayer({ ...input, cache: "off" }))
  )).pipe(
    Command.withDescription(
      "Measure queries a second, latency, memory, recall and the share of questions with all gold passages found."
    ),
    Command.withShortDescription("Measure a retriever"),
    Command.withExamples([
      {
        command: "search-r1 index bench --index wiki.idx --questions questions.jsonl",
        description: "Measure an index"
      },
      {
        command: "search-r1 index bench --remote http://127.0.0.1:8000 --questions questions.jsonl.gz",
        description: "Measure a server"
      }
    ])
  )

/**
 * @category commands
 * @since 0.1.0
 */
export const index = Command.make("index").pipe(
  Command.withDescription("Build, describe, check and measure search indexes."),
  Command.withShortDescription("Build and measure search indexes"),
  Command.withSubcommands([indexBuild, info, verify, bench, indexInstall])
)
