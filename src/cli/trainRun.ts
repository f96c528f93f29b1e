/**
 * Runs a configuration in a folder and shows it. `train` and `start` share it.
 *
 * @since 0.1.0
 */
import { Clock, Console, Effect, type Option, Runtime, Stream } from "effect"
import { CliError } from "effect/cli"
import type { Question } from "../domain/Question.ts"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import * as RunVerdict from "../domain/RunVerdict.ts"
import * as StepAdvice from "../domain/StepAdvice.ts"
import * as Train from "../programs/Train.ts"
import type { QuestionsUnreadable } from "../services/Questions.ts"
import type { Retriever } from "../services/Retriever.ts"
import { RunLog } from "../services/RunLog.ts"
import { asCalled, invocation } from "./invocation.ts"
import * as LiveStatus from "./liveStatus.ts"
import type { RunFolder } from "./runFolder.ts"
import * as Stopping from "./stopping.ts"
import { style as terminalStyle } from "./style.ts"
import { stepText } from "./trainView.ts"
import { userError } from "./userError.ts"

/**
 * The exit code of a run that has nothing left to do.
 *
 * @category constants
 * @since 0.1.0
 */
export const nothingToDoExitCode = 3

/**
 * The exit code of a run that made its steps and learned nothing, or hardly anything, in them.
 *
 * @category constants
 * @since 0.2.0
 */
export const learnedNothingExitCode = 4

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly folder: RunFolder
  readonly config: RunConfig
  readonly resume: boolean
  readonly evaluation?: Stream.Stream<Question, QuestionsUnreadable> | undefined
  readonly evaluationSize?: number | undefined
  readonly evaluationRetriever?: Retriever["Service"] | undefined
  /** Runs when nothing can refuse the run any more and before anything of it is changed. */
  readonly onBegun?: ((begun: Train.Begun) => Effect.Effect<void, CliError.UserError>) | undefined
}

/**
 * How a run ended: its last report, and why it has learned nothing or hardly anything, or null.
 *
 * @category models
 * @since 0.2.0
 */
export interface Ended {
  readonly last: Option.Option<Train.StepReport>
  readonly verdict: string | null
}

/** Where a run is: the last step in a checkpoint, the last that was told, and what is done of the one in hand. */
interface Place {
  kept: number
  reported: number
  step: number
  phase: Train.Progress["phase"]
}

/** What a run that is stopped still does. */
const remaining = ({ kept, phase, reported, step }: Place): string => {
  // a step is made before it is evaluated
  const made = phase === "evaluation" ? step : reported
  const unkept = made > kept ? ` and step ${made} is saved` : ""
  return phase === "updates" && unkept !== ""
    ? `the updates of step ${step}, which is then saved`
    : `${Stopping.deviceCall} of the ${phase} ${step === 0 ? "before training" : `of step ${step}`}${unkept}`
}

/** Judged by the log, so that a run which was interrupted is judged as a whole. */
const judge = Effect.fnUntraced(function*(config: RunConfig, advice: ReadonlyMap<string, StepAdvice.Advice>) {
  const records = yield* RunLog.use((log) => Stream.runCollect(log.readMetrics))
  const sentences = RunVerdict.verdict(RunVerdict.idle(config, records))
  return sentences === null ? null : [...sentences, ...[...advice.values()].map(StepAdvice.describe)].join("\n")
})

/**
 * An error that ends the process with an exit code of its own.
 *
 * @category errors
 * @since 0.2.0
 */
export const withCode = (error: Error, code: number): CliError.UserError =>
  Object.assign(userError(error), { [Runtime.errorExitCode]: code })

/**
 * Ends with an exit code of its own where a run has nothing to show for its steps.
 *
 * @category combinators
 * @since 0.2.0
 */
export const expectLearned = ({ verdict }: Ended): Effect.Effect<void, CliError.UserError> =>
  verdict === null ? Effect.void : Effect.fail(withCode(new Error(verdict), learnedNothingExitCode))

/**
 * Trains and prints a line a step.
 *
 * @category programs
 * @since 0.1.0
 */
export const trainRun = Effect.fn("Cli.trainRun")(function*(options: Options) {
  const { config, resume } = options
  const style = yield* terminalStyle
  const command = yield* invocation
  const started = yield* Clock.currentTimeMillis
  const status = yield* LiveStatus.make
  let made = 0
  const at: Place = { kept: 0, reported: 0, step: 0, phase: "rollouts" }
  const told = new Map<string, StepAdvice.Advice>()
  const report = Effect.fnUntraced(function*(step: Train.StepReport) {
    if (step.step > 0) made++
    at.reported = step.step
    if (config.checkpoints.every > 0 && step.step % config.checkpoints.every === 0) at.kept = step.step
    yield* status.clear
    const elapsed = ((yield* Clock.currentTimeMillis) - started) / 1000
    // what was said once is known
    const advice = step.advice.filter(({ kind }) => !told.has(kind))
    for (const one of advice) told.set(one.kind, one)
    yield* Console.log(asCalled(command, stepText({ ...step, advice }, elapsed / Math.max(1, made), style)))
    return step
  })
  return yield* Train.run(config, {
    resume,
    evaluation: options.evaluation,
    evaluationSize: options.evaluationSize,
    evaluationRetriever: options.evaluationRetriever,
    onProgress: ({ done, phase, step, total }) => {
      Object.assign(at, { step, phase })
      return status.show(
        `step ${step}/${config.steps}  ${phase} ${phase === "scoring" ? "" : done}${
          phase === "scoring" || total === null ? "" : `/${total}`
        }`
      )
    },
    onBegun: (begun) => {
      if (begun.resumed) Object.assign(at, { kept: begun.step, reported: begun.step })
      return Effect.andThen(
        begun.resumed ? Console.log(`resumed behind step ${begun.step} of ${config.steps}`) : Effect.void,
        options.onBegun?.(begun) ?? Effect.void
      )
    }
  }).pipe(
    Stream.mapEffect(report),
    Stream.runLast,
    Effect.ensuring(status.clear),
    Stopping.waitsFor(() => remaining(at)),
    Effect.flatMap((last) => Effect.map(judge(config, told), (verdict): Ended => ({ last, verdict }))),
    Effect.catchTag("NothingToDo", (error) => Effect.fail(withCode(error, nothingToDoExitCode))),
    Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error)))
  )
}, Effect.scoped)

/**
 * Tells, when work in a run's directory was interrupted, how to go on with it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const resumable = <A, E, R>(work: Effect.Effect<A, E, R>, folder: RunFolder, command: string) =>
  Effect.onInterrupt(
    work,
    () => Console.error(`\nInterrupted. ${folder.directory} holds what was finished; go on with\n  ${command}`)
  )
