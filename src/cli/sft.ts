/**
 * `search-r1 sft`: supervised fine-tuning on recorded trajectories.
 *
 * @since 0.1.0
 */
import { Console, Effect, FileSystem, Layer, Option, Path, Schema, Stream } from "effect"
import { Argument, CliError, Command } from "effect/cli"
import * as AdamW from "../domain/AdamW.ts"
import { contextLength } from "../domain/ModelConfig.ts"
import { plural } from "../domain/Plural.ts"
import { shellWord } from "../domain/ShellWord.ts"
import { shippedModel } from "../layers/assets.ts"
import * as CheckpointsFileSystem from "../layers/checkpoints/CheckpointsFileSystem.ts"
import * as ContentHash from "../layers/contentHash.ts"
import * as HuggingFaceWriter from "../layers/model/HuggingFaceWriter.ts"
import * as Pretrained from "../layers/model/Pretrained.ts"
import * as PolicyEngine from "../layers/policy/PolicyEngine.ts"
import * as WriterLock from "../layers/writerLock.ts"
import * as Finetune from "../programs/Finetune.ts"
import { Tokenizer } from "../services/Tokenizer.ts"
import { deviceFlags } from "./deviceFlag.ts"
import * as Flag from "./flag.ts"
import { invocation } from "./invocation.ts"
import { isThere } from "./isThere.ts"
import * as Outputs from "./outputs.ts"
import * as PathKind from "./pathKind.ts"
import { progress } from "./progress.ts"
import { savePolicy } from "./runExport.ts"
import * as RunFolder from "./runFolder.ts"
import { digestOf, readExamples } from "./sftData.ts"
import * as Stopping from "./stopping.ts"
import * as TrainedPolicy from "./trainedPolicy.ts"
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
    Argument.withDescription("Where the model is saved: config.json, model.safetensors, the tokenizer, sft.json")
  ),
  data: Flag.String("data").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "Trajectories: JSON lines (or one JSON array, also .gz) as rollout and train write them, conversations {\"messages\":[{\"role\",\"content\"}]}, or {\"question\",\"golden_answers\",\"response\"}; may be repeated"
    ),
    Flag.atLeast(1)
  ),
  minReward: Flag.Finite("min-reward").pipe(
    Flag.withMetavar("R"),
    Flag.withDescription(
      "Learn only from trajectories with at least this reward (rejection sampling); exact match where none is recorded"
    ),
    Flag.optional
  ),
  validate: Flag.String("validate").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Trajectories whose loss is reported before, after each epoch and at the end"),
    Flag.atLeast(0)
  ),
  model: Flag.String("model").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription(
      "Start from this model; the one that ships with the package unless given, which does not learn from what another made"
    ),
    Flag.optional
  ),
  run: Flag.String("run").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("Start from what this run has learned"),
    Flag.optional
  ),
  checkpoint: TrainedPolicy.runFlags.checkpoint,
  epochs: positive("epochs", 4, "Passes over the trajectories, each in another order"),
  batchSize: positive("batch-size", 32, "Trajectories of an update"),
  learningRate: Flag.Finite("learning-rate").pipe(
    Flag.withAlias("l"),
    Flag.withSchema(Schema.Finite.check(Schema.isGreaterThan(0))),
    Flag.withMetavar("RATE"),
    Flag.withDescription("Highest learning rate; it decays linearly to 0"),
    Flag.withDefault(1e-5)
  ),
  warmup: Flag.Finite("warmup").pipe(
    Flag.withSchema(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
    Flag.withMetavar("SHARE"),
    Flag.withDescription("Share of the updates in which the learning rate rises"),
    Flag.withDefault(0.1)
  ),
  seed: Flag.String("seed").pipe(
    Flag.withDescription("Any text; decides the order of the trajectories"),
    Flag.withDefault("0")
  ),
  skipBad: Flag.Boolean("skip-bad").pipe(
    Flag.withDescription("Leave records out that cannot be read instead of ending"),
    Flag.withDefault(false)
  ),
  microBatchTokens: positive("micro-batch-tokens", 8192, "Tokens that the device holds at once"),
  checkpointEvery: positive("checkpoint-every", 50, "Steps between two checkpoints, from which --resume goes on"),
  resume: Flag.Boolean("resume").pipe(
    Flag.withDescription("Go on from the newest checkpoint (with the same data and settings)"),
    Flag.withDefault(false)
  ),
  force: Flag.Boolean("force").pipe(
    Flag.withAlias("f"),
    Flag.withDescription("Begin anew where there is a model or a checkpoint"),
    Flag.withDefault(false)
  ),
  ...deviceFlags
}

type Input = Command.Command.Config.Infer<typeof flags>

/** The folder of the model to start from: what a run has learned is written into one first. */
const beginning = Effect.fnUntraced(function*(input: Input) {
  if (Option.isNone(input.run)) return Option.getOrElse(input.model, () => shippedModel)
  if (Option.isSome(input.model)) return yield* userError("Give --model or --run, not both: one start is enough.")
  const fs = yield* FileSystem.FileSystem
  const directory = yield* Effect.mapError(
    fs.makeTempDirectoryScoped({ prefix: "search-r1-sft-" }),
    (error) => userError(error)
  )
  const run = yield* TrainedPolicy.open({ run: input.run.value, device: Option.some(input.device) })
  yield* savePolicy(run, { checkpoint: input.checkpoint, directory: `${directory}/model`, precision: "float32" })
  return `${directory}/model`
})

/** Which model learns, in words. */
const learnerName = ({ checkpoint, model, run }: Input): string =>
  Option.isSome(run)
    ? `what ${run.value} has learned (checkpoint ${checkpoint})`
    : Option.getOrElse(model, () => `${shippedModel}, the model that ships with the package`)

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

const program = Effect.fnUntraced(function*(input: Input) {
  const fs = yield* FileSystem.FileSystem
  const { join, resolve } = yield* Path.Path
  const checkpoints = join(input.directory, "checkpoints")
  yield* Outputs.claimDirectory(input.directory, [
    ...Outputs.files(input.data, input.validate),
    ...yield* Effect.forEach(Option.toArray(input.model), Outputs.model),
    ...Option.isSome(input.run) ? Outputs.run(yield* RunFolder.at(input.run.value)) : []
  ])
  const there = (yield* isThere(join(input.directory, "config.json"))) ||
    (yield* CheckpointsFileSystem.holds(checkpoints))
  if (there && !input.resume && !input.force) {
    return yield* userError(
      `${input.directory} holds a model or a checkpoint already`,
      "With --resume its run goes on, with --force it begins anew."
    )
  }
  yield* WriterLock.acquireDirectory(input.directory)
  yield* HuggingFaceWriter.check(input.directory)

  yield* Console.error(`Fine-tuning ${learnerName(input)}`)
  const model = yield* beginning(input)
  const opened = yield* Pretrained.open(model)
  const limit = contextLength(opened.weights.config)
  const hash = yield* ContentHash.ofModel(model)
  const learner = { model, hash, told: Option.isSome(input.model) || Option.isSome(input.run) }
  const data = yield* readExamples(input.data, { ...input, limit, learner }).pipe(
    Effect.provideService(Tokenizer, opened.tokenizer)
  )
  const validation = yield* readExamples(input.validate, {
    minReward: Option.none(),
    skipBad: input.skipBad,
    limit,
    learner
  }).pipe(Effect.provideService(Tokenizer, opened.tokenizer))
  // what was there is given up when everything else has been read
  if (input.force && !input.resume) yield* fs.remove(checkpoints, { recursive: true, force: true })
  const plan: Finetune.Plan = {
    seed: input.seed,
    model: `sha256:${hash}`,
    data: digestOf(data.examples),
    examples: data.examples.length,
    epochs: input.epochs,
    batchSize: input.batchSize,
    learningRate: input.learningRate,
    schedule: { kind: "linear", warmupRatio: input.warmup, warmupSteps: null, minRatio: 0 },
    adamW: { ...AdamW.reference, beta2: 0.95 }
  }
  const tokens = data.examples.reduce((sum, { ids }) => sum + ids.length, 0)
  const learned = data.examples.reduce((sum, { weights }) => sum + weights.reduce((a, b) => a + b, 0), 0)
  yield* Console.error([
    `${plural(data.examples.length, "trajectory", "trajectories")} of ${data.read}${data.told}`,
    ...data.notes,
    `${tokens.toLocaleString("en")} tokens, ${learned.toLocaleString("en")} of them the policy's, which are learned`,
    plural(Finetune.steps(plan), "step")
  ].join("; "))

  let last: Finetune.StepReport | undefined
  yield* Effect.gen(function*() {
    const { config, readWeight } = yield* PolicyEngine.Engine
    const validate = Effect.fnUntraced(function*(when: string) {
      if (validation.examples.length === 0) return null
      const loss = yield* Finetune.loss(validation.examples)
      yield* Console.log(`${when} · validation loss ${loss.toFixed(4)}`)
      return loss
    })
    const before = yield* validate("before")
    const reporter = yield* progress({ unit: "step", total: Finetune.steps(plan) })
    let epochLoss = { sum: 0, learned: 0 }
    const losses: Array<number> = []
    yield* Finetune.run({
      plan,
      examples: data.examples,
      microBatchTokens: input.microBatchTokens,
      checkpointEvery: input.checkpointEvery,
      resume: input.resume
    }).pipe(
      Stream.runForEach((report) =>
        Effect.gen(function*() {
          last = report
          epochLoss.sum += report.loss * report.learned
          epochLoss.learned += report.learned
          yield* reporter.reached(
            report.step,
            `loss ${report.loss.toFixed(3)} · gradient ${report.gradNorm.toFixed(2)}`
          )
          if (report.step % (report.steps / plan.epochs) !== 0) return
          const mean = epochLoss.sum / epochLoss.learned
          losses.push(mean)
          epochLoss = { sum: 0, learned: 0 }
          yield* Console.log(`epoch ${report.epoch} of ${plan.epochs} · loss ${mean.toFixed(4)}`)
          if (report.step < report.steps) yield* validate(`epoch ${report.epoch}`)
        })
      ),
      Effect.catchTag("NothingToDo", () => Console.error("All its steps were made; the model is saved again."))
    )
    const after = yield* validate("after")
    yield* HuggingFaceWriter.save(input.directory, {
      config,
      read: readWeight,
      companionsFrom: model,
      files: {
        "sft.json": json({
          plan,
          start: Option.match(input.run, {
            onNone: () => ({ model: resolve(model) }),
            onSome: (run) => ({ run: resolve(run), checkpoint: input.checkpoint })
          }),
          data: input.data.map((file) => resolve(file)),
          minReward: Option.getOrNull(input.minReward),
          read: data.read,
          steps: last?.steps ?? Finetune.steps(plan),
          epochLosses: losses,
          validationLoss: before === null ? null : { before, after }
        })
      }
    })
  }).pipe(
    Effect.provide(Layer.merge(
      PolicyEngine.layer({ model, device: input.device }),
      CheckpointsFileSystem.layer(checkpoints, { keepLast: 1, keepBest: false })
    )),
    Stopping.waitsFor(() => Stopping.learning(last?.step ?? 0, input.checkpointEvery)),
    Effect.onInterrupt(() =>
      Console.error(`\nInterrupted. Go on with the same command and --resume (checkpoints are in ${checkpoints})`)
    )
  )
  yield* fs.remove(checkpoints, { recursive: true, force: true })
  yield* Console.log(
    `${input.directory}: the model is saved; ${yield* invocation} train --set ${
      shellWord(`model=${resolve(input.directory)}`)
    } goes on from it`
  )
}, Effect.scoped)

/**
 * @category commands
 * @since 0.1.0
 */
export const sft = Command.make("sft", flags, (input) =>
  program(input).pipe(
    Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error))),
    PathKind.explain([
      ...PathKind.given("model", input.model),
      ...PathKind.given("run", input.run),
      ...input.data.flatMap((path) => PathKind.given("rollouts", path))
    ], {
      model: PathKind.byFlag("--model"),
      run: PathKind.byFlag("--run")
    })
  )).pipe(
    Command.withDescription(
      "Fine-tune a model on trajectories by next-token prediction. Only what the policy wrote is learned: prompts, retrieved passages and the environment's messages are read. With --min-reward it is rejection sampling. Ctrl-C keeps what was learned: the same command with --resume goes on."
    ),
    Command.withShortDescription("Fine-tune a model on trajectories"),
    Command.withExamples([
      {
        command: "search-r1 sft models/warm --data demonstrations.jsonl --epochs 2 --learning-rate 2e-4",
        description: "The model that ships with the package, on demonstrations"
      },
      {
        command:
          "search-r1 sft models/selected --data rollouts.jsonl --min-reward 1 --run runs/20260101-120000-grpo --validate held-out.jsonl",
        description: "Rejection sampling: a run's policy on its own right answers"
      },
      {
        command: "search-r1 train --set model=models/warm --config run.json",
        description: "Reinforcement learning from the result"
      }
    ])
  )
