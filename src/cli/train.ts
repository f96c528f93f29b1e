/**
 * `search-r1 train`: reinforcement learning from a configuration.
 *
 * @since 0.1.0
 */
import { Console, Context, Effect, FileSystem, Layer, Option, Path, Schema, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import * as RunConfig from "../domain/RunConfig.ts"
import * as QuestionsFile from "../layers/questions/QuestionsFile.ts"
import { Questions } from "../services/Questions.ts"
import { Retriever } from "../services/Retriever.ts"
import { shippedModel } from "./assets.ts"
import { deviceNames } from "./deviceFlag.ts"
import { invocation } from "./invocation.ts"
import * as RunFolder from "./runFolder.ts"
import { planText } from "./runPlanView.ts"
import { resumable, trainRun } from "./trainRun.ts"
import { evaluationRetrieverOf, questionsOf, servicesOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

const flags = {
  config: Flag.String("config").pipe(
    Flag.withAlias("c"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Configuration as JSON; docs/configuration.md lists the keys"),
    Flag.optional
  ),
  preset: Flag.String("preset").pipe(
    Flag.withDescription("Preset: paper-ppo, paper-grpo, reference, fixed; may be repeated"),
    Flag.atLeast(0)
  ),
  set: Flag.String("set").pipe(
    Flag.withMetavar("path=value"),
    Flag.withDescription("Set one key, e.g. --set optimizer.learningRate=2e-4; may be repeated"),
    Flag.atLeast(0)
  ),
  device: Flag.Literals("device", deviceNames).pipe(
    Flag.withAlias("d"),
    Flag.withDescription("Where tensors are computed; \"search-r1 device list\" tells what works here"),
    Flag.optional
  ),
  runs: Flag.String("runs").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("Where the run's directory is made"),
    Flag.withDefault("runs")
  ),
  name: Flag.String("name").pipe(
    Flag.withDescription("Name of the run; the algorithm unless given"),
    Flag.optional
  ),
  resume: Flag.String("resume").pipe(
    Flag.withMetavar("RUN"),
    Flag.withDescription(
      "Go on with the run in this directory, with its own configuration (--set steps=… may raise it)"
    ),
    Flag.optional
  ),
  dryRun: Flag.Boolean("dry-run").pipe(
    Flag.withDescription("Print the resolved configuration and what a step costs, and end"),
    Flag.withDefault(false)
  )
}

type Input = Command.Command.Config.Infer<typeof flags>

const JsonFile = Schema.fromJsonString(Schema.Json)

const readInput = Effect.fnUntraced(function*(input: Input) {
  if (Option.isNone(input.config)) return {}
  const fs = yield* FileSystem.FileSystem
  const path = input.config.value
  const text = yield* fs.readFileString(path).pipe(
    Effect.mapError((error) => userError(`${path}: the configuration cannot be read (${error.message})`))
  )
  return yield* Schema.decodeEffect(JsonFile)(text).pipe(
    Effect.mapError((error) => userError(`${path}: no JSON (${error.message})`))
  )
})

const withSettings = (base: Schema.Json, input: Input) =>
  Effect.gen(function*() {
    const named = input.preset.length === 0 || typeof base !== "object" || base === null || Array.isArray(base)
      ? base
      : { ...base, presets: [...input.preset] }
    const set = yield* Effect.mapError(
      Effect.fromResult(RunConfig.setAll(named, [
        ...input.set,
        ...Option.match(input.device, { onNone: () => [], onSome: (device) => [`device=${device}`] })
      ])),
      (error) => userError(error)
    )
    return yield* RunFolder.resolve(set)
  })

const resumed = Effect.fnUntraced(function*(directory: string, input: Input) {
  const folder = yield* RunFolder.at(directory)
  const own = yield* RunFolder.readConfig(folder)
  const config = yield* withSettings(
    yield* Effect.orDie(Schema.encodeEffect(Schema.toCodecJson(RunConfig.RunConfig))(own)),
    {
      ...input,
      preset: []
    }
  )
  return { folder, config }
})

const required = (file: string | null, key: string) =>
  file === null
    ? Effect.fail(userError(
      `A run needs questions: set ${key}.`,
      `For example --set ${key}=questions.jsonl. "search-r1 world" makes questions and a corpus to learn in.`
    ))
    : Effect.succeed(file)

const evaluationOf = (config: RunConfig.RunConfig) =>
  config.questions.evaluate === null
    ? Effect.succeed(undefined)
    : Effect.map(
      Layer.build(QuestionsFile.layer({ paths: [config.questions.evaluate] })),
      (services) =>
        Stream.unwrap(Effect.map(Questions, (questions) => questions.all)).pipe(Stream.provideContext(services))
    )

const evaluationRetriever = (config: RunConfig.RunConfig) =>
  config.evaluation.corpus === null
    ? Effect.succeed(undefined)
    : Effect.map(Layer.build(evaluationRetrieverOf(config.evaluation.corpus)), Context.get(Retriever))

/**
 * @category commands
 * @since 0.1.0
 */
export const train = Command.make("train", flags, (input) =>
  Effect.gen(function*() {
    const path = yield* Path.Path
    const before = yield* Option.match(input.resume, {
      onNone: () =>
        Effect.flatMap(readInput(input), (base) =>
          Effect.map(withSettings(base, input), (config) => ({ folder: undefined, config }))),
      onSome: (directory) =>
        resumed(directory, input)
    })
    const absolute = (file: string | null) => file === null ? null : path.resolve(file)
    const config: RunConfig.RunConfig = {
      ...before.config,
      model: absolute(before.config.model),
      questions: {
        ...before.config.questions,
        train: absolute(before.config.questions.train),
        evaluate: absolute(before.config.questions.evaluate)
      },
      retriever: { ...before.config.retriever, corpus: absolute(before.config.retriever.corpus) },
      evaluation: { ...before.config.evaluation, corpus: absolute(before.config.evaluation.corpus) }
    }
    if (input.dryRun) return yield* Effect.flatMap(planText(config, config.model ?? shippedModel), Console.log)
    const questions = yield* required(config.questions.train, "questions.train")
    const folder = before.folder ?? (yield* RunFolder.create(
      input.runs,
      Option.getOrElse(input.name, () => config.algorithm)
    ))
    yield* RunFolder.writeConfig(folder, config)
    yield* Console.log(`${before.folder === undefined ? "run" : "going on with"} ${folder.directory}`)
    const evaluation = yield* evaluationOf(config)
    const work = trainRun({
      folder,
      config,
      resume: before.folder !== undefined,
      evaluation,
      evaluationRetriever: yield* evaluationRetriever(config)
    }).pipe(
      Effect.provide(Layer.mergeAll(servicesOf(folder, config), questionsOf(questions, config)))
    )
    const last = yield* resumable(work, folder, `${yield* invocation} train --resume ${folder.directory}`)
    const early = Option.exists(last, ({ stopped }) => stopped !== null)
    yield* Console.log(`${early ? "Stopped early" : "Done"}. ${folder.directory} holds log and checkpoints.`)
  }).pipe(Effect.scoped)).pipe(
    Command.withDescription(
      "Train a policy by reinforcement learning. Ctrl-C saves the last whole step and tells how to go on."
    ),
    Command.withShortDescription("Train a policy by reinforcement learning"),
    Command.withExamples([
      {
        command: "search-r1 train --config run.json --set steps=200",
        description: "A configuration with one key changed"
      },
      {
        command:
          "search-r1 train --preset paper-grpo --set model=Qwen2.5-3B --set questions.train=train.parquet --set retriever.corpus=wiki.jsonl.gz --dry-run",
        description: "What the paper's GRPO run would cost"
      },
      { command: "search-r1 train --resume runs/20260101-120000-grpo", description: "Go on with a run" }
    ])
  )
