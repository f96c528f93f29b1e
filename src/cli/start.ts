/**
 * `search-r1 start`: trains the model that ships with the package to search an encyclopedia that it cannot know.
 *
 * @since 0.1.0
 */
import { Clock, Console, Context, Effect, Layer, Option, Schema, Stream } from "effect"
import { CliError, Command } from "effect/cli"
import type { ScoredTrajectory } from "../domain/Outcome.ts"
import { plural } from "../domain/Plural.ts"
import type { Question } from "../domain/Question.ts"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import { greedy } from "../domain/Sampling.ts"
import { shellPath, shellWord } from "../domain/ShellWord.ts"
import * as World from "../domain/world/World.ts"
import * as AtomicFile from "../layers/atomicFile.ts"
import * as QuestionsMemory from "../layers/questions/QuestionsMemory.ts"
import * as Evaluate from "../programs/Evaluate.ts"
import * as Rollout from "../programs/Rollout.ts"
import * as ScoredRollouts from "../programs/ScoredRollouts.ts"
import * as Train from "../programs/Train.ts"
import { rolloutOptions } from "../programs/train/Collect.ts"
import { Checkpoints } from "../services/Checkpoints.ts"
import { Retriever } from "../services/Retriever.ts"
import { deviceNames } from "./deviceFlag.ts"
import * as Flag from "./flag.ts"
import { evaluateBoth, lunrOf } from "./heldOutExam.ts"
import { invocation, startCommand } from "./invocation.ts"
import * as LiveStatus from "./liveStatus.ts"
import * as MemoryCheck from "./memoryCheck.ts"
import * as Outputs from "./outputs.ts"
import * as RunFolder from "./runFolder.ts"
import * as RunInputs from "./runInputs.ts"
import * as StartJob from "./startJob.ts"
import { comparisonTable, pairView, Report } from "./startView.ts"
import * as StartWorld from "./startWorld.ts"
import { style as terminalStyle } from "./style.ts"
import * as TextWidth from "./textWidth.ts"
import * as TrainRun from "./trainRun.ts"
import { servicesOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

const count = (name: string, value: number, description: string) =>
  Flag.Int(name).pipe(
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(0))),
    Flag.withDescription(description),
    Flag.withDefault(value)
  )

const flags = {
  report: Flag.String("report").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Write the result as JSON"),
    Flag.optional
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.withDescription("Another seed is another world and another run"),
    Flag.withDefault(0)
  ),
  steps: count("steps", 25, "Steps of rollouts and updates"),
  questions: count("questions", 512, "Questions about a held-out world that before and after are compared on"),
  device: Flag.Literals("device", deviceNames).pipe(
    Flag.withAlias("d"),
    Flag.withDescription("Where tensors are computed; \"search-r1 device list\" tells what works here"),
    Flag.withDefault("wasm" as const)
  ),
  runs: Flag.String("runs").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("Where the run's directory is made"),
    Flag.withDefault("runs")
  ),
  resume: Flag.String("resume").pipe(
    Flag.withMetavar("RUN"),
    Flag.withDescription("Go on with an interrupted start in this directory, with its own seed, steps and questions"),
    Flag.optional
  )
}

type Input = Command.Command.Config.Infer<typeof flags>

type Opened = Effect.Success<ReturnType<typeof StartJob.open>>

const encodeReport = Schema.encodeEffect(Schema.fromJsonString(Report))

/** Greedy rollouts of a few questions of two hops, to show one of them before and after. */
const examples = Effect.fnUntraced(function*(config: RunConfig, questions: ReadonlyArray<Question>) {
  const chosen = questions.filter((question) => question.hops === 2).slice(0, 16)
  const outcomes = yield* Stream.runCollect(ScoredRollouts.score(
    Rollout.outcomes(Rollout.instances(Stream.fromIterable(chosen)), {
      ...rolloutOptions(config),
      groupSize: 1,
      order: "input",
      sampling: greedy
    })
  ))
  return outcomes.flatMap((outcome): ReadonlyArray<ScoredTrajectory> =>
    outcome._tag === "Scored" ? [outcome.scored] : []
  )
})

/** Asks the held-out questions, greedily and sampled, and shows how many were asked. */
const asked = Effect.fnUntraced(function*(config: RunConfig, questions: ReadonlyArray<Question>, when: string) {
  const status = yield* LiveStatus.make
  let count = 0
  const show = Effect.suspend(() => status.show(`${when}  held-out questions ${count}/${2 * questions.length}`))
  yield* show
  const tick = Effect.andThen(Effect.sync(() => void count++), show)
  return yield* Effect.ensuring(evaluateBoth(config, questions, tick), status.clear)
}, Effect.scoped)

/** Trains what is left to train: the policy of a part that had ended before is restored. */
const trainRest = (options: TrainRun.Options) =>
  Effect.gen(function*() {
    const latest = options.resume ? yield* Checkpoints.use((checkpoints) => checkpoints.latest) : Option.none()
    if (Option.isSome(latest) && latest.value.step >= options.config.steps) {
      const { pending, step } = yield* Train.restoreActor(latest.value)
      if (pending === null) {
        yield* Console.log(`trained before, ${step} of ${plural(options.config.steps, "step")}`)
        return { last: Option.none(), verdict: null } satisfies TrainRun.Ended
      }
    }
    return yield* TrainRun.trainRun(options)
  }).pipe(Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error))))

const program = Effect.fnUntraced(function*(input: Input, { folder, job }: Opened) {
  const style = yield* terminalStyle
  const command = yield* invocation
  const resume = Option.isSome(input.resume)
  const { heldOut, training } = yield* StartWorld.write(folder.world, job.seed, job.questions)
  const config = yield* RunFolder.resolve(StartJob.settings(folder, job))
  const questionsFile = `${folder.world}/train.jsonl`
  yield* Console.log([
    style.heading("Search-R1 on an encyclopedia of a world that exists for this run only"),
    `${resume ? "going on with" : "run"} ${folder.directory}`,
    `${plural(heldOut.questions.length, "question")} about another, held-out world ${
      heldOut.questions.length === 1 ? "is" : "are"
    } asked before and after.`,
    ""
  ].join("\n"))

  const exam = Context.get(yield* Layer.build(lunrOf(World.documents(heldOut.world))), Retriever)
  const inExam = Effect.provideService(Retriever, exam)
  const started = yield* Clock.currentTimeMillis
  const main = yield* Effect.gen(function*() {
    // the engine is there: nothing keeps the run from beginning any more
    yield* RunInputs.settle(folder, config, questionsFile)
    const before = yield* inExam(asked(config, heldOut.questions, "before"))
    const shownBefore = yield* inExam(examples(config, heldOut.questions))
    const ended = yield* trainRest({
      folder,
      config,
      resume,
      evaluation: Stream.fromIterable(heldOut.questions),
      evaluationSize: heldOut.questions.length,
      evaluationRetriever: exam
    })
    const after = yield* inExam(asked(config, heldOut.questions, "after"))
    const shownAfter = yield* inExam(examples(config, heldOut.questions))
    return { before, after, ended, shownBefore, shownAfter }
  }).pipe(
    Effect.provide(Layer.mergeAll(
      servicesOf(folder, config),
      QuestionsMemory.layer(training.questions, { seed: job.seed })
    ))
  )

  yield* Console.log(`\n${style.heading("The same model, trained as long without search")}`)
  const alone: RunConfig = {
    ...config,
    questions: { ...config.questions, evaluate: null },
    rollout: { ...config.rollout, doSearch: false },
    evaluation: { ...config.evaluation, every: 0 }
  }
  const aloneFolder = yield* RunFolder.at(`${folder.directory}/no-search`)
  const baseline = yield* Effect.gen(function*() {
    yield* RunInputs.settle(aloneFolder, alone, questionsFile)
    yield* trainRest({ folder: aloneFolder, config: alone, resume })
    return yield* inExam(Evaluate.run(Stream.fromIterable(heldOut.questions), {
      ...rolloutOptions(alone),
      groupSize: 1,
      sampling: greedy
    }))
  }).pipe(
    Effect.provide(Layer.mergeAll(
      servicesOf(aloneFolder, alone),
      QuestionsMemory.layer(training.questions, { seed: job.seed })
    ))
  )
  const seconds = ((yield* Clock.currentTimeMillis) - started) / 1000
  const report: Report = {
    seconds,
    steps: config.steps,
    before: main.before,
    after: main.after,
    noSearchBaseline: { em: baseline.total.em }
  }
  const example = main.shownAfter.findIndex((after, index) =>
    after.reward === 1 && main.shownBefore[index]?.reward === 0
  )
  yield* Console.log(pairView(main.shownBefore[Math.max(0, example)], main.shownAfter[Math.max(0, example)], style))
  yield* Console.log(comparisonTable(report, heldOut.questions.length, style, yield* TextWidth.available))
  if (Option.isSome(input.report)) {
    const path = input.report.value
    yield* AtomicFile.writeString(path, `${yield* Effect.orDie(encodeReport(report))}\n`).pipe(
      Effect.mapError((error) => userError(error))
    )
  }
  const run = shellPath(folder.directory)
  yield* Console.log([
    "",
    style.heading("Try next"),
    `  ${command} train --resume ${run} --set steps=40`,
    `  ${command} evaluate --run ${run} --seed ${job.seed + 1}`,
    `  ${command} ask ${shellWord(heldOut.questions[0]?.question ?? "Who …?")} --run ${run} --corpus ${
      shellPath(`${folder.world}/held-out-corpus.jsonl`)
    }`,
    `  ${command} train --help`
  ].join("\n"))
  yield* TrainRun.expectLearned(main.ended)
})

/**
 * @category commands
 * @since 0.1.0
 */
export const start = Command.make("start", flags, (input) =>
  Effect.gen(function*() {
    if (Option.isSome(input.report)) {
      const path = yield* Outputs.claimOne(
        { flag: "--report", path: input.report.value, kind: "file" },
        Option.isSome(input.resume) ? yield* StartJob.reads(input.resume.value) : []
      )
      yield* Effect.mapError(AtomicFile.check(path), (error) => userError(error))
    }
    if (Option.isNone(input.resume)) {
      const config = yield* RunFolder.resolve(StartJob.settings({ world: "." }, input))
      // the exam has more questions than an evaluation
      const exam = { ...config, evaluation: { ...config.evaluation, questions: null } }
      yield* MemoryCheck.expectFits(exam, input.questions)
    }
    const opened = yield* StartJob.open(input)
    yield* TrainRun.resumable(
      program(input, opened),
      opened.folder,
      `${yield* startCommand} --resume ${shellPath(opened.folder.directory)}`
    )
  }).pipe(Effect.scoped)).pipe(
    Command.withDescription(
      "Train the model that ships with the package, by reinforcement learning alone, to search an encyclopedia of a world made for this run; compare before and after on a held-out world, and with the same training without search."
    ),
    Command.withShortDescription("Train a small model to search, in minutes"),
    Command.withExamples([
      { command: "search-r1 start", description: "The whole job with its defaults" },
      { command: "search-r1 start --seed 7 --report report.json", description: "Another world, result as JSON" },
      { command: "search-r1 start --resume runs/20260101-120000-start", description: "Go on after Ctrl-C or a crash" }
    ])
  )
