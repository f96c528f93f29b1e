/**
 * Runs a configuration in a folder and shows it. `train` and `start` share it.
 *
 * @since 0.1.0
 */
import { Clock, Console, Effect, Runtime, Stream } from "effect"
import { CliError } from "effect/cli"
import type { Question } from "../domain/Question.ts"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import * as Train from "../programs/Train.ts"
import type { QuestionsUnreadable } from "../services/Questions.ts"
import type { Retriever } from "../services/Retriever.ts"
import * as LiveStatus from "./liveStatus.ts"
import type { RunFolder } from "./runFolder.ts"
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
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly folder: RunFolder
  readonly config: RunConfig
  readonly resume: boolean
  readonly evaluation?: Stream.Stream<Question, QuestionsUnreadable> | undefined
  readonly evaluationRetriever?: Retriever["Service"] | undefined
}

/**
 * Trains, prints a line a step, and gives all reports without their trajectories but for the last step's.
 *
 * @category programs
 * @since 0.1.0
 */
export const trainRun = Effect.fn("Cli.trainRun")(function*(options: Options) {
  const { config, resume } = options
  const style = yield* terminalStyle
  const started = yield* Clock.currentTimeMillis
  const status = yield* LiveStatus.make
  let made = 0
  const report = Effect.fnUntraced(function*(step: Train.StepReport) {
    if (step.step > 0) made++
    yield* status.clear
    const elapsed = ((yield* Clock.currentTimeMillis) - started) / 1000
    yield* Console.log(stepText(step, elapsed / Math.max(1, made), style))
    return step
  })
  return yield* Train.run(config, {
    resume,
    evaluation: options.evaluation,
    evaluationRetriever: options.evaluationRetriever,
    onProgress: ({ done, phase, step, total }) =>
      status.show(
        `step ${step}/${config.steps}  ${phase} ${phase === "scoring" ? "" : done}${
          phase === "scoring" || total === null ? "" : `/${total}`
        }`
      ),
    onResumed: (step) => Console.log(`resumed behind step ${step} of ${config.steps}`)
  }).pipe(
    Stream.mapEffect(report),
    Stream.runLast,
    Effect.ensuring(status.clear),
    Effect.catchTag(
      "NothingToDo",
      (error) => Effect.fail(Object.assign(userError(error), { [Runtime.errorExitCode]: nothingToDoExitCode }))
    ),
    Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error)))
  )
})

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
