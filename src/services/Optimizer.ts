/**
 * Improves the policy's parameters.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Option, Schema } from "effect"
import type { AdamW } from "../domain/AdamW.ts"
import type { MiniBatch } from "../domain/Batch.ts"
import type { LossConfig } from "../domain/LossConfig.ts"
import type { MicroBatchBudget } from "../domain/MicroBatch.ts"
import { OutOfDeviceMemory } from "./Device.ts"
import { ContextOverflow } from "./Policy.ts"

/**
 * The gradient holds NaN or infinity. The update was not applied: parameters and moments are as they were.
 *
 * @category errors
 * @since 0.1.0
 */
export class NonFiniteGradient extends Schema.TaggedError<NonFiniteGradient>()("NonFiniteGradient", {
  network: Schema.Literals(["actor", "critic"]),
  /** The global norm as text: `NaN` or `Infinity`. */
  norm: Schema.String,
  loss: Schema.String
}) {
  override get message() {
    return `the ${this.network}'s gradient has the norm ${this.norm} at a loss of ${this.loss}; the update was skipped`
  }
}

/**
 * The loss asks for per-token numbers that sequences of the batch do not carry.
 *
 * @category errors
 * @since 0.1.0
 */
export class MissingSignals extends Schema.TaggedError<MissingSignals>()("MissingSignals", {
  signals: Schema.Array(Schema.String)
}) {
  override get message() {
    return `the loss needs ${this.signals.join(" and ")} of every sequence in the batch`
  }
}

/**
 * A saved state does not fit the network: other shapes, other parameters, another format.
 *
 * @category errors
 * @since 0.1.0
 */
export class StateMismatch extends Schema.TaggedError<StateMismatch>()("StateMismatch", {
  reason: Schema.String
}) {
  override get message() {
    return `the saved state does not fit: ${this.reason}`
  }
}

/**
 * The engine that holds the parameters failed or ended.
 *
 * @category errors
 * @since 0.1.0
 */
export class LearnerUnavailable extends Schema.TaggedError<LearnerUnavailable>()("LearnerUnavailable", {
  reason: Schema.String
}) {
  override get message() {
    return `the learner is not available: ${this.reason}`
  }
}

/**
 * Why parameters could not be updated, saved or restored.
 *
 * @category errors
 * @since 0.1.0
 */
export const LearnerError = Schema.Union([
  NonFiniteGradient,
  OutOfDeviceMemory,
  ContextOverflow,
  MissingSignals,
  StateMismatch,
  LearnerUnavailable
])

/**
 * @category errors
 * @since 0.1.0
 */
export type LearnerError = typeof LearnerError.Type

/**
 * How one update is made. All of it is data.
 *
 * @category models
 * @since 0.1.0
 */
export interface UpdateOptions {
  readonly loss: LossConfig
  readonly learningRate: number
  readonly adamW: AdamW
  /** What logits are divided by before log-probabilities are taken: the temperature that rollouts were sampled at. */
  readonly temperature: number
  /** A layer may cut finer when the device runs out of memory; the gradient stays the same. */
  readonly microBatch: MicroBatchBudget
}

/**
 * What an update did: the loss's metrics summed over the mini-batch, with `actor/grad_norm` (before clipping) and
 * `actor/lr`.
 *
 * @category models
 * @since 0.1.0
 */
export interface UpdateResult {
  readonly metrics: Readonly<Record<string, number>>
  /** The policy's version after the update. */
  readonly policyVersion: number
}

/**
 * Everything that continuing needs, bit for bit: parameters, moments, counters. `info` is small, the bulk is in `blobs`.
 *
 * @category models
 * @since 0.1.0
 */
export interface LearnerState {
  readonly info: Schema.Json
  readonly blobs: Readonly<Record<string, Uint8Array>>
}

const decodeVersion = Schema.decodeUnknownOption(Schema.Struct({ version: Schema.Natural }))

/**
 * The policy's version that a state is of, where its `info` tells it as `version`.
 *
 * @category getters
 * @since 0.2.0
 */
export const policyVersion = ({ info }: LearnerState): Option.Option<number> =>
  Option.map(decodeVersion(info), ({ version }) => version)

/**
 * One update is one step of the optimizer over one mini-batch: forward and backward over its micro-batches, clip, step.
 * It changes the parameters that `Policy` samples from, and counts its version up.
 *
 * @category services
 * @since 0.1.0
 */
export class Optimizer extends Context.Service<Optimizer, {
  update(batch: MiniBatch, options: UpdateOptions): Effect.Effect<UpdateResult, LearnerError>
  readonly state: Effect.Effect<LearnerState, LearnerError>
  restore(state: LearnerState): Effect.Effect<void, LearnerError>
}>()("effect-search-r1/services/Optimizer") {}
