/**
 * What a run reads, opened before anything is made for it.
 *
 * @since 0.2.0
 */
// What is written here is for people and hashes, not for a decoder.
// @effect-diagnostics preferSchemaOverJson:off
import { Console, Context, Effect, FileSystem, Layer, Option, Schema, Stream } from "effect"
import { CliError } from "effect/cli"
import * as Json from "../domain/Json.ts"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import * as RunInputs from "../domain/RunInputs.ts"
import * as RunPlan from "../domain/RunPlan.ts"
import * as AtomicFile from "../layers/atomicFile.ts"
import * as ContentHash from "../layers/contentHash.ts"
import { sha256 } from "../layers/hash.ts"
import * as QuestionsFile from "../layers/questions/QuestionsFile.ts"
import * as SystemReason from "../layers/systemReason.ts"
import * as Rollout from "../programs/Rollout.ts"
import { Questions } from "../services/Questions.ts"
import { Retriever } from "../services/Retriever.ts"
import { isThere } from "./isThere.ts"
import * as PathKind from "./pathKind.ts"
import * as RunFolder from "./runFolder.ts"
import { modelOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

/**
 * Questions that have been read.
 *
 * @category models
 * @since 0.2.0
 */
export interface OpenQuestions {
  readonly path: string
  readonly dataSource: string
  readonly size: number
  readonly questions: Questions["Service"]
}

/**
 * Reads a file of questions. `recorded` tells what its questions are said to be of where the run had another name for it.
 *
 * @category constructors
 * @since 0.2.0
 */
export const openQuestions = Effect.fnUntraced(function*(
  path: string,
  options: { readonly seed?: string | undefined; readonly recorded?: RunInputs.RunInput | undefined }
) {
  const dataSource = options.recorded?.dataSource ?? QuestionsFile.dataSourceOf(path)
  const context = yield* Layer.build(
    QuestionsFile.layer({ paths: [path], dataSource, ...(options.seed === undefined ? {} : { seed: options.seed }) })
  )
  const questions = Context.get(context, Questions)
  const opened: OpenQuestions = { path, dataSource, size: yield* questions.size, questions }
  return opened
}, (opening, path) => PathKind.explain(PathKind.given("questions", path), PathKind.configured)(opening))

/**
 * What was recorded of an input, if anything.
 *
 * @category getters
 * @since 0.2.0
 */
export const recordedOf = (
  recorded: Option.Option<RunInputs.RunInputs>,
  key: RunInputs.RunInput["key"]
): RunInputs.RunInput | undefined =>
  Option.getOrUndefined(Option.map(recorded, ({ inputs }) => inputs.find((input) => input.key === key)))

/** Questions that a server is known by. */
const known = 3

const encodeAnswers = Schema.encodeEffect(Schema.fromJsonString(Schema.Unknown))

/**
 * Asks a server the first questions of a run: it must answer, and what it answers is what it is known by.
 *
 * @category programs
 * @since 0.2.0
 */
export const fingerprint = Effect.fnUntraced(function*(url: string, questions: Questions["Service"], topK: number) {
  const retriever = yield* Retriever
  const asked = yield* Stream.runCollect(Stream.take(questions.all, known))
  const waiting = Effect.delay(Console.error(`waiting for ${url} …`), "3 seconds")
  const answers = yield* retriever.searchMany(asked.map(({ question }) => question), { topK }).pipe(
    Effect.raceFirst(Effect.andThen(waiting, Effect.never)),
    Effect.mapError((error) =>
      userError(error, "Start the server, or name another address with --set retriever.url=URL.")
    )
  )
  return sha256(
    yield* Effect.orDie(encodeAnswers(answers.map((documents) => documents.map(({ text, title }) => [title, text]))))
  )
})

type NamedQuestions = Pick<OpenQuestions, "path" | "dataSource">

/** What can be told of a run's inputs by reading files. */
const ofFiles = Effect.fnUntraced(function*(
  config: RunConfig,
  train: NamedQuestions,
  evaluate: NamedQuestions | undefined
) {
  const input = (key: RunInputs.RunInput["key"], place: string, hash: string): RunInputs.RunInput => ({
    key,
    place,
    sha256: hash
  })
  const questions = Effect.fnUntraced(function*(key: RunInputs.RunInput["key"], { dataSource, path }: NamedQuestions) {
    return { ...input(key, path, yield* ContentHash.ofFile(path)), dataSource }
  })
  const model = modelOf(config)
  const { retriever } = config
  const inputs: Array<RunInputs.RunInput> = [
    input("model", model, yield* ContentHash.ofModel(model)),
    yield* questions("questions.train", train)
  ]
  if (Rollout.asksEngine(config.rollout) && retriever.kind !== "remote" && retriever.corpus !== null) {
    const hash = retriever.kind === "index" ? ContentHash.ofIndex : ContentHash.ofFile
    inputs.push(input("retriever.corpus", retriever.corpus, yield* hash(retriever.corpus)))
  }
  if (evaluate !== undefined) {
    inputs.push(yield* questions("questions.evaluate", evaluate))
    const { corpus } = config.evaluation
    if (corpus !== null) inputs.push(input("evaluation.corpus", corpus, yield* ContentHash.ofFile(corpus)))
  }
  return inputs
})

/**
 * Whether a configuration searches through a server.
 *
 * @category predicates
 * @since 0.2.0
 */
export const asksServer = ({ retriever, rollout }: RunConfig): boolean =>
  Rollout.asksEngine(rollout) && retriever.kind === "remote"

/**
 * What a run reads, by content.
 *
 * @category getters
 * @since 0.2.0
 */
export const identify = Effect.fn("Cli.identifyInputs")(function*(
  config: RunConfig,
  train: OpenQuestions,
  evaluate: OpenQuestions | undefined
) {
  const inputs = yield* ofFiles(config, train, evaluate)
  const { url } = config.retriever
  const server: ReadonlyArray<RunInputs.RunInput> = asksServer(config) && url !== null
    ? [{ key: "retriever.url", place: url, sha256: yield* fingerprint(url, train.questions, config.rollout.topK) }]
    : []
  const all: RunInputs.RunInputs = { version: 1, inputs: [...inputs, ...server] }
  return all
}, Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error))))

/**
 * What a run reads, by content, where all of it is files: none of a server.
 *
 * @category getters
 * @since 0.2.0
 */
export const identifyFiles = Effect.fn("Cli.identifyFiles")(function*(config: RunConfig, train: string) {
  const named = (path: string): NamedQuestions => ({ path, dataSource: QuestionsFile.dataSourceOf(path) })
  const evaluation = evaluationFile(config)
  const all: RunInputs.RunInputs = {
    version: 1,
    inputs: yield* ofFiles(config, named(train), evaluation === null ? undefined : named(evaluation))
  }
  return all
}, Effect.mapError((error) => userError(error)))

/**
 * Fails where a run that goes on would read something else than what it began with, and tells where only its evaluations
 * would.
 *
 * @category guards
 * @since 0.2.0
 */
export const expectSame = Effect.fnUntraced(function*(
  folder: RunFolder.RunFolder,
  recorded: Option.Option<RunInputs.RunInputs>,
  inputs: RunInputs.RunInputs
) {
  if (Option.isNone(recorded)) {
    return yield* Console.error(
      `${folder.directory} was begun by a version that did not record what it read: whether that is the same is not known.`
    )
  }
  const { refused, told } = RunInputs.compare(recorded.value, inputs)
  for (const text of told) yield* Console.error(text)
  if (refused.length > 0) {
    return yield* userError(
      refused.join("\n"),
      "Name what the run began with by --set KEY=PATH, wherever it is now, or start a new run."
    )
  }
})

const decode = Json.decode(RunInputs.RunInputs)

/**
 * What was recorded when a run began; nothing of a run that an earlier version made.
 *
 * @category readers
 * @since 0.2.0
 */
export const read = Effect.fnUntraced(function*({ inputs }: RunFolder.RunFolder) {
  const fs = yield* FileSystem.FileSystem
  if (!(yield* isThere(inputs))) return Option.none<RunInputs.RunInputs>()
  return Option.some(
    yield* fs.readFileString(inputs).pipe(
      Effect.mapError(SystemReason.of),
      Effect.flatMap((text) => Effect.fromResult(decode(text))),
      Effect.mapError((reason) => userError(`${inputs}: ${reason}`))
    )
  )
})

/**
 * @category writers
 * @since 0.2.0
 */
export const write = Effect.fnUntraced(function*({ inputs: file }: RunFolder.RunFolder, inputs: RunInputs.RunInputs) {
  const json = yield* Effect.orDie(Schema.encodeEffect(RunInputs.RunInputs)(inputs))
  yield* Effect.mapError(
    AtomicFile.writeString(file, `${JSON.stringify(json, null, 2)}\n`),
    (error) => userError(error)
  )
})

/**
 * Writes down what a run that begins reads, and then its configuration, by which it is known as a run; of one that goes on
 * compares what it reads.
 *
 * @category operations
 * @since 0.2.0
 */
export const settle = Effect.fnUntraced(function*(folder: RunFolder.RunFolder, config: RunConfig, train: string) {
  const inputs = yield* identifyFiles(config, train)
  if (yield* RunFolder.exists(folder)) {
    const recorded = yield* read(folder)
    yield* expectSame(folder, recorded, inputs)
    return Option.isNone(recorded) ? yield* write(folder, inputs) : undefined
  }
  yield* write(folder, inputs)
  yield* RunFolder.writeConfig(folder, config)
})

/**
 * The questions to evaluate on, where a run evaluates.
 *
 * @category getters
 * @since 0.2.0
 */
export const evaluationFile = (config: RunConfig): string | null =>
  RunPlan.evaluates(config, config.steps, true) ? config.questions.evaluate : null
