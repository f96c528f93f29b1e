/**
 * What a run will do, before it does it.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { freemem } from "node:os"
import * as MemoryPlan from "../domain/MemoryPlan.ts"
import { contextLength } from "../domain/ModelConfig.ts"
import type { RunConfig } from "../domain/RunConfigSchema.ts"
import * as RunPlan from "../domain/RunPlan.ts"
import * as HuggingFaceModel from "../layers/model/HuggingFaceModel.ts"
import { deviceMemory } from "./deviceMemory.ts"
import { gib, memoryRows } from "./devicePlan.ts"
import { encodeConfig } from "./runFolder.ts"
import { table } from "./table.ts"
import { userError } from "./userError.ts"

/**
 * The resolved configuration, and estimates of a step's tokens and of the memory that the run takes on its device.
 *
 * @category formatting
 * @since 0.1.0
 */
export const planText = Effect.fnUntraced(function*(config: RunConfig, modelPath: string) {
  const model = yield* HuggingFaceModel.readConfig(modelPath).pipe(Effect.mapError((error) => userError(error)))
  const { rollout, update } = config
  const trajectories = rollout.prompts * rollout.groupSize
  const perTrajectory = Math.min(
    rollout.maxContextTokens,
    contextLength(model),
    rollout.maxPromptTokens +
      (rollout.maxTurns + 1) * rollout.maxResponseTokens +
      (rollout.doSearch ? rollout.maxTurns * rollout.maxObservationTokens : 0)
  )
  const policyTokens = Math.min(RunPlan.maxPolicyTokens(config), perTrajectory)
  const device = config.device === "auto" ? "wasm" : config.device
  const { known, limitBytes, storage } = yield* deviceMemory(device).pipe(
    Effect.map((memory) => ({ ...memory, known: true })),
    // a plan for another machine is still worth reading
    Effect.orElseSucceed(() => ({ storage: "float32" as const, limitBytes: freemem(), known: false }))
  )
  const planned = MemoryPlan.plan(model, {
    storage,
    limitBytes,
    sequenceTokens: perTrajectory,
    sessions: Math.min(trajectories, rollout.concurrency),
    reference: RunPlan.usesReference(config),
    critic: RunPlan.usesCritic(config),
    training: true
  })
  const microBatch = Math.min(update.microBatchTokens, planned.microBatchTokens.everything)
  const rows: ReadonlyArray<ReadonlyArray<string>> = [
    ["trajectories a step", trajectories.toLocaleString("en")],
    ["updates a step", String(RunPlan.updatesPerStep(config))],
    ["tokens a step at most: context", (trajectories * perTrajectory).toLocaleString("en")],
    ["tokens a step at most: sampled", (trajectories * policyTokens).toLocaleString("en")],
    ["searches a step at most", (rollout.doSearch ? trajectories * rollout.maxTurns : 0).toLocaleString("en")],
    ["tokens of a micro-batch", microBatch.toLocaleString("en")]
  ]
  const [excess, ...advice] = planned.advice
  return [
    yield* encodeConfig(config),
    "",
    table([{ heading: "plan" }, { heading: "", align: "right" }], rows),
    "",
    table([{ heading: `memory on ${device} (${storage})` }, { heading: "GiB", align: "right" }], [
      ...memoryRows(planned, true),
      ["activations of a micro-batch", gib(microBatch * planned.activationsPerToken.everything)]
    ]),
    known
      ? `The device has ${gib(limitBytes)} GiB.`
      : `${device} is not available here: reckoned for float32 and ${gib(limitBytes)} GiB.`,
    ...(excess === undefined ? [] : [`This does not fit: ${excess}.`, ...advice.map((line) => `  - ${line}`)])
  ].join("\n")
})
