/**
 * `search-r1 index`: builds, describes, checks and measures indexes.
 *
 * @since 0.1.0
 */
import { Clock, Console, Effect, Exit, FileSystem, Option, Schema, Terminal } from "effect"
import { Argument, CliError, Command, Flag, TerminalCapabilities } from "effect/cli"
import * as QuestionsFile from "../layers/questions/QuestionsFile.ts"
import * as CorpusFile from "../layers/retriever/CorpusFile.ts"
import * as RetrieverBm25 from "../layers/retriever/RetrieverBm25.ts"
import * as RetrievalBenchmark from "../programs/RetrievalBenchmark.ts"
import { indexInstall } from "./indexInstall.ts"
import { retrieverFlags, retrieverLayer } from "./retrieverFlags.ts"
import { table } from "./table.ts"
import { userError } from "./userError.ts"

const friendly = Effect.mapError((error: Error) => CliError.isCliError(error) ? error : userError(error))

const count = (value: number): string => Math.round(value).toLocaleString("en-US")

const size = (bytes: number): string =>
  bytes < 1e6
    ? `${(bytes / 1e3).toFixed(1)} kB`
    : bytes < 1e9
    ? `${(bytes / 1e6).toFixed(1)} MB`
    : `${(bytes / 1e9).toFixed(2)} GB`

/** Shows how far a build is, ten times a second on a terminal and every 100,000 passages in a log. */
const progress = Effect.gen(function*() {
  const terminal = yield* Terminal.Terminal
  const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
  const started = yield* Clock.currentTimeMillis
  let shown = started
  let logged = 0
  return (documents: number) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const rate = count(documents / Math.max(0.001, (now - started) / 1000))
      if (canAnimate && now - shown >= 100) {
        shown = now
        return Effect.ignore(terminal.display(`\r${count(documents)} passages indexed, ${rate} a second `))
      }
      if (!canAnimate && documents - logged >= 100_000) {
        logged = documents
        return Effect.logInfo(`${count(documents)} passages indexed, ${rate} a second`)
      }
      return Effect.void
    })
})

const toJson = (value: unknown): string => JSON.stringify(value)

const json = Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object"), Flag.withDefault(false))
const file = Argument.String("index").pipe(Argument.withDescription("The index file"))

const fraction = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const positive = Schema.Finite.check(Schema.isGreaterThan(0))

const build = Command.make("build", {
  corpus: Argument.String("corpus").pipe(
    Argument.withDescription(
      "JSON lines, plain or .gz, {\"id\",\"contents\"} or {\"id\",\"title\",\"text\"}; or .parquet"
    )
  ),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Where the index goes (default: the corpus' name with .idx)"),
    Flag.optional
  ),
  k1: Flag.Finite("k1").pipe(
    Flag.withSchema(positive),
    Flag.withDescription("BM25: what repeated words are worth"),
    Flag.withDefault(RetrieverBm25.defaultParameters.k1)
  ),
  b: Flag.Finite("b").pipe(
    Flag.withSchema(fraction),
    Flag.withDescription("BM25: how much length counts against a passage"),
    Flag.withDefault(RetrieverBm25.defaultParameters.b)
  ),
  titleWeight: Flag.Int("title-weight").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 }))),
    Flag.withDescription("How many times the words of a title count"),
    Flag.withDefault(RetrieverBm25.defaultParameters.titleWeight)
  ),
  lucene: Flag.Boolean("lucene").pipe(
    Flag.withDescription("Score exactly as Lucene and Pyserini do: title weight 1, lengths rounded"),
    Flag.withDefault(false)
  )
}, (input) =>
  Effect.gen(function*() {
    const path = Option.getOrElse(input.out, () => `${input.corpus.replace(/\.(jsonl|json|parquet)(\.gz)?$/i, "")}.idx`)
    const started = yield* Clock.currentTimeMillis
    const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
    const description = yield* RetrieverBm25.build(CorpusFile.batches(input.corpus), path, {
      parameters: {
        k1: input.k1,
        b: input.b,
        titleWeight: input.lucene ? 1 : input.titleWeight,
        roundLengths: input.lucene
      },
      onProgress: yield* progress
    }).pipe(Effect.onExit((exit) => canAnimate && Exit.isFailure(exit) ? Console.log("") : Effect.void))
    const seconds = ((yield* Clock.currentTimeMillis) - started) / 1000
    const { size: bytes } = yield* (yield* FileSystem.FileSystem).stat(path)
    yield* Console.log(
      `${canAnimate ? "\r" : ""}${path}: ${count(description.documents)} passages, ${count(description.terms)} terms, ${
        count(description.postings)
      } postings, ${size(Number(bytes))}, built in ${seconds.toFixed(1)} s`
    )
  }).pipe(friendly)).pipe(
    Command.withDescription(
      "Build a BM25 index from a corpus. An existing index is replaced when the new one is whole."
    ),
    Command.withShortDescription("Build an index from a corpus"),
    Command.withExamples([
      { command: "search-r1 index build wiki-18.jsonl.gz --out wiki-18.idx", description: "Index a corpus" }
    ])
  )

const info = Command.make("info", { file, json }, (input) =>
  Effect.scoped(Effect.gen(function*() {
    const { description } = yield* RetrieverBm25.open(input.file, { documentBytesInMemory: 0 })
    const { b, k1, roundLengths, titleWeight } = description.parameters
    const sections = Object.entries(description.sections)
    if (input.json) return yield* Console.log(toJson(description))
    const average = description.documents === 0 ? 0 : description.tokens / description.documents
    yield* Console.log([
      `${input.file}: BM25, format ${description.format}, analyzer ${description.analyzer}`,
      `k1 ${k1}, b ${b}, title weight ${titleWeight}, lengths ${roundLengths ? "rounded as Lucene's" : "exact"}`,
      `${count(description.documents)} passages of ${average.toFixed(1)} words, ${count(description.terms)} terms, ${
        count(description.postings)
      } postings`,
      table(
        [{ heading: "part" }, { heading: "size", align: "right" }],
        sections.map(([name, section]) => [name, size(section.bytes)])
      )
    ].join("\n"))
  })).pipe(friendly)).pipe(
    Command.withDescription("Say what an index holds."),
    Command.withExamples([{ command: "search-r1 index info wiki-18.idx", description: "Describe an index" }])
  )

const verify = Command.make("verify", { file }, (input) =>
  Effect.scoped(Effect.gen(function*() {
    const { description, verify } = yield* RetrieverBm25.open(input.file, { documentBytesInMemory: 0 })
    yield* verify
    yield* Console.log(
      `${input.file}: all ${count(description.documents)} passages and the index are as they were written`
    )
  })).pipe(friendly)).pipe(
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
    if (input.json) return yield* Console.log(toJson({ questions: queries.length, speeds, quality }))
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
      ])
    ))
    yield* Console.log(
      quality.questions === 0
        ? `${count(queries.length)} questions, none with known gold passages`
        : `${count(queries.length)} questions; of ${
          count(quality.questions)
        } with known gold passages, recall@${input.topK} ${quality.recall.toFixed(3)}, all-gold@${input.topK} ${
          quality.allGold.toFixed(3)
        }`
    )
  }).pipe(friendly, Effect.provide(retrieverLayer({ ...input, cache: "off" })))).pipe(
    Command.withDescription(
      "Measure queries a second, latency, recall and the share of questions with all gold passages found."
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
  Command.withSubcommands([build, info, verify, bench, indexInstall])
)
