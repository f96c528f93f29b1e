/**
 * `search-r1 train`: reinforcement learning from a configuration.
 *
 * @since 0.1.0
 */
import { Console, Effect, type FileSystem, Layer, Option, Path, Schema } from "effect"
import { CliError, Command } from "effect/cli"
import * as Differences from "../domain/Differences.ts"
import * as JsonFlaw from "../domain/JsonFlaw.ts"
import * as RunConfig from "../domain/RunConfig.ts"
import type { RunInputs } from "../domain/RunInputs.ts"
import { shellPath } from "../domain/ShellWord.ts"
import * as CheckpointsFileSystem from "../layers/checkpoints/CheckpointsFileSystem.ts"
import { locate } from "../layers/model/location.ts"
import * as RewardConfigured from "../layers/reward/RewardConfigured.ts"
import * as SystemReason from "../layers/systemReason.ts"
import * as TextFile from "../layers/textFile.ts"
import * as FairScheduler from "../programs/FairScheduler.ts"
import * as Train from "../programs/Train.ts"
import { Checkpoints } from "../services/Checkpoints.ts"
import { Questions } from "../services/Questions.ts"
import { Retriever } from "../services/Retriever.ts"
import { deviceNames } from "./deviceFlag.ts"
import * as Flag from "./flag.ts"
import { invocation } from "./invocation.ts"
import * as PathKind from "./pathKind.ts"
import * as Preflight from "./preflight.ts"
import * as RunFolder from "./runFolder.ts"
import * as Inputs from "./runInputs.ts"
import { planJson, planText } from "./runPlanView.ts"
import { expectLearned, nothingToDoExitCode, resumable, trainRun, withCode } from "./trainRun.ts"
import { engineOf, storageOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

const flags = {
  config: Flag.String("config").pipe(
    Flag.withAlias("c"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Configuration as JSON; docs/configuration.md lists the keys"),
    Flag.optional
  ),
  preset: Flag.Literals("preset", RunConfig.PresetName.literals).pipe(
    Flag.withDescription("Preset: paper-ppo, paper-grpo, reference, fixed; may be repeated (default none)"),
    Flag.atLeast(0)
  ),
  set: Flag.String("set").pipe(
    Flag.withMetavar("path=value"),
    Flag.withDescription("Set one key, e.g. --set optimizer.learningRate=2e-4; may be repeated (default none)"),
    Flag.atLeast(0)
  ),
  device: Flag.Literals("device", deviceNames).pipe(
    Flag.withAlias("d"),
    Flag.withDescription(
      "Where tensors are computed; \"search-r1 device list\" tells what works here (default what the configuration says, else wasm)"
    ),
    Flag.optional
  ),
  runs: Flag.String("runs").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("Where the run's directory is made"),
    Flag.withDefault("runs")
  ),
  name: Flag.String("name").pipe(
    Flag.withDescription("Name of the run (default the algorithm)"),
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
    Flag.withDescription(
      "Open everything that the run reads, compare the memory that it takes with what is there, print both with the resolved configuration, and end: with code 0 if the run could start"
    ),
    Flag.withDefault(false)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription(
      "With --dry-run: print one JSON object {\"ok\",\"problems\",\"found\",\"plan\",\"memory\",\"config\"}"
    ),
    Flag.withDefault(false)
  )
}

type Input = Command.Command.Config.Infer<typeof flags>

const JsonFile = Schema.fromJsonString(Schema.Json)

const readInput = Effect.fnUntraced(function*(input: Input) {
  if (Option.isNone(input.config)) return {}
  const path = input.config.value
  const instead = yield* PathKind.mistaken({ kind: "configuration", path }, {
    ...PathKind.configured,
    run: PathKind.byFlag("--resume")
  })
  if (Option.isSome(instead)) return yield* Effect.fail(instead.value)
  const text = yield* TextFile.whole(path).pipe(
    Effect.mapError((error) => userError(`${path}: ${SystemReason.of(error)}`))
  )
  return yield* Effect.mapError(
    Schema.decodeEffect(JsonFile)(text),
    () => userError(`${path}: it is not JSON (${JsonFlaw.describe(text)})`)
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

/** A run that is to go on: claimed, with the configuration that it has and what it read when it began. */
interface Resumed {
  readonly folder: RunFolder.RunFolder
  readonly own: RunConfig.RunConfig
  readonly recorded: Option.Option<RunInputs>
}

const resumed = Effect.fnUntraced(function*(directory: string) {
  const folder = yield* RunFolder.at(directory)
  // a directory that is no run is not claimed
  yield* RunFolder.readConfig(folder)
  yield* RunFolder.claim(folder)
  const own = yield* RunFolder.readConfig(folder)
  const run: Resumed = { folder, own, recorded: yield* Inputs.read(folder) }
  return run
})

/** The configuration with all paths absolute: it is read again from other directories. */
const absolute = Effect.fnUntraced(function*(config: RunConfig.RunConfig) {
  const { resolve } = yield* Path.Path
  const at = (file: string | null) => file === null ? null : resolve(file)
  const whole: RunConfig.RunConfig = {
    ...config,
    model: config.model === null ? null : resolve(yield* locate(config.model)),
    questions: {
      ...config.questions,
      train: at(config.questions.train),
      evaluate: at(config.questions.evaluate)
    },
    retriever: { ...config.retriever, corpus: at(config.retriever.corpus) },
    evaluation: { ...config.evaluation, corpus: at(config.evaluation.corpus) }
  }
  return whole
})

const configOf = Effect.fnUntraced(function*(input: Input, before: Option.Option<Resumed>) {
  if (Option.isNone(before)) return yield* absolute(yield* withSettings(yield* readInput(input), input))
  const { folder, own } = before.value
  const json = yield* Effect.orDie(Schema.encodeEffect(Schema.toCodecJson(RunConfig.RunConfig))(own))
  const config = yield* absolute(yield* withSettings(json, { ...input, preset: [] }))
  return yield* RunFolder.relocate(folder, config)
})

/** What the checkpoint says against going on: another run's settings, or no steps left. */
const refusal = (folder: RunFolder.RunFolder, config: RunConfig.RunConfig) =>
  Effect.gen(function*() {
    const newest = (yield* Checkpoints.use((checkpoints) => checkpoints.list)).at(-1)
    if (newest !== undefined) yield* Train.expectResumable(newest, config)
  }).pipe(Effect.provide(CheckpointsFileSystem.layer(folder.checkpoints)))

const sameInputs = (before: Option.Option<Resumed>, inputs: RunInputs) =>
  Option.match(before, {
    onNone: () => Effect.void,
    onSome: ({ folder, recorded }) => Inputs.expectSame(folder, recorded, inputs)
  })

const dryRun = Effect.fnUntraced(function*(
  input: Input,
  config: RunConfig.RunConfig,
  before: Option.Option<Resumed>,
  checked: Preflight.Preflight
) {
  const problems = [...checked.problems]
  const note = (key: string, error: Error) =>
    Effect.sync(() => void problems.push({ key, message: userError(error).userMessage ?? error.message }))
  if (Option.isSome(before)) {
    yield* Effect.catch(refusal(before.value.folder, config), (error) => note("resume", error))
    yield* Effect.catch(
      Checkpoints.use((checkpoints) => checkpoints.latest).pipe(
        Effect.provide(CheckpointsFileSystem.layer(before.value.folder.checkpoints))
      ),
      (error) => note("checkpoints", error)
    )
    if (Option.isSome(checked.train) && problems.length === 0) {
      const { train } = checked
      yield* Effect.gen(function*() {
        const { own } = yield* Preflight.retrievers(config, false)
        const identified = Inputs.identify(config, train.value, Option.getOrUndefined(checked.evaluate))
        yield* sameInputs(before, yield* Effect.provideService(identified, Retriever, own))
      }).pipe(Effect.catch((error) => note("inputs", error)))
    }
  }
  const found = { ...checked, problems }
  yield* Effect.flatMap(input.json ? planJson(config, found) : planText(config, found), Console.log)
  if (problems.length > 0) return yield* Preflight.failure(problems)
  if (!input.json) yield* Console.log("\nThis run could start.")
})

/** Tells which settings are others than before, and writes them down. */
const adopt = Effect.fnUntraced(function*({ folder, own }: Resumed, config: RunConfig.RunConfig) {
  const changes = Differences.between(own, config)
  if (changes.length === 0) return
  for (const change of changes) yield* Console.log(Differences.describe(change))
  yield* RunFolder.writeConfig(folder, config)
})

const program = Effect.fnUntraced(function*(input: Input) {
  const before = yield* Effect.transposeOption(Option.map(input.resume, resumed))
  const config = yield* configOf(input, before)
  const checked = yield* Preflight.run(config, {
    whole: input.dryRun,
    directory: Option.match(before, { onNone: () => input.runs, onSome: ({ folder }) => folder.directory }),
    recorded: Option.flatMap(before, ({ recorded }) => recorded)
  })
  if (input.dryRun) return yield* dryRun(input, config, before, checked)
  const { evaluate, train } = checked
  // told before anything large is loaded; the run asks once more when it restores
  if (Option.isSome(before)) {
    yield* Effect.catchTag(
      refusal(before.value.folder, config),
      "NothingToDo",
      (error) => Effect.fail(withCode(error, nothingToDoExitCode))
    )
  }
  if (checked.problems.length > 0 || Option.isNone(train)) return yield* Preflight.failure(checked.problems)

  const retrievers = yield* Preflight.retrievers(config, Option.isSome(evaluate))
  const inputs = yield* Effect.provideService(
    Inputs.identify(config, train.value, Option.getOrUndefined(evaluate)),
    Retriever,
    retrievers.own
  )
  yield* sameInputs(before, inputs)
  const cacheTokens = Option.getOrUndefined(Option.map(checked.memory, (memory) => memory.cacheTokens))
  const engine = yield* Layer.build(engineOf(config, { maxCacheTokens: cacheTokens }))
  const folder = Option.isSome(before)
    ? before.value.folder
    : yield* RunFolder.begin(input.runs, Option.getOrElse(input.name, () => config.algorithm))
  const storage = yield* Layer.build(storageOf(folder, config))
  if (Option.isNone(before)) {
    yield* Inputs.write(folder, inputs)
    yield* RunFolder.writeConfig(folder, config)
  }
  yield* Console.log(`${Option.isNone(before) ? "run" : "going on with"} ${folder.directory}`)
  const context = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
  const work = trainRun({
    folder,
    config,
    resume: Option.isSome(before),
    evaluation: Option.getOrUndefined(Option.map(evaluate, ({ questions }) => questions.all)),
    evaluationSize: Option.getOrUndefined(Option.map(evaluate, ({ size }) => size)),
    evaluationRetriever: retrievers.evaluation,
    onBegun: () =>
      Option.isNone(before) ? Effect.void : Effect.gen(function*() {
        yield* adopt(before.value, config)
        if (Option.isNone(before.value.recorded)) yield* Inputs.write(folder, inputs)
      }).pipe(Effect.provideContext(context))
  }).pipe(
    Effect.provideService(Questions, train.value.questions),
    Effect.provideService(Retriever, retrievers.own),
    Effect.provide([RewardConfigured.layer(config.reward, config.compat), FairScheduler.layer]),
    Effect.provideContext(storage),
    Effect.provideContext(engine)
  )
  const ended = yield* resumable(work, folder, `${yield* invocation} train --resume ${shellPath(folder.directory)}`)
  const early = Option.exists(ended.last, ({ stopped }) => stopped !== null)
  yield* Console.log(`${early ? "Stopped early" : "Done"}. ${folder.directory} holds log and checkpoints.`)
  yield* expectLearned(ended)
}, Effect.scoped)

/**
 * @category commands
 * @since 0.1.0
 */
export const train = Command.make("train", flags, (input) =>
  input.json && !input.dryRun
    ? Effect.fail(
      userError("--json prints what --dry-run finds: give both.", "search-r1 train --config run.json --dry-run --json")
    )
    : Effect.catchIf(program(input), (error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error))))
  .pipe(
    Command.withDescription(
      "Train a policy by reinforcement learning. Ctrl-C saves the last whole step and tells how to go on. Ends with code 0 when all steps are made, 3 when there is nothing left to do, 4 when nothing, or hardly anything, was learned in them, 1 when the run could not start or go on."
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
        description: "What the paper's GRPO run takes, and whether it could start here"
      },
      { command: "search-r1 train --resume runs/20260101-120000-grpo", description: "Go on with a run" }
    ])
  )
