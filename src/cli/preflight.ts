/**
 * Whether a run could start: everything that it reads is opened, everything that it takes is compared with what is there.
 *
 * @since 0.2.0
 */
import { Context, Effect, FileSystem, Layer, Option, Path } from "effect"
import { CliError } from "effect/cli"
import * as IndexMemory from "../domain/IndexMemory.ts"
import type { ModelConfig } from "../domain/ModelConfig.ts"
import { contextLength } from "../domain/ModelConfig.ts"
import { parameterCount } from "../domain/ModelTensors.ts"
import { plural } from "../domain/Plural.ts"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import type { RunInputs } from "../domain/RunInputs.ts"
import * as RunMemory from "../domain/RunMemory.ts"
import { shellPath } from "../domain/ShellWord.ts"
import * as CorpusSize from "../layers/retriever/corpusSize.ts"
import * as RetrieverIndex from "../layers/retriever/RetrieverIndex.ts"
import * as SystemReason from "../layers/systemReason.ts"
import * as Rollout from "../programs/Rollout.ts"
import { Retriever } from "../services/Retriever.ts"
import { placeOf, type RunPlace } from "./deviceMemory.ts"
import * as MemoryCheck from "./memoryCheck.ts"
import * as PathKind from "./pathKind.ts"
import * as RunInputsOf from "./runInputs.ts"
import { evaluationRetrieverOf, modelOf, retrieverOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

/**
 * Something that keeps a run from starting. `key` is the one of the configuration that it is about.
 *
 * @category models
 * @since 0.2.0
 */
export interface Problem {
  readonly key: string
  readonly message: string
}

/**
 * Something that was opened, and what was found in it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Found {
  readonly key: string
  readonly place: string
  readonly what: string
}

/**
 * What was found out. What could not be opened is not there, and its problem is.
 *
 * @category models
 * @since 0.2.0
 */
export interface Preflight {
  readonly problems: ReadonlyArray<Problem>
  readonly found: ReadonlyArray<Found>
  readonly train: Option.Option<RunInputsOf.OpenQuestions>
  readonly evaluate: Option.Option<RunInputsOf.OpenQuestions>
  readonly model: Option.Option<ModelConfig>
  readonly place: Option.Option<RunPlace>
  readonly memory: Option.Option<RunMemory.RunMemory>
}

const messageOf = (error: Error): string =>
  CliError.isCliError(error) && error._tag === "UserError"
    ? error.userMessage ?? error.message
    : userError(error).userMessage ?? error.message

const count = (value: number): string => value.toLocaleString("en-US")

const required = (file: string | null, key: string): Effect.Effect<string, CliError.UserError> =>
  file === null
    ? Effect.fail(userError(
      `A run needs questions: set ${key}.`,
      `For example --set ${key}=questions.jsonl. "search-r1 world" makes questions and a corpus to learn in.`
    ))
    : Effect.succeed(file)

interface Searched {
  readonly place: string
  readonly what: string
  /** Undefined where others search. */
  readonly memory?: RunMemory.Searched
}

/** Passages of a corpus, all of them where that is asked for, and what a search in them takes. */
const passages = Effect.fnUntraced(function*(path: string, whole: boolean, kind: "lunr" | "bm25" | "random") {
  const instead = yield* PathKind.mistaken({ kind: "corpus", path }, PathKind.configured)
  if (Option.isSome(instead)) return yield* Effect.fail(instead.value)
  const corpus = yield* CorpusSize.of(path, { whole })
  if (corpus.passages === 0) return yield* userError(`${path}: there are no passages in it`)
  const bm25 = IndexMemory.bm25(corpus)
  const searched: Searched = {
    place: path,
    what: whole ? plural(corpus.passages, "passage") : "a corpus",
    memory: kind === "bm25"
      ? { memory: bm25 }
      : kind === "random"
      ? { memory: IndexMemory.passages(corpus) }
      : { memory: IndexMemory.lunr(corpus), instead: { set: "retriever.kind=bm25", memory: bm25 } }
  }
  return searched
})

/** Opens what a run searches. An index, and a server, is asked as well where the run itself will not be built. */
const searched = Effect.fnUntraced(function*(
  config: RunConfig,
  whole: boolean
): Effect.fn.Return<Searched, Error, Layer.Services<ReturnType<typeof retrieverOf>>> {
  const { corpus, kind, url } = config.retriever
  const asking = Layer.build(retrieverOf(config)).pipe(
    Effect.flatMap((context) => Context.get(context, Retriever).search("what", { topK: config.rollout.topK })),
    Effect.asVoid,
    Effect.scoped
  )
  if (kind === "remote" || corpus === null) {
    // without an address, or a corpus, the layer says what is missing
    if (whole || url === null) yield* asking
    return { place: url ?? "", what: "a server" }
  }
  if (kind !== "index") return yield* passages(corpus, whole, kind)
  const description = yield* RetrieverIndex.describe(corpus).pipe(
    PathKind.explain(PathKind.given("index", corpus), {
      corpus: (path) =>
        `Give it by --set retriever.kind=lunr, or build an index: search-r1 index build ${shellPath(path)}`
    })
  )
  if (whole) yield* asking
  const what = `an index of ${plural(description.documents, "passage")}`
  return description.kind === "lance"
    ? { place: corpus, what }
    : { place: corpus, what, memory: { memory: IndexMemory.file(description.sections) } }
})

const memoryOf = (searched: Option.Option<Searched>): RunMemory.Searched =>
  Option.getOrUndefined(searched)?.memory ?? { memory: IndexMemory.none }

/** What is searched in training, and what evaluations search besides. */
const bothOf = (own: RunMemory.Searched, other: RunMemory.Searched): RunMemory.Searched => ({
  memory: IndexMemory.together(own.memory, other.memory),
  instead: own.instead === undefined
    ? undefined
    : { ...own.instead, memory: IndexMemory.together(own.instead.memory, other.memory) }
})

/** The nearest directory that is there must let another be made in it. */
const writable = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const { dirname, resolve } = yield* Path.Path
  let at = resolve(directory)
  while (!(yield* Effect.orElseSucceed(fs.exists(at), () => true)) && dirname(at) !== at) at = dirname(at)
  const wrong = (reason: string) =>
    userError(`${directory}: the run's directory cannot be made there: ${at}: ${reason}`)
  const { type } = yield* Effect.mapError(fs.stat(at), (error) => wrong(SystemReason.of(error)))
  if (type !== "Directory") return yield* wrong("this is a file, a directory is needed")
  yield* Effect.mapError(fs.access(at, { writable: true }), (error) => wrong(SystemReason.of(error)))
})

/**
 * Opens everything but the weights of a run. With `whole` a corpus is read to its end, and indexes and servers are asked:
 * what a run that is going to start does anyway. `directory` is where it will write. All problems are found, not the first.
 *
 * @category programs
 * @since 0.2.0
 */
export const run = Effect.fn("Cli.preflight")(function*(config: RunConfig, options: {
  readonly whole: boolean
  readonly directory: string
  readonly recorded: Option.Option<RunInputs>
}) {
  const problems: Array<Problem> = []
  const found: Array<Found> = []
  const attempt = <A, E extends Error, R>(key: string, effect: Effect.Effect<A, E, R>) =>
    Effect.matchEffect(effect, {
      onSuccess: (value) => Effect.succeed(Option.some(value)),
      onFailure: (error) => Effect.sync(() => (problems.push({ key, message: messageOf(error) }), Option.none<A>()))
    })
  const note = (key: string, place: string, what: string) => Effect.sync(() => void found.push({ key, place, what }))

  const train = yield* attempt(
    "questions.train",
    required(config.questions.train, "questions.train").pipe(
      Effect.flatMap((path) =>
        RunInputsOf.openQuestions(path, {
          seed: config.questions.shuffle ? String(config.seed) : undefined,
          recorded: RunInputsOf.recordedOf(options.recorded, "questions.train")
        })
      ),
      Effect.tap(({ path, size }) => note("questions.train", path, plural(size, "question")))
    )
  )
  const evaluationPath = RunInputsOf.evaluationFile(config)
  const evaluate = evaluationPath === null ? Option.none<RunInputsOf.OpenQuestions>() : yield* attempt(
    "questions.evaluate",
    RunInputsOf.openQuestions(evaluationPath, {
      recorded: RunInputsOf.recordedOf(options.recorded, "questions.evaluate")
    }).pipe(Effect.tap(({ path, size }) => note("questions.evaluate", path, plural(size, "question"))))
  )
  const modelPath = modelOf(config)
  const model = yield* attempt(
    "model",
    Effect.tap(MemoryCheck.openModel(config), (model) =>
      note(
        "model",
        modelPath,
        `${count(parameterCount(model))} weights, contexts of ${count(contextLength(model))} tokens`
      ))
  )
  const key = config.retriever.kind === "remote" ? "retriever.url" : "retriever.corpus"
  const own = Rollout.asksEngine(config.rollout)
    ? yield* attempt(key, Effect.tap(searched(config, options.whole), ({ place, what }) => note(key, place, what)))
    : Option.none<Searched>()
  const { corpus } = config.evaluation
  const examined = evaluationPath !== null && corpus !== null
    ? yield* attempt(
      "evaluation.corpus",
      Effect.tap(
        passages(corpus, options.whole, "lunr"),
        ({ place, what }) => note("evaluation.corpus", place, what)
      )
    )
    : Option.none<Searched>()
  yield* attempt("runs", writable(options.directory))
  const place = yield* attempt("device", placeOf(MemoryCheck.deviceOf(config)))
  const memory = Option.map(
    Option.all([model, place]),
    ([model, place]) =>
      RunMemory.plan(
        config,
        model,
        place,
        Option.getOrNull(Option.map(evaluate, ({ size }) => size)),
        bothOf(memoryOf(own), memoryOf(examined))
      )
  )
  const tight = Option.flatMapNullishOr(memory, MemoryCheck.problem)
  if (Option.isSome(tight)) problems.push({ key: "memory", message: tight.value })
  const result: Preflight = { problems, found, train, evaluate, model, place, memory }
  return result
})

/**
 * All problems as one error.
 *
 * @category errors
 * @since 0.2.0
 */
export const failure = (problems: ReadonlyArray<Problem>): CliError.UserError =>
  userError(
    problems.length === 1
      ? problems.map(({ message }) => message).join("")
      : [
        `${problems.length} things keep this run from starting:`,
        ...problems.map(({ key, message }) => `- ${key}: ${message.replaceAll("\n", "\n  ")}`)
      ].join("\n")
  )

/**
 * What a run searches, and what its evaluations search where that is something else: built, which takes as long as an index
 * takes to load.
 *
 * @category constructors
 * @since 0.2.0
 */
export const retrievers = Effect.fn("Cli.buildRetrievers")(function*(config: RunConfig, evaluates: boolean) {
  const own = Context.get(yield* Layer.build(retrieverOf(config)), Retriever)
  const { corpus } = config.evaluation
  const evaluation = !evaluates || corpus === null
    ? undefined
    : Context.get(yield* Layer.build(evaluationRetrieverOf(corpus)), Retriever)
  return { own, evaluation }
})
