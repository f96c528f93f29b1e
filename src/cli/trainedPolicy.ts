/**
 * The policy that a run has trained, as one of its checkpoints holds it.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Option, Schema } from "effect"
import { CliError } from "effect/cli"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import { shellPath } from "../domain/ShellWord.ts"
import * as CheckpointsFileSystem from "../layers/checkpoints/CheckpointsFileSystem.ts"
import * as FairScheduler from "../programs/FairScheduler.ts"
import * as Train from "../programs/Train.ts"
import { Checkpoints } from "../services/Checkpoints.ts"
import { deviceNames } from "./deviceFlag.ts"
import * as Flag from "./flag.ts"
import type * as PathKind from "./pathKind.ts"
import * as RunFolder from "./runFolder.ts"
import { engineOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

/**
 * Spread into the configuration of a command that uses what a run has learned.
 *
 * @category flags
 * @since 0.1.0
 */
export const runFlags = {
  run: Flag.String("run").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("The run's directory, as start and train print it; \"search-r1 runs\" lists them")
  ),
  checkpoint: Flag.String("checkpoint").pipe(
    Flag.withMetavar("best|latest|STEP"),
    Flag.withSchema(
      Schema.String.check(Schema.isPattern(/^(best|latest|\d+)$/, { expected: "best, latest or a step" }))
    ),
    Flag.withDescription("The checkpoint to use: the newest, the one with the best evaluation, or that of a step"),
    Flag.withDefault("latest")
  ),
  device: Flag.Literals("device", deviceNames).pipe(
    Flag.withAlias("d"),
    Flag.withDescription(
      "Where tensors are computed; \"search-r1 device list\" tells what works (default where the run did)"
    ),
    Flag.optional
  )
}

/**
 * A run that has been looked up, with the configuration to use it by.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  readonly folder: RunFolder.RunFolder
  readonly config: RunConfig
}

/**
 * Looks a run up. `ways` tells how the caller takes what is none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = Effect.fnUntraced(function*(input: {
  readonly run: string
  readonly device: Option.Option<typeof deviceNames[number]>
}, ways?: PathKind.Ways) {
  const folder = yield* RunFolder.at(input.run)
  const config = yield* RunFolder.relocate(folder, yield* RunFolder.readConfig(folder, ways))
  const run: Run = { folder, config: { ...config, device: Option.getOrElse(input.device, () => config.device) } }
  return run
})

/**
 * Policy, optimizer and tokenizer of a run, not yet with what it has learned, and its checkpoints.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = ({ config, folder }: Run) =>
  Layer.mergeAll(
    engineOf(config, { learning: false }),
    CheckpointsFileSystem.layer(folder.checkpoints),
    FairScheduler.layer
  )

const choose = Effect.fnUntraced(function*({ folder }: Run, choice: string) {
  const checkpoints = yield* Checkpoints
  const chosen = choice === "latest"
    ? yield* checkpoints.latest
    : choice === "best"
    ? yield* Train.chosenCheckpoint
    : Option.fromNullishOr((yield* checkpoints.list).find(({ step }) => step === Number(choice)))
  if (Option.isSome(chosen)) return chosen.value
  const steps = (yield* checkpoints.list).map(({ step }) => step)
  return yield* steps.length === 0
    ? userError(
      `${folder.directory} has no checkpoint yet.`,
      `A run saves one when its steps are made; "search-r1 train --resume ${
        shellPath(folder.directory)
      }" goes on with it.`
    )
    : userError(`${folder.directory} has no checkpoint of step ${choice}.`, `There are those of ${steps.join(", ")}.`)
})

/**
 * Gives the policy what the run had learned by a checkpoint, and answers after how many steps that was.
 *
 * @category programs
 * @since 0.1.0
 */
export const restore = Effect.fn("Cli.restore")(function*(run: Run, choice: string) {
  const info = yield* choose(run, choice)
  const { step } = yield* Train.restoreActor(info)
  return step
}, Effect.catchIf((error) => !CliError.isCliError(error), (error) => Effect.fail(userError(error))))
