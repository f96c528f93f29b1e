/**
 * What a run will do, before it does it.
 *
 * @since 0.1.0
 */
import { Effect, Option, Schema } from "effect"
import { plural } from "../domain/Plural.ts"
import { RunConfig } from "../domain/RunConfigSchema.ts"
import type * as RunMemory from "../domain/RunMemory.ts"
import * as RunPlan from "../domain/RunPlan.ts"
import { gib } from "./devicePlan.ts"
import { deviceOf } from "./memoryCheck.ts"
import type { Preflight } from "./preflight.ts"
import { encodeConfig } from "./runFolder.ts"
import { table } from "./table.ts"
import * as TextWidth from "./textWidth.ts"

const Bytes = Schema.Finite

/** What `train --dry-run --json` prints. Memory is in bytes. */
const Report = Schema.Struct({
  /** Whether the run could start. */
  ok: Schema.Boolean,
  problems: Schema.Array(Schema.Struct({ key: Schema.String, message: Schema.String })),
  found: Schema.Array(Schema.Struct({ key: Schema.String, place: Schema.String, what: Schema.String })),
  plan: Schema.NullOr(Schema.Struct({
    trajectoriesPerStep: Schema.Finite,
    updatesPerStep: Schema.Finite,
    contextTokensPerStep: Schema.Finite,
    sampledTokensPerStep: Schema.Finite,
    searchesPerStep: Schema.Finite,
    microBatchTokens: Schema.Finite
  })),
  memory: Schema.NullOr(Schema.Struct({
    device: Schema.String,
    storage: Schema.String,
    /** Null where only the machine limits the device. */
    deviceBytes: Schema.NullOr(Bytes),
    machineBytes: Bytes,
    machineLimit: Schema.String,
    parts: Schema.Record(Schema.String, Bytes),
    phases: Schema.Array(Schema.Struct({ name: Schema.String, device: Bytes, machine: Bytes })),
    needed: Schema.Struct({ device: Bytes, machine: Bytes }),
    fits: Schema.Boolean,
    set: Schema.Array(Schema.String)
  })),
  config: RunConfig
})

const encodeReport = Schema.encodeEffect(Schema.fromJsonString(Schema.toCodecJson(Report)))

const planOf = (config: RunConfig, memory: RunMemory.RunMemory) => {
  const { rollout } = config
  const trajectories = rollout.prompts * rollout.groupSize
  return {
    trajectoriesPerStep: trajectories,
    updatesPerStep: RunPlan.updatesPerStep(config),
    contextTokensPerStep: trajectories * memory.sequenceTokens,
    sampledTokensPerStep: trajectories * Math.min(RunPlan.maxPolicyTokens(config), memory.sequenceTokens),
    searchesPerStep: rollout.doSearch ? trajectories * rollout.maxTurns : 0,
    microBatchTokens: memory.microBatchTokens
  }
}

const partsOf = (memory: RunMemory.RunMemory): Readonly<Record<string, number>> => ({
  weights: memory.weights,
  optimizer: memory.optimizer,
  gradients: memory.gradients,
  referencePolicy: memory.referencePolicy,
  critic: memory.critic,
  samplingCache: memory.samplingCache,
  evaluationCache: memory.evaluationCache,
  activations: memory.activations,
  workspace: memory.workspace,
  checkpointCopy: memory.checkpointCopy,
  index: memory.index.resident,
  program: memory.program
})

/**
 * A preflight as one line of JSON.
 *
 * @category formatting
 * @since 0.2.0
 */
export const planJson = (config: RunConfig, { found, memory, place, problems }: Preflight): Effect.Effect<string> =>
  Effect.orDie(encodeReport({
    ok: problems.length === 0,
    problems,
    found,
    plan: Option.match(memory, { onNone: () => null, onSome: (memory) => planOf(config, memory) }),
    memory: Option.match(Option.all([memory, place]), {
      onNone: () => null,
      onSome: ([memory, place]) => ({
        device: deviceOf(config),
        storage: place.storage,
        deviceBytes: Number.isFinite(place.deviceBytes) ? place.deviceBytes : null,
        machineBytes: place.machineBytes,
        machineLimit: place.machineLimit,
        parts: partsOf(memory),
        phases: memory.phases,
        needed: memory.needed,
        fits: memory.fits,
        set: memory.set
      })
    }),
    config
  }))

const rowsOf = (memory: RunMemory.RunMemory): ReadonlyArray<readonly [string, number]> => [
  [`weights of the policy (${memory.parameters.toLocaleString("en-US")})`, memory.weights],
  ["its optimizer", memory.optimizer],
  ["its gradients", memory.gradients],
  ["reference policy", memory.referencePolicy],
  ["critic and its optimizer", memory.critic],
  [`key-value cache of ${plural(memory.samplingSessions, "rollout")}`, memory.samplingCache],
  [`key-value cache of ${plural(memory.evaluationSessions, "evaluation rollout")}`, memory.evaluationCache],
  [`activations of ${plural(memory.microBatchTokens, "token")}`, memory.activations],
  ["logits and their gradient", memory.workspace],
  ["copy that a checkpoint is written from", memory.checkpointCopy],
  ["passages and index of the search", memory.index.resident],
  ["the program and its trajectories", memory.program]
]

const right = "right" as const

const memoryTables = (config: RunConfig, preflight: Preflight, width: number | undefined): ReadonlyArray<string> =>
  Option.match(Option.all([preflight.memory, preflight.place]), {
    onNone: () => [],
    onSome: ([memory, place]) => {
      const machine = place.machineLimit === "machine"
        ? `The machine can give ${gib(place.machineBytes)} GiB`
        : `The machine's ${place.machineLimit} can give ${gib(place.machineBytes)} GiB`
      return [
        table(
          [{ heading: `memory on ${deviceOf(config)} (${place.storage})` }, { heading: "GiB", align: right }],
          rowsOf(memory).filter(([, bytes]) => bytes > 0).map(([name, bytes]) => [name, gib(bytes)]),
          width
        ),
        table(
          [
            { heading: "at most" },
            { heading: "device", align: right },
            { heading: place.separate ? "machine" : "in all", align: right }
          ],
          memory.phases.map(({ device, machine, name }) => [name, gib(device), gib(machine)]),
          width
        ),
        Number.isFinite(place.deviceBytes)
          ? `${machine}, the device may use ${gib(place.deviceBytes)} GiB.`
          : `${machine}.`
      ]
    }
  })

/**
 * A preflight for people: the resolved configuration, what was opened, and estimates of a step's tokens and of the memory
 * that each phase takes.
 *
 * @category formatting
 * @since 0.1.0
 */
export const planText = Effect.fnUntraced(function*(config: RunConfig, preflight: Preflight) {
  const width = yield* TextWidth.available
  const plan = Option.match(preflight.memory, {
    onNone: () => [],
    onSome: (memory) => {
      const planned = planOf(config, memory)
      const rows = [
        ["trajectories a step", planned.trajectoriesPerStep],
        ["updates a step", planned.updatesPerStep],
        ["tokens a step at most: context", planned.contextTokensPerStep],
        ["tokens a step at most: sampled", planned.sampledTokensPerStep],
        ["searches a step at most", planned.searchesPerStep],
        ["tokens of a micro-batch", planned.microBatchTokens]
      ] as const
      return [
        table(
          [{ heading: "plan" }, { heading: "", align: right }],
          rows.map(([name, value]) => [name, value.toLocaleString("en-US")]),
          width
        )
      ]
    }
  })
  const found = preflight.found.length === 0 ? [] : [
    table(
      [{ heading: "opened" }, { heading: "" }, { heading: "" }],
      preflight.found.map(({ key, place, what }) => [key, what, place]),
      width
    )
  ]
  return [yield* encodeConfig(config), ...found, ...plan, ...memoryTables(config, preflight, width)].join("\n\n")
})
