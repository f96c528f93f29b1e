/**
 * Whether a run fits a device and its machine.
 *
 * @since 0.2.0
 */
import { Effect } from "effect"
import type { ModelConfig } from "../domain/ModelConfig.ts"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import * as RunMemory from "../domain/RunMemory.ts"
import * as Pretrained from "../layers/model/Pretrained.ts"
import type { DeviceName } from "./deviceFlag.ts"
import { placeOf } from "./deviceMemory.ts"
import * as PathKind from "./pathKind.ts"
import { modelOf } from "./trainServices.ts"
import { userError } from "./userError.ts"

/**
 * The device that a configuration names.
 *
 * @category getters
 * @since 0.2.0
 */
export const deviceOf = ({ device }: RunConfig): DeviceName => device === "auto" ? "wasm" : device

/**
 * The shape of a configuration's model, whose files have been opened.
 *
 * @category readers
 * @since 0.2.0
 */
export const openModel = (config: RunConfig) =>
  Effect.scoped(Effect.map(Pretrained.open(modelOf(config)), ({ weights }): ModelConfig => weights.config)).pipe(
    PathKind.explain(PathKind.given("model", modelOf(config)), PathKind.model)
  )

/**
 * What does not fit and what to set instead, or null.
 *
 * @category formatting
 * @since 0.2.0
 */
export const problem = ({ index, needed, problem, set }: RunMemory.RunMemory): string | null =>
  problem === null ? null : `This does not fit: ${problem}.\n${
    set.length === 0
      ? 2 * Math.max(index.building, index.resident) > needed.machine
        ? "Search elsewhere (search-r1 serve on another machine, retriever.kind=remote here), or a smaller corpus."
        : "Take a smaller model, shorter trajectories (rollout.maxContextTokens) or another device."
      : `Try ${set.map((assignment) => `--set ${assignment}`).join(" ")}`
  }`

/**
 * Fails where the device of a run is not there, its model cannot be read or what it takes does not fit. `questions` is how
 * many it is evaluated on.
 *
 * @category guards
 * @since 0.2.0
 */
export const expectFits = Effect.fn("Cli.expectFits")(function*(config: RunConfig, questions: number | null) {
  const model = yield* Effect.mapError(openModel(config), (error) => userError(error))
  const place = yield* placeOf(deviceOf(config))
  const told = problem(RunMemory.plan(config, model, place, questions))
  if (told !== null) return yield* userError(told)
})
