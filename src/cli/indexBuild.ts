/**
 * `search-r1 index build`: makes an index of a corpus.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import {
  Clock,
  Console,
  Context,
  Effect,
  Exit,
  type FileSystem,
  Layer,
  Option,
  Path,
  Schema,
  Stream,
  Terminal
} from "effect"
import { Argument, type CliError, Command, TerminalCapabilities } from "effect/cli"
import type { CorpusUnreadable } from "../domain/Corpus.ts"
import type { EmbedderSpec } from "../domain/EmbedderSpec.ts"
import { plural } from "../domain/Plural.ts"
import { shellPath } from "../domain/ShellWord.ts"
import * as EmbedderFromSpec from "../layers/embedder/EmbedderFromSpec.ts"
import * as CorpusFile from "../layers/retriever/CorpusFile.ts"
import { writeIndex } from "../layers/retriever/indexfile/write.ts"
import * as RetrieverBm25 from "../layers/retriever/RetrieverBm25.ts"
import type { Description } from "../layers/retriever/RetrieverIndex.ts"
import * as RetrieverLance from "../layers/retriever/RetrieverLance.ts"
import * as WriterLock from "../layers/writerLock.ts"
import { Embedder } from "../services/Embedder.ts"
import type { RetrieverError } from "../services/Retriever.ts"
import { embedderBatchFlag, embedderFlag } from "./embedderFlag.ts"
import * as Flag from "./flag.ts"
import { bytesOf, count, friendly, size } from "./indexView.ts"
import * as Outputs from "./outputs.ts"
import * as PathKind from "./pathKind.ts"
import * as Stopping from "./stopping.ts"
import { userError } from "./userError.ts"

/** Shows how far a build is, ten times a second on a terminal and every ten in a log, and what else a long one does. */
const progress = Effect.gen(function*() {
  const terminal = yield* Terminal.Terminal
  const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
  const started = yield* Clock.currentTimeMillis
  const pause = canAnimate ? 100 : 10_000
  let shown = started
  const onProgress = (documents: number) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const rate = count(documents / Math.max(0.001, (now - started) / 1000))
      if (now - shown < pause) return Effect.void
      shown = now
      const text = `${plural(documents, "passage")} indexed, ${rate} a second`
      return canAnimate ? Effect.ignore(terminal.display(`\r${text} `)) : Console.error(text)
    })
  const onStage = (stage: string) =>
    canAnimate
      ? Effect.ignore(terminal.display(`\r${stage.padEnd(60)}`))
      : shown > started
      ? Console.error(stage)
      : Effect.logDebug(stage)
  return { onProgress, onStage }
})

const fraction = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const positive = Schema.Finite.check(Schema.isGreaterThan(0))

/** The model of a directory is found from anywhere. */
const absolute = Effect.fnUntraced(function*(spec: EmbedderSpec) {
  const paths = yield* Path.Path
  return spec._tag === "transformers" && /^\.{0,2}\//.test(spec.model)
    ? { ...spec, model: paths.resolve(spec.model) }
    : spec
})

const embedderOf = Effect.fnUntraced(function*(given: Option.Option<EmbedderSpec>, batchSize: Option.Option<number>) {
  if (Option.isNone(given)) return undefined
  const spec = yield* absolute(given.value)
  const context = yield* Layer.build(
    EmbedderFromSpec.layer(spec, { batchSize: Option.getOrUndefined(batchSize) }).pipe(
      Layer.provide(NodeHttpClient.layerUndici)
    )
  )
  return { spec, embedder: Context.get(context, Embedder) }
})

/** An index of nothing would take the place of one of something. */
const expectPassages = <A, E, R>(corpus: string, batches: Stream.Stream<ReadonlyArray<A>, E, R>) => {
  let passages = 0
  return Stream.concat(
    Stream.tap(batches, (batch) => Effect.sync(() => void (passages += batch.length))),
    Stream.unwrap(Effect.sync(() =>
      passages > 0
        ? Stream.empty
        : Stream.fail(userError(`${corpus}: there are no passages in it`, "No index was made."))
    ))
  )
}

type BuildError =
  | CliError.UserError
  | CorpusUnreadable
  | RetrieverLance.IndexIo
  | RetrieverLance.EmbedderMismatch
  | RetrieverError
  | RetrieverLance.PackageUnavailable
  | WriterLock.InUse
  | WriterLock.LockUnavailable

/** Passages embedded in one call, and lost at most where an index by LanceDB is cut off. */
const embedAtOnce = 256

/**
 * @category commands
 * @since 0.1.0
 */
export const indexBuild = Command.make("build", {
  corpus: Argument.String("corpus").pipe(
    Argument.withDescription(
      "JSON lines, plain or .gz, {\"id\",\"contents\"} or {\"id\",\"title\",\"text\"}; or .parquet"
    )
  ),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("PATH"),
    Flag.withDescription("Where the index goes (default the corpus' name with .idx, or .lance)"),
    Flag.optional
  ),
  engine: Flag.Literals("engine", ["bm25", "dense", "both", "lance"]).pipe(
    Flag.withDescription(
      "bm25: words; dense: vectors, compared one by one in memory; both; lance: words, and vectors with --embedder, on " +
        "disk by LanceDB"
    ),
    Flag.withDefault("bm25" as const)
  ),
  embedder: embedderFlag("What makes the vectors"),
  embedderBatch: embedderBatchFlag,
  vectorIndex: Flag.Literals("vector-index", ["flat", "ivfPq", "ivfRq", "hnsw"]).pipe(
    Flag.withDescription("lance: how near vectors are found"),
    Flag.withDefault("ivfRq" as const)
  ),
  words: Flag.Boolean("words").pipe(
    Flag.withDescription("lance: index the words too; --no-words leaves them out"),
    Flag.withDefault(true)
  ),
  restart: Flag.Boolean("restart").pipe(
    Flag.withDescription("lance: begin anew even where an earlier build was cut off"),
    Flag.withDefault(false)
  ),
  k1: Flag.Finite("k1").pipe(
    Flag.withSchema(positive),
    Flag.withDescription("bm25: what repeated words are worth"),
    Flag.withDefault(RetrieverBm25.defaultParameters.k1)
  ),
  b: Flag.Finite("b").pipe(
    Flag.withSchema(fraction),
    Flag.withDescription("bm25: how much length counts against a passage"),
    Flag.withDefault(RetrieverBm25.defaultParameters.b)
  ),
  titleWeight: Flag.Int("title-weight").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 }))),
    Flag.withDescription("How many times the words of a title count (default 3; 1 with --lucene)"),
    Flag.optional
  ),
  lucene: Flag.Boolean("lucene").pipe(
    Flag.withDescription(
      "bm25: score exactly as Lucene and Pyserini do: its EnglishAnalyzer, title weight 1, lengths rounded"
    ),
    Flag.withDefault(false)
  )
}, (input) =>
  Effect.scoped(Effect.gen(function*() {
    const { engine } = input
    const name = input.corpus.replace(/\.(jsonl|json|parquet)(\.gz)?$/i, "")
    const path = yield* Outputs.claimOne({
      flag: Option.isSome(input.out) ? "--out" : "the index",
      path: Option.getOrElse(input.out, () => `${name}.${engine === "lance" ? "lance" : "idx"}`),
      kind: engine === "lance" ? "directory" : "file"
    }, [...Outputs.files(input.corpus), ...Outputs.embedder(input.embedder)])
    const started = yield* Clock.currentTimeMillis
    const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
    if ((engine === "dense" || engine === "both" || !input.words) && Option.isNone(input.embedder)) {
      return yield* userError(
        `${input.words ? `--engine ${engine}` : "--no-words"} needs --embedder`,
        "For example --embedder transformers:DIRECTORY or --embedder http://127.0.0.1:8080/v1/embeddings#MODEL"
      )
    }
    if (engine === "bm25" && Option.isSome(input.embedder)) {
      return yield* userError("--engine bm25 takes no --embedder", "Name --engine both for words and vectors.")
    }
    if (input.lucene && (engine === "dense" || engine === "lance")) {
      return yield* userError(
        `--engine ${engine} does not score as Lucene`,
        "Leave --lucene out, or name --engine bm25 or both."
      )
    }
    const titleWeight = Option.getOrUndefined(input.titleWeight)
    const vectors = yield* embedderOf(input.embedder, input.embedderBatch)
    const shown = yield* progress
    // one by LanceDB is claimed by its builder, which goes on in what an earlier one left
    if (engine !== "lance") yield* WriterLock.acquireBeside(path)
    const build: Effect.Effect<Description, BuildError, FileSystem.FileSystem | Path.Path> = engine === "lance"
      ? RetrieverLance.build(expectPassages(input.corpus, CorpusFile.batches(input.corpus)), path, {
        fullText: input.words,
        titleWeight,
        vectors: vectors === undefined ? undefined : { ...vectors, index: input.vectorIndex },
        restart: input.restart,
        ...shown
      })
      : writeIndex(
        expectPassages(
          input.corpus,
          CorpusFile.stream(input.corpus).pipe(Stream.grouped(vectors === undefined ? 1024 : embedAtOnce))
        ),
        path,
        {
          words: engine === "dense" ? null : {
            ...(input.lucene ? RetrieverBm25.luceneParameters : RetrieverBm25.defaultParameters),
            k1: input.k1,
            b: input.b,
            ...(titleWeight === undefined ? {} : { titleWeight })
          },
          vectors: vectors === undefined ? null : { passages: vectors.embedder.passages, spec: vectors.spec },
          ...shown
        }
      )
    const description = yield* build.pipe(
      Effect.onExit((exit) => canAnimate && Exit.isFailure(exit) ? Console.log("") : Effect.void)
    )
    const seconds = ((yield* Clock.currentTimeMillis) - started) / 1000
    yield* Console.log(
      `${canAnimate ? `\r${" ".repeat(60)}\r` : ""}${path}: ${plural(description.documents, "passage")}, ${
        "terms" in description
          ? `${plural(description.terms, "term")}, ${plural(description.postings, "posting")}, `
          : ""
      }${size(bytesOf(description))}, built in ${seconds.toFixed(1)} s`
    )
    const silent = "documentsWithTerms" in description ? description.documents - description.documentsWithTerms : 0
    if (silent > 0) {
      yield* Console.error(
        silent === description.documents
          ? "No passage holds a word: nothing can be found by words."
          : `${plural(silent, "passage")} without a word cannot be found by words.`
      )
    }
  })).pipe(
    Stopping.waitsFor(
      input.engine === "lance"
        ? "the passages in hand; the same command goes on behind them"
        : "the passages in hand; nothing stays of the new index"
    ),
    friendly,
    PathKind.explain(PathKind.given("corpus", input.corpus), {
      index: (path) => `"search-r1 index info ${shellPath(path)}" says what it holds.`
    })
  )).pipe(
    Command.withDescription(
      "Build an index of a corpus: of its words, of vectors of its passages, or of both. An existing index is replaced when " +
        "the new one is whole. A build with --engine lance that was cut off goes on where it was when the command is given again."
    ),
    Command.withShortDescription("Build an index from a corpus"),
    Command.withExamples([
      { command: "search-r1 index build wiki-18.jsonl.gz --out wiki-18.idx", description: "Index the words" },
      {
        command: "search-r1 index build wiki.jsonl --engine lance --embedder transformers:./e5-base-v2",
        description: "Words and vectors, on disk"
      },
      {
        command:
          "search-r1 index build wiki.jsonl --engine both --embedder http://127.0.0.1:8080/v1/embeddings#e5-base-v2",
        description: "Words and vectors in one file, embedded by a server"
      }
    ])
  )
