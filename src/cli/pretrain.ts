/**
 * `search-r1 pretrain`: makes a base model for the search world.
 *
 * @since 0.1.0
 */
import { Clock, Console, Effect, FileSystem, Layer, Option, Path, Ref, Schema, Stream } from "effect"
import { Argument, CliError, Command } from "effect/cli"
import * as ModelInit from "../domain/ModelInit.ts"
import * as ModelTensors from "../domain/ModelTensors.ts"
import * as HeldOut from "../domain/world/HeldOut.ts"
import * as PretrainingPlan from "../domain/world/PretrainingPlan.ts"
import * as Vocabulary from "../domain/world/Vocabulary.ts"
import * as World from "../domain/world/World.ts"
import * as WorldModel from "../domain/world/WorldModel.ts"
import * as WorldQuestion from "../domain/world/WorldQuestion.ts"
import * as CheckpointsFileSystem from "../layers/checkpoints/CheckpointsFileSystem.ts"
import { incremental } from "../layers/hash.ts"
import * as HuggingFaceWriter from "../layers/model/HuggingFaceWriter.ts"
import * as Weights from "../layers/model/Weights.ts"
import * as Engine from "../layers/policy/engine/Engine.ts"
import * as RetrieverLunr from "../layers/retriever/RetrieverLunr.ts"
import * as TokenizerWorld from "../layers/tokenizer/TokenizerWorld.ts"
import * as WriterLock from "../layers/writerLock.ts"
import * as Pretrain from "../programs/Pretrain.ts"
import { Optimizer } from "../services/Optimizer.ts"
import { Policy } from "../services/Policy.ts"
import { Tokenizer } from "../services/Tokenizer.ts"
import { deviceFlags, deviceLayer } from "./deviceFlag.ts"
import * as Flag from "./flag.ts"
import { isThere } from "./isThere.ts"
import * as Outputs from "./outputs.ts"
import { interval, time } from "./progress.ts"
import { parseHops, share } from "./questionMix.ts"
import * as Stopping from "./stopping.ts"
import { userError } from "./userError.ts"

const { defaultPlan } = PretrainingPlan

const positive = (name: string, value: number, description: string) =>
  Flag.Int(name).pipe(
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(0))),
    Flag.withMetavar("N"),
    Flag.withDescription(description),
    Flag.withDefault(value)
  )

const flags = {
  directory: Argument.String("directory").pipe(
    Argument.withDescription("Where the model is saved: config.json, model.safetensors, tokenizer.json, pretrain.json")
  ),
  seed: Flag.String("seed").pipe(
    Flag.withDescription("Any text; decides the first weights and every text"),
    Flag.withDefault(defaultPlan.seed)
  ),
  steps: positive("steps", defaultPlan.steps, "Updates"),
  batchSize: positive("batch-size", defaultPlan.batchSize, "Texts of an update, of about 100 tokens each"),
  copySteps: Flag.Int("copy-steps").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.withMetavar("N"),
    Flag.withDescription("Updates at the beginning that teach copying alone"),
    Flag.withDefault(defaultPlan.copySteps)
  ),
  learningRate: Flag.Finite("learning-rate").pipe(
    Flag.withAlias("l"),
    Flag.withSchema(Schema.Finite.check(Schema.isGreaterThan(0))),
    Flag.withMetavar("RATE"),
    Flag.withDescription("Highest learning rate"),
    Flag.withDefault(defaultPlan.learningRate)
  ),
  hops: Flag.String("hops").pipe(
    Flag.withMetavar("WEIGHTS"),
    Flag.withDescription("How often questions of one, two and three hops are asked"),
    Flag.withDefault("40,50,10")
  ),
  comparison: share("comparison", "Share of questions that ask which of two entities something is true of"),
  yesno: share("yesno", "Share of questions with yes or no for an answer"),
  search: Flag.String("search").pipe(
    Flag.withMetavar("SHARES"),
    Flag.withDescription("How often rough transcripts search, rather than answer, at each of their turns"),
    Flag.withDefault(defaultPlan.search.join(","))
  ),
  from: Flag.String("from").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("Start from this model of the world's vocabulary; its shape holds instead of the flags'"),
    Flag.optional
  ),
  hiddenSize: positive("hidden-size", defaultPlan.hiddenSize, "Width of the model"),
  layers: positive("layers", defaultPlan.layers, "Layers of the model"),
  heads: positive("heads", defaultPlan.heads, "Attention heads"),
  evaluateEvery: positive("evaluate-every", 300, "Steps between two evaluations"),
  questions: positive("questions", 256, "Held-out questions answered greedily in an evaluation"),
  checkpointEvery: positive("checkpoint-every", 50, "Steps between two checkpoints, from which --resume goes on"),
  microBatchTokens: positive("micro-batch-tokens", 4096, "Tokens that the device holds at once"),
  resume: Flag.Boolean("resume").pipe(
    Flag.withDescription("Go on from the newest checkpoint"),
    Flag.withDefault(false)
  ),
  force: Flag.Boolean("force").pipe(
    Flag.withAlias("f"),
    Flag.withDescription("Start anew where there is a model or a checkpoint"),
    Flag.withDefault(false)
  ),
  ...deviceFlags
}

type Input = Command.Command.Config.Infer<typeof flags>

const vocabulary = Vocabulary.world

const planOf = Effect.fnUntraced(function*(input: Input) {
  const hops = parseHops(input.hops)
  if (hops === undefined) {
    return yield* userError(
      `--hops ${input.hops}: expected the weights of one, two and three hops`,
      "For example: --hops 40,50,10"
    )
  }
  const search = input.search.split(",").map(Number)
  if (search.length > 4 || !search.every((share) => share >= 0 && share <= 1)) {
    return yield* userError(
      `--search ${input.search}: expected one to four shares between 0 and 1`,
      `For example: --search ${defaultPlan.search.join(",")}`
    )
  }
  const mix = { hops, comparison: input.comparison, yesno: input.yesno }
  const problem = WorldQuestion.mixProblem(mix) ?? WorldModel.sizeProblem(input)
  if (problem !== undefined) return yield* userError(problem)
  const { batchSize, copySteps, heads, hiddenSize, layers, learningRate, seed, steps } = input
  return { ...defaultPlan, ...mix, search, batchSize, copySteps, heads, hiddenSize, layers, learningRate, seed, steps }
})

/** A plan that starts from a saved model has that model's shape and says which weights they were. */
const beginning = Effect.fnUntraced(function*(input: Input, plan: PretrainingPlan.Plan) {
  if (Option.isNone(input.from)) {
    const config = WorldModel.config({ vocabulary, ...plan })
    return { plan, weights: { config, tensors: Stream.fromIterable(ModelInit.weights(config, plan.seed)) } }
  }
  const path = input.from.value
  const weights = yield* Weights.read(path)
  const { hiddenSize, layers, heads, vocabularySize } = weights.config
  if (vocabularySize !== vocabulary.tokens.length) {
    return yield* userError(
      `--from ${path}: its vocabulary has ${vocabularySize} tokens, the world's has ${vocabulary.tokens.length}`,
      "Only models that pretrain made can be gone on with; search-r1 sft trains others."
    )
  }
  const digest = incremental()
  yield* Stream.runForEach(weights.tensors, ({ data }) => Effect.sync(() => digest.update(data)))
  return { plan: { ...plan, hiddenSize, layers, heads, from: `sha256:${digest.digest("hex")}` }, weights }
})

const percent = (value: number | undefined): string => value === undefined ? "   –" : `${(100 * value).toFixed(0)}%`

const byHops = (values: Readonly<Record<string, number>>): string =>
  ["1", "2", "3"].map((hops) => percent(values[hops])).join("/")

const emOf = (hops: Pretrain.Measurement["greedy"]["hops"], key: "em" | "passAt") =>
  Object.fromEntries(Object.entries(hops).map(([count, scores]) => [count, scores[key]]))

const evaluationLine = (step: number, { greedy, reading, sampled }: Pretrain.Measurement, samples: number): string =>
  [
    `step ${step}`,
    `reading ${byHops(reading)}`,
    `greedy EM ${percent(greedy.total.em)} (${byHops(emOf(greedy.hops, "em"))}), ${
      greedy.total.searches.toFixed(1)
    } searches`,
    `sampled EM ${percent(sampled.total.em)} (${byHops(emOf(sampled.hops, "em"))})`,
    `pass@${samples} ${percent(sampled.total.passAt)} (${byHops(emOf(sampled.hops, "passAt"))})`
  ].join(" · ")

/** Questions that are asked several times each, and how often. */
const sampling = { questions: 64, samples: 16 } as const

/** A line now and then, for people, on standard error. */
const makeProgress = Effect.fnUntraced(function*(steps: number) {
  const pause = yield* interval
  const next = yield* Ref.make(0)
  const state = { tokens: 0, steps: 0, started: yield* Clock.currentTimeMillis }
  return Effect.fnUntraced(function*(report: Pretrain.StepReport) {
    const now = yield* Clock.currentTimeMillis
    state.tokens += report.tokens
    state.steps += 1
    if (now < (yield* Ref.get(next)) && report.step < steps) return
    yield* Ref.set(next, now + pause)
    const seconds = (now - state.started) / 1000
    const left = (steps - report.step) * seconds / state.steps
    yield* Console.error(
      `step ${report.step} of ${steps} · loss ${report.loss.toFixed(3)} · gradient ${report.gradNorm.toFixed(2)} · ${
        Math.round(state.tokens / seconds)
      } tokens/s · ${time(left)} left`
    )
  })
})

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

const program = Effect.fnUntraced(function*(input: Input) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  yield* Outputs.claimDirectory(input.directory, yield* Effect.forEach(Option.toArray(input.from), Outputs.model))
  const { plan, weights } = yield* beginning(input, yield* planOf(input))
  const checkpoints = join(input.directory, "checkpoints")
  const started = (yield* isThere(join(input.directory, "model.safetensors"))) ||
    (yield* CheckpointsFileSystem.holds(checkpoints))
  if (started && !input.resume && !input.force) {
    return yield* userError(
      `${input.directory} holds a model or a checkpoint already`,
      "With --resume its run goes on, with --force it begins anew."
    )
  }
  yield* WriterLock.acquireDirectory(input.directory)
  yield* HuggingFaceWriter.check(input.directory)

  const { config } = weights
  yield* Console.error(
    `${ModelTensors.parameterCount(config).toLocaleString("en-US")} weights, vocabulary ${vocabulary.tokens.length}, ${
      plan.steps * plan.batchSize
    } texts, device ${input.device}`
  )
  const engine = yield* Engine.make(weights, yield* Tokenizer)
  const exam = HeldOut.exam({ seed: "pretrain", count: input.questions, mix: plan })
  const measure = Pretrain.measure({
    reading: HeldOut.readingTasks({ seed: "pretrain", perHops: 64, vocabulary }),
    questions: exam.questions,
    sampled: exam.questions.slice(0, sampling.questions),
    samples: sampling.samples,
    rollout: Pretrain.rolloutBounds
  }).pipe(Effect.provide(
    RetrieverLunr.layer(Stream.fromIterable(World.documents(exam.world)), { cacheDirectory: false })
  ))
  const save = Effect.fnUntraced(function*(step: number, measurement: Pretrain.Measurement) {
    yield* HuggingFaceWriter.save(input.directory, {
      config,
      read: engine.readWeight,
      files: {
        "tokenizer.json": json(WorldModel.tokenizerJson(vocabulary)),
        "pretrain.json": json({ step, plan, measurement })
      }
    })
  })

  if (input.force && !input.resume) yield* fs.remove(checkpoints, { recursive: true, force: true })
  const tell = yield* makeProgress(plan.steps)
  let made = 0
  yield* Pretrain.run({
    plan,
    vocabulary,
    microBatchTokens: input.microBatchTokens,
    checkpointEvery: input.checkpointEvery,
    resume: input.resume
  }).pipe(
    Stream.tap(tell),
    Stream.tap(({ step }) => Effect.sync(() => (made = step))),
    Stream.filter(({ step }) => step % input.evaluateEvery === 0 || step === plan.steps),
    Stream.runForEach(({ step }) =>
      Effect.gen(function*() {
        const measurement = yield* measure
        yield* Console.log(evaluationLine(step, measurement, sampling.samples))
        yield* save(step, measurement)
      })
    ),
    Effect.provide(CheckpointsFileSystem.layer(checkpoints, { keepLast: 1, keepBest: false })),
    Stopping.waitsFor(() => Stopping.learning(made, input.checkpointEvery)),
    Effect.onInterrupt(() =>
      Console.error(`stopped; go on with the same command and --resume (checkpoints are in ${checkpoints})`)
    ),
    Effect.provideService(Policy, engine.policy),
    Effect.provideService(Optimizer, engine.optimizer)
  )
  yield* fs.remove(checkpoints, { recursive: true, force: true })
  yield* Console.log(`${input.directory}: the model is saved`)
}, Effect.scoped)

/**
 * @category commands
 * @since 0.1.0
 */
export const pretrain = Command.make("pretrain", flags, (input) =>
  program(input).pipe(
    Effect.provide(Layer.mergeAll(deviceLayer(input), TokenizerWorld.layer({ vocabulary }))),
    Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error)))
  )).pipe(
    Command.withDescription(
      "Make a base model that can read, copy and speak the protocol, but does not know when to search: what reinforcement learning starts from. Every update reads about another fictional world. Reports reading accuracy by hops, greedy exact match, and exact match and pass@16 at temperature 1, all on a held-out world. Ctrl-C keeps what was learned: --resume goes on."
    ),
    Command.withShortDescription("Make a base model"),
    Command.withExamples([
      { command: "search-r1 pretrain models/base --seed 24", description: "0.9 million weights, 23 million tokens" },
      { command: "search-r1 pretrain models/base --seed 24 --resume", description: "Go on after Ctrl-C" },
      {
        command:
          "search-r1 pretrain models/shy --from models/base --copy-steps 0 --steps 150 --search 0.2,0.6,0.5,0.25",
        description: "The same model, less eager to search"
      },
      {
        command: "search-r1 pretrain models/try --steps 20 --batch-size 16 --evaluate-every 10",
        description: "See that it works"
      }
    ])
  )
