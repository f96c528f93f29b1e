/**
 * What a run will do, before it does it.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import * as ModelTensors from "../domain/ModelTensors.ts"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import * as RunPlan from "../domain/RunPlan.ts"
import * as HuggingFaceModel from "../layers/model/HuggingFaceModel.ts"
import { encodeConfig } from "./runFolder.ts"
import { table } from "./table.ts"
import { userError } from "./userError.ts"

const GiB = 2 ** 30

/**
 * The resolved configuration, and estimates of a step's tokens and of the memory that the run takes on its device.
 *
 * @category formatting
 * @since 0.1.0
 */
export const planText = Effect.fnUntraced(function*(config: RunConfig, modelPath: string) {
  const model = yield* HuggingFaceModel.readConfig(modelPath).pipe(Effect.mapError((error) => userError(error)))
  const weights = ModelTensors.parameterCount(model)
  const { rollout, update } = config
  const trajectories = rollout.prompts * rollout.groupSize
  const perTrajectory = Math.min(
    rollout.maxContextTokens,
    rollout.maxPromptTokens +
      (rollout.maxTurns + 1) * rollout.maxResponseTokens +
      (rollout.doSearch ? rollout.maxTurns * rollout.maxObservationTokens : 0)
  )
  const policyTokens = RunPlan.maxPolicyTokens(config)
  const copies = 1 + 1 + 2 + (RunPlan.usesReference(config) ? 1 : 0) + (RunPlan.usesCritic(config) ? 4 : 0)
  const kvBytes = 2 * model.layers * model.keyValueHeads * model.headDim * 4
  const inFlight = Math.min(trajectories, rollout.concurrency)
  const activation = 4 * model.layers * (10 * model.hiddenSize + 4 * model.intermediateSize)
  const gib = (bytes: number) => (bytes / GiB).toFixed(3)
  const rows: ReadonlyArray<ReadonlyArray<string>> = [
    ["weights of the model", weights.toLocaleString("en")],
    ["trajectories a step", trajectories.toLocaleString("en")],
    ["updates a step", String(RunPlan.updatesPerStep(config))],
    ["tokens a step at most: context", (trajectories * perTrajectory).toLocaleString("en")],
    ["tokens a step at most: sampled", (trajectories * policyTokens).toLocaleString("en")],
    ["searches a step at most", (rollout.doSearch ? trajectories * rollout.maxTurns : 0).toLocaleString("en")],
    [
      `weights, gradients, moments${RunPlan.usesReference(config) ? ", reference" : ""}${
        RunPlan.usesCritic(config) ? ", critic" : ""
      } (GiB, float32)`,
      gib(copies * weights * 4)
    ],
    ["key-value cache at most (GiB)", gib(inFlight * perTrajectory * kvBytes)],
    ["activations of a micro-batch (GiB, about)", gib(update.microBatchTokens * activation)]
  ]
  return `${yield* encodeConfig(config)}\n\n${table([{ heading: "plan" }, { heading: "", align: "right" }], rows)}`
})
