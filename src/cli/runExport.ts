/**
 * `search-r1 runs export`: the policy of a run as a model folder that other tools load.
 *
 * @since 0.1.0
 */
import { Console, Effect, Option, Path } from "effect"
import { Argument, CliError, Command } from "effect/cli"
import { Precision } from "../domain/ModelConfig.ts"
import * as ModelTensors from "../domain/ModelTensors.ts"
import { plural } from "../domain/Plural.ts"
import * as HuggingFaceModel from "../layers/model/HuggingFaceModel.ts"
import * as HuggingFaceWriter from "../layers/model/HuggingFaceWriter.ts"
import * as Weights from "../layers/model/Weights.ts"
import { Engine } from "../layers/policy/PolicyEngine.ts"
import * as Flag from "./flag.ts"
import { isThere } from "./isThere.ts"
import * as Outputs from "./outputs.ts"
import { progress } from "./progress.ts"
import * as Stopping from "./stopping.ts"
import * as TrainedPolicy from "./trainedPolicy.ts"
import { modelOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

const { checkpoint, device } = TrainedPolicy.runFlags

/** Fails where saving into a folder would destroy something that is not the model of an earlier export. */
const checkTarget = Effect.fnUntraced(function*(target: string, overwrite: boolean) {
  const { join } = yield* Path.Path
  const { config, index, weights } = HuggingFaceModel.fileNames
  if ((yield* isThere(join(target, weights))) || (yield* isThere(join(target, index)))) {
    return overwrite ? undefined : yield* userError(
      `${target} holds a model already.`,
      "Name another folder, or replace the model in it with --overwrite."
    )
  }
  if (yield* isThere(join(target, config))) {
    return yield* userError(
      `${target} holds a ${config} that belongs to no model; a model's would replace it.`,
      "Name another folder."
    )
  }
})

/**
 * Saves what a run had learned by a checkpoint into a directory, with the tokenizer and the generation settings of the
 * model that it began with. Without `precision` it is that model's.
 *
 * @category programs
 * @since 0.1.0
 */
export const savePolicy = Effect.fn("Cli.savePolicy")(function*(
  run: TrainedPolicy.Run,
  options: { readonly checkpoint: string; readonly directory: string; readonly precision?: Precision | undefined }
) {
  return yield* Effect.gen(function*() {
    const step = yield* TrainedPolicy.restore(run, options.checkpoint)
    const { config, readWeight } = yield* Engine
    const precision = options.precision ?? config.precision
    const { tick } = yield* progress({ unit: "tensor", total: ModelTensors.tensors(config).length })
    yield* Weights.save(options.directory, {
      config,
      precision,
      companionsFrom: modelOf(run.config),
      read: (tensor) => Effect.tap(readWeight(tensor), tick)
    })
    return { step, precision, parameters: ModelTensors.parameterCount(config) }
  }).pipe(Effect.provide(TrainedPolicy.layer(run)), Stopping.waitsFor("the tensor in hand; no half of a model stays"))
}, Effect.scoped)

/**
 * @category commands
 * @since 0.1.0
 */
export const runExport = Command.make("export", {
  run: Argument.String("run").pipe(Argument.withDescription("The run's directory")),
  directory: Argument.String("directory").pipe(
    Argument.withDescription("Where the model is saved: config.json, safetensors, tokenizer and generation settings")
  ),
  checkpoint,
  precision: Flag.Literals("precision", Precision.literals).pipe(
    Flag.withDescription("The number format of the weights (default that of the model that the run began with)"),
    Flag.optional
  ),
  overwrite: Flag.Boolean("overwrite").pipe(
    Flag.withDescription("Replace the model that is in the directory; other files in it stay"),
    Flag.withDefault(false)
  ),
  device
}, (input) =>
  Effect.gen(function*() {
    const { resolve } = yield* Path.Path
    const target = resolve(input.directory)
    const run = yield* TrainedPolicy.open(input)
    yield* Outputs.claimDirectory(target, [...Outputs.run(run.folder), yield* Outputs.model(modelOf(run.config))])
    yield* checkTarget(target, input.overwrite)
    yield* HuggingFaceWriter.check(target)
    const { parameters, precision, step } = yield* savePolicy(run, {
      checkpoint: input.checkpoint,
      directory: target,
      precision: Option.getOrUndefined(input.precision)
    })
    yield* Console.log(
      `${target}: the policy after ${plural(step, "step")}, ${
        parameters.toLocaleString("en-US")
      } weights in ${precision}`
    )
  }).pipe(
    Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error)))
  )).pipe(
    Command.withDescription(
      "Save the policy of a run as a model folder in Hugging Face's layout, which transformers, vLLM and this program load: config.json and safetensors, with the tokenizer and generation settings of the model that the run began with."
    ),
    Command.withShortDescription("Save a run's policy as a model folder"),
    Command.withExamples([
      {
        command: "search-r1 runs export runs/20260101-120000-start my-model",
        description: "The newest checkpoint"
      },
      {
        command: "search-r1 runs export runs/20260101-120000-grpo my-model --checkpoint best --precision bfloat16",
        description: "The best one, in half the size"
      },
      {
        command: "search-r1 train --config run.json --set model=my-model",
        description: "Go on from it with another run"
      }
    ])
  )
