/**
 * One update of one network: micro-batches, gradient norm, step.
 *
 * @since 0.1.0
 */
import { Effect, type Scope, Semaphore } from "effect"
import type { AdamW } from "../../../domain/AdamW.ts"
import type { MiniBatch } from "../../../domain/Batch.ts"
import { addMetrics } from "../../../domain/Loss.ts"
import { type MicroBatchBudget, microBatches, type PackedBatch } from "../../../domain/MicroBatch.ts"
import { contextLength } from "../../../domain/ModelConfig.ts"
import type { Device, DeviceError } from "../../../services/Device.ts"
import {
  type LearnerError,
  LearnerUnavailable,
  MissingSignals,
  NonFiniteGradient
} from "../../../services/Optimizer.ts"
import { ContextOverflow } from "../../../services/Policy.ts"
import { AdamState } from "./AdamState.ts"
import { Gradients } from "./Gradients.ts"
import type { Keep, Network } from "./Packed.ts"
import { read } from "./read.ts"

/**
 * A network that learns. `memory` remembers across updates how much the device can hold; `broken` tells that a step
 * ended half-way. Updates, saving and restoring take turns: each sees the parameters of one version.
 *
 * @category models
 * @since 0.1.0
 */
export interface Learner {
  readonly kind: "actor" | "critic"
  readonly device: Device["Service"]
  readonly network: Network
  readonly adam: AdamState
  readonly memory: { maxTokens: number; keep: Keep }
  readonly turn: Semaphore.Semaphore
  broken: boolean
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  kind: Learner["kind"],
  device: Device["Service"],
  network: Network,
  options?: { readonly checkpointing?: boolean | undefined }
): Effect.Effect<Learner, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync((): Learner => ({
      kind,
      device,
      network,
      adam: new AdamState(),
      memory: { maxTokens: Number.POSITIVE_INFINITY, keep: options?.checkpointing === true ? "inputs" : "everything" },
      turn: Semaphore.makeUnsafe(1),
      broken: false
    })),
    (learner) => Effect.ignore(device.run(() => learner.adam.dispose()))
  )

/**
 * Loss and gradient of one micro-batch: the gradients go to `gradients`.
 *
 * @category models
 * @since 0.1.0
 */
export type MicroStep = (
  batch: PackedBatch,
  options: { readonly microBatches: number; readonly keep: Keep; readonly gradients: Gradients }
) => Effect.Effect<{ readonly loss: number; readonly metrics: Readonly<Record<string, number>> }, DeviceError>

/**
 * @category conversions
 * @since 0.1.0
 */
export const toLearnerError = (error: DeviceError): LearnerError =>
  error._tag === "OutOfDeviceMemory" ? error : new LearnerUnavailable({ reason: error.message })

/** What is tried when the memory does not suffice: half the tokens down to single sequences, then layer by layer. */
const shrink = (learner: Learner, batches: ReadonlyArray<PackedBatch>): boolean => {
  const { memory } = learner
  const shared = batches.filter((batch) => batch.sequenceOffsets.length > 2)
  if (shared.length > 0) {
    memory.maxTokens = Math.floor(Math.max(...shared.map((batch) => batch.ids.length)) / 2)
    return true
  }
  if (memory.keep === "inputs") return false
  memory.keep = "inputs"
  return true
}

const accumulate = Effect.fnUntraced(function*(
  learner: Learner,
  batches: ReadonlyArray<PackedBatch>,
  gradients: Gradients,
  microStep: MicroStep
) {
  const metrics: Record<string, number> = {}
  let loss = 0
  for (const batch of batches) {
    const part = yield* microStep(batch, { microBatches: batches.length, keep: learner.memory.keep, gradients })
    addMetrics(metrics, part.metrics)
    loss += part.loss
    yield* Effect.yieldNow
  }
  return { metrics, loss }
})

/**
 * Makes one step over a mini-batch. Where the device runs out of memory the same gradient is computed in smaller
 * micro-batches. A gradient that is not finite changes nothing and is the error `NonFiniteGradient`.
 *
 * @category operations
 * @since 0.1.0
 */
export const update = Effect.fn("Learner.update")(function*(
  learner: Learner,
  batch: MiniBatch,
  options: { readonly adamW: AdamW; readonly learningRate: number; readonly microBatch: MicroBatchBudget },
  microStep: MicroStep,
  onStep: () => void
): Effect.fn.Return<Readonly<Record<string, number>>, LearnerError> {
  const { adam, device, kind, memory, network } = learner
  if (learner.broken) {
    return yield* new LearnerUnavailable({ reason: "an earlier step ended half-way: restore a checkpoint" })
  }
  const limit = contextLength(network.config)
  for (const { ids, promptKey } of batch.sequences) {
    if (ids.length > limit) return yield* new ContextOverflow({ tokens: ids.length, limit })
    const foreign = ids.find((id) => id < 0 || id >= network.config.vocabularySize)
    if (foreign !== undefined) {
      return yield* new LearnerUnavailable({
        reason:
          `token id ${foreign} of ${promptKey} is outside the model's vocabulary of ${network.config.vocabularySize}`
      })
    }
  }
  const padded = !device.capabilities.fused.has("SrAttention")
  const attempt = Effect.fnUntraced(function*() {
    const maxTokens = Math.max(1, Math.min(options.microBatch.maxTokens, memory.maxTokens))
    const batches = microBatches(batch, {
      ...options.microBatch,
      maxTokens,
      padded: options.microBatch.padded ?? padded
    })
    const gradients = yield* Effect.acquireRelease(
      Effect.sync(() => new Gradients()),
      (gradients) => Effect.ignore(device.run(() => gradients.dispose()))
    )
    const result = yield* Effect.result(Effect.gen(function*() {
      yield* device.run(() => adam.prepare(network.parameters))
      const sums = yield* accumulate(learner, batches, gradients, microStep)
      const square = yield* device.run(() => gradients.sumSquares())
      const [values] = yield* Effect.ensuring(read(device, [square]), Effect.sync(() => square.dispose()))
      return { ...sums, gradNorm: Math.sqrt(values?.[0] ?? Number.NaN) }
    }))
    if (result._tag === "Failure") {
      return result.failure._tag === "OutOfDeviceMemory" && shrink(learner, batches)
        ? undefined
        : yield* toLearnerError(result.failure)
    }
    const { gradNorm, loss, metrics } = result.success
    if (!Number.isFinite(gradNorm) || !Number.isFinite(loss)) {
      return yield* new NonFiniteGradient({ network: kind, norm: String(gradNorm), loss: String(loss) })
    }
    const { adamW, learningRate } = options
    const gradScale = adamW.maxGradNorm === null ? 1 : Math.min(1, adamW.maxGradNorm / (gradNorm + 1e-6))
    const step = device.run(() => {
      adam.update(network.parameters, gradients, adamW, learningRate, gradScale)
      onStep()
    })
    yield* device.turn(step).pipe(Effect.mapError((error) => {
      learner.broken = true
      return toLearnerError(error)
    }))
    return {
      ...metrics,
      [`${kind}/loss`]: loss,
      [`${kind}/grad_norm`]: gradNorm,
      [`${kind}/lr`]: learningRate,
      [`${kind}/micro_batches`]: batches.length
    }
  }, Effect.scoped)
  while (true) {
    const metrics = yield* attempt()
    if (metrics !== undefined) return metrics
  }
}, (update, learner) => learner.turn.withPermit(update))

/**
 * Fails unless every sequence has what a loss needs.
 *
 * @category predicates
 * @since 0.1.0
 */
export const requireSignals = (
  batch: MiniBatch,
  signals: ReadonlyArray<"refLogProbs" | "behaviourLogProbs" | "valueMask" | "oldValues" | "returns">
): Effect.Effect<void, MissingSignals> => {
  const missing = signals.filter((signal) => batch.sequences.some((sequence) => sequence[signal] === undefined))
  return missing.length === 0 ? Effect.void : Effect.fail(new MissingSignals({ signals: missing }))
}
