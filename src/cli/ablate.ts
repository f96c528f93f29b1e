/**
 * `search-r1 ablate`: the same training with one thing changed at a time, compared in tables and curves.
 *
 * @since 0.1.0
 */
import { Console, Context, Effect, type FileSystem, Layer, Option, Path, Schema } from "effect"
import { Argument, CliError, Command } from "effect/cli"
import * as Json from "../domain/Json.ts"
import * as RunConfig from "../domain/RunConfig.ts"
import * as AtomicFile from "../layers/atomicFile.ts"
import * as QuestionsFile from "../layers/questions/QuestionsFile.ts"
import * as SystemReason from "../layers/systemReason.ts"
import * as TextFile from "../layers/textFile.ts"
import * as WriterLock from "../layers/writerLock.ts"
import { Checkpoints } from "../services/Checkpoints.ts"
import { Questions } from "../services/Questions.ts"
import { Retriever } from "../services/Retriever.ts"
import { Topic, topics, type Variant } from "./ablations.ts"
import { deviceNames } from "./deviceFlag.ts"
import * as Flag from "./flag.ts"
import { invocation } from "./invocation.ts"
import * as MemoryCheck from "./memoryCheck.ts"
import * as Outputs from "./outputs.ts"
import * as RunCurves from "./runCurves.ts"
import * as RunFolder from "./runFolder.ts"
import * as RunInputs from "./runInputs.ts"
import * as StartJob from "./startJob.ts"
import * as StartWorld from "./startWorld.ts"
import { style as terminalStyle } from "./style.ts"
import * as TrainRun from "./trainRun.ts"
import { evaluationRetrieverOf, questionsOf, servicesOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

const positive = (name: string, value: number, description: string) =>
  Flag.Int(name).pipe(
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(0))),
    Flag.withMetavar("N"),
    Flag.withDescription(description),
    Flag.withDefault(value)
  )

const flags = {
  directory: Argument.String("directory").pipe(
    Argument.withDescription(
      "Where worlds, runs, tables and curves go; what was trained there before is not trained again"
    )
  ),
  topic: Flag.String("topic").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription(`One of ${topics.map(({ topic }) => topic).join(", ")}; may be repeated (default all)`),
    Flag.atLeast(0)
  ),
  topics: Flag.String("topics").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "Other topics: a JSON array of {\"topic\",\"title\",\"variants\":[{\"name\",\"set\":{a part of a run's configuration}}]}"
    ),
    Flag.optional
  ),
  seeds: positive("seeds", 1, "Seeds, each with a world of its own, over which tables average"),
  steps: positive("steps", 15, "Steps of each run"),
  questions: positive("questions", 512, "Questions about the held-out world of each evaluation"),
  set: Flag.String("set").pipe(
    Flag.withMetavar("path=value"),
    Flag.withDescription("Set one key of all runs, e.g. --set model=models/base; may be repeated (default none)"),
    Flag.atLeast(0)
  ),
  device: Flag.Literals("device", deviceNames).pipe(
    Flag.withAlias("d"),
    Flag.withDescription("Where tensors are computed; \"search-r1 device list\" tells what works here"),
    Flag.withDefault("wasm" as const)
  )
}

type Input = Command.Command.Config.Infer<typeof flags>

const decodeTopics = Json.decode(Schema.NonEmptyArray(Topic))

const chosen = Effect.fnUntraced(function*(input: Input) {
  const all = Option.isNone(input.topics) ? topics : yield* TextFile.whole(input.topics.value).pipe(
    Effect.mapError(SystemReason.of),
    Effect.flatMap((text) => Effect.fromResult(decodeTopics(text))),
    Effect.mapError((reason) => userError(`${Option.getOrElse(input.topics, () => "")}: ${reason}`))
  )
  const unknown = input.topic.find((name) => all.every(({ topic }) => topic !== name))
  if (unknown !== undefined) {
    return yield* userError(`There is no topic ${unknown}.`, `There are ${all.map(({ topic }) => topic).join(", ")}.`)
  }
  return input.topic.length === 0 ? all : all.filter(({ topic }) => input.topic.includes(topic))
})

const isObject = (value: Schema.Json | undefined): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Objects key by key, everything else replaced. */
const merge = (base: Schema.JsonObject, over: Schema.JsonObject): Schema.JsonObject => ({
  ...base,
  ...Object.fromEntries(
    Object.entries(over).map(([key, value]) => {
      const before = base[key]
      return [key, isObject(before) && isObject(value) ? merge(before, value) : value]
    })
  )
})

const configOf = Effect.fnUntraced(function*(input: Input, world: string, seed: number, { set }: Variant) {
  const { device, questions, steps } = input
  const recipe = StartJob.settings({ world }, { seed, steps, device })
  const evaluation = { ...recipe.evaluation, every: Math.min(5, steps), beforeTraining: true, questions }
  const whole = yield* Effect.mapError(
    Effect.fromResult(RunConfig.setAll(merge({ ...recipe, evaluation }, set), [...input.set])),
    (error) => userError(error)
  )
  return yield* RunFolder.resolve(whole)
})

/** Trains a variant, from where an earlier call left it. */
const trainVariant = Effect.fnUntraced(function*(folder: RunFolder.RunFolder, config: RunConfig.RunConfig) {
  const { evaluate, train } = config.questions
  const { corpus } = config.evaluation
  if (train === null || evaluate === null || corpus === null) {
    return yield* userError("questions.train, questions.evaluate and evaluation.corpus may not be null here")
  }
  yield* RunFolder.removeUnbegun(folder)
  yield* RunFolder.claim(folder)
  const resume = yield* RunFolder.exists(folder)
  const exam = yield* Layer.build(evaluationRetrieverOf(corpus))
  const heldOut = Context.get(yield* Layer.build(QuestionsFile.layer({ paths: [evaluate] })), Questions)
  const evaluationSize = yield* Effect.mapError(heldOut.size, (error) => userError(error))
  const context = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
  yield* Effect.gen(function*() {
    const latest = resume ? yield* Checkpoints.use((checkpoints) => checkpoints.latest) : Option.none()
    if (Option.isSome(latest) && latest.value.step >= config.steps) return yield* Console.log("trained before")
    const { verdict } = yield* TrainRun.trainRun({
      folder,
      config,
      resume,
      evaluation: heldOut.all,
      evaluationSize,
      evaluationRetriever: Context.get(exam, Retriever),
      onBegun: () =>
        RunInputs.settle(folder, config, train).pipe(
          // more steps may have been asked for
          Effect.andThen(RunFolder.writeConfig(folder, config)),
          Effect.provideContext(context)
        )
    })
    if (verdict !== null) yield* Console.error(verdict)
  }).pipe(
    Effect.provide(Layer.mergeAll(servicesOf(folder, config), questionsOf(train, config))),
    Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error)))
  )
}, Effect.scoped)

const program = Effect.fnUntraced(function*(input: Input) {
  const { join, resolve } = yield* Path.Path
  const style = yield* terminalStyle
  const directory = resolve(input.directory)
  const wanted = yield* chosen(input)
  const results = ["ablations.md", ...wanted.map(({ topic }) => `${topic}.svg`)]
  yield* Outputs.claim(
    results.map((name) => ({ flag: "the result", path: join(directory, name), kind: "file" })),
    Outputs.files(input.topics)
  )
  const variants = new Map(wanted.flatMap((topic) => topic.variants.map((variant) => [variant.name, variant] as const)))
  const curves = new Map<string, ReadonlyArray<RunCurves.RunCurve>>()
  const total = variants.size * input.seeds
  let begun = 0
  yield* Effect.mapError(WriterLock.acquireDirectory(directory), (error) => userError(error))
  const worldOf = (seed: number) => join(directory, "worlds", String(seed))
  // hours may lie between the first variant and the last
  for (const variant of variants.values()) {
    yield* configOf(input, worldOf(0), 0, variant).pipe(
      Effect.tap((config) => MemoryCheck.expectFits(config, input.questions)),
      Effect.mapError((error) => userError(`${variant.name}: ${error.userMessage ?? error.message}`))
    )
  }
  for (let seed = 0; seed < input.seeds; seed++) {
    const world = worldOf(seed)
    yield* StartWorld.write(world, seed, input.questions)
    for (const variant of variants.values()) {
      begun++
      yield* Console.log(style.heading(`${begun} of ${total}: ${variant.name}, seed ${seed}`))
      const name = `${variant.name.replaceAll(/[^A-Za-z0-9.]+/g, "-")}-${seed}`
      const folder = yield* RunFolder.at(join(directory, "runs", name))
      yield* trainVariant(folder, yield* configOf(input, world, seed, variant))
      const curve = yield* RunCurves.read(folder.directory, variant.name)
      curves.set(variant.name, [...curves.get(variant.name) ?? [], curve])
    }
  }
  const write = (file: string, text: string) =>
    AtomicFile.writeString(join(directory, file), text).pipe(Effect.mapError((error) => userError(error)))
  const parts: Array<string> = []
  for (const { title, topic, variants } of wanted) {
    const groups = variants.map(({ name }) => ({ name, runs: curves.get(name) ?? [] }))
    // one seed's curves: several would cover each other, the table has their spread
    const first = groups.flatMap(({ runs }) => runs.slice(0, 1))
    yield* write(`${topic}.svg`, RunCurves.chart(first, RunCurves.defaultMetrics, title))
    parts.push(`## ${title}\n\n${RunCurves.markdown(groups)}\n![${title}](${topic}.svg)\n`)
  }
  const report = parts.join("\n")
  yield* write("ablations.md", report)
  yield* Console.log(`\n${report}\n${join(directory, "ablations.md")} holds the tables, curves are beside it.`)
}, Effect.scoped)

/**
 * @category commands
 * @since 0.1.0
 */
export const ablate = Command.make("ablate", flags, (input) =>
  Effect.gen(function*() {
    const folder = yield* RunFolder.at(input.directory)
    yield* TrainRun.resumable(program(input), folder, `${yield* invocation} ablate … (the same command)`)
  })).pipe(
    Command.withDescription(
      "Train the same model with one thing changed at a time, the paper's ablations on a world of our own: algorithm, masking of retrieved tokens, passages a search, a random retriever, no search, format reward, a price per search. Writes a Markdown table and SVG curves from the runs' metrics. Stopped, the same command goes on."
    ),
    Command.withShortDescription("Compare settings by training with each"),
    Command.withExamples([
      { command: "search-r1 ablate ablations --seeds 3", description: "All topics, three seeds each" },
      {
        command: "search-r1 ablate ablations --topic mask --steps 60 --set model=models/base",
        description: "One topic, longer, from another base model"
      },
      {
        command: "search-r1 ablate learning-rates --topics topics.json",
        description: "Settings of your own"
      }
    ])
  )
