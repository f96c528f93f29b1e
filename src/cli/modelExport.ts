/**
 * `search-r1 export`: what a run has learned, as a model folder.
 *
 * @since 0.1.0
 */
import { Console, Effect } from "effect"
import { Argument, CliError, Command, Flag } from "effect/cli"
import { Precision } from "../domain/ModelConfig.ts"
import * as HuggingFaceWriter from "../layers/model/HuggingFaceWriter.ts"
import { Engine } from "../layers/policy/PolicyEngine.ts"
import * as TrainedPolicy from "./trainedPolicy.ts"
import { modelOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

/**
 * Saves the policy of a run's checkpoint into a directory, tokenizer and chat template beside it, and answers after how
 * many steps it was.
 *
 * @category programs
 * @since 0.1.0
 */
export const exportPolicy = (
  run: TrainedPolicy.Run,
  checkpoint: string,
  directory: string,
  precision?: Precision | undefined
) =>
  Effect.gen(function*() {
    const step = yield* TrainedPolicy.restore(run, checkpoint)
    const { config, readWeight } = yield* Engine
    yield* HuggingFaceWriter.save(directory, {
      config,
      read: readWeight,
      companionsFrom: modelOf(run.config),
      precision
    })
    return step
  }).pipe(
    Effect.provide(TrainedPolicy.layer(run)),
    Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error)))
  )

/**
 * @category commands
 * @since 0.1.0
 */
export const modelExport = Command.make("export", {
  directory: Argument.String("directory").pipe(
    Argument.withDescription("Where the model is saved; a model that is there is replaced")
  ),
  ...TrainedPolicy.runFlags,
  precision: Flag.Literals("precision", Precision.literals).pipe(
    Flag.withDescription("Number format of the weights; that of the model which the run began with unless given"),
    Flag.optional
  )
}, (input) =>
  Effect.gen(function*() {
    const run = yield* TrainedPolicy.open(input)
    const precision = input.precision._tag === "Some" ? input.precision.value : undefined
    const step = yield* exportPolicy(run, input.checkpoint, input.directory, precision)
    yield* Console.log(`${input.directory}: the policy of ${run.folder.directory} after ${step} steps`)
  }).pipe(Effect.scoped)).pipe(
    Command.withDescription(
      "Save the policy of a run as a model folder in Hugging Face's layout: what train --set model=DIR, sft --model DIR, transformers and others load."
    ),
    Command.withShortDescription("Save a run's policy as a model folder"),
    Command.withExamples([
      {
        command: "search-r1 export models/searcher --run runs/20260101-120000-start",
        description: "The newest checkpoint"
      },
      {
        command: "search-r1 export models/searcher --run runs/20260101-120000-grpo --checkpoint best",
        description: "The one with the best evaluation"
      }
    ])
  )
