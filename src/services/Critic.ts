/**
 * The value network of PPO.
 *
 * @since 0.1.0
 */
import { Context, type Effect } from "effect"
import type { AdamW } from "../domain/AdamW.ts"
import type { MiniBatch } from "../domain/Batch.ts"
import type { MicroBatchBudget } from "../domain/MicroBatch.ts"
import type { ValueLossConfig } from "../domain/ValueLoss.ts"
import type { LearnerError, LearnerState } from "./Optimizer.ts"

/**
 * How one update of the critic is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface CriticUpdateOptions {
  readonly loss: ValueLossConfig
  readonly learningRate: number
  readonly adamW: AdamW
  readonly microBatch: MicroBatchBudget
}

/**
 * Estimates returns. `values` gives one array a sequence, shape `[tokens]`, aligned by token position: index `t` is the
 * value of the state in which token `t` is about to be written, that is the head's output at `t − 1`; position 0 holds 0.
 *
 * An update needs sequences with `valueMask`, `oldValues` and `returns`. Its metrics are those of the value loss summed
 * over the mini-batch, with `critic/grad_norm` and `critic/lr`.
 *
 * @category services
 * @since 0.1.0
 */
export class Critic extends Context.Service<Critic, {
  values(sequences: ReadonlyArray<Int32Array>): Effect.Effect<ReadonlyArray<Float32Array>, LearnerError>
  update(
    batch: MiniBatch,
    options: CriticUpdateOptions
  ): Effect.Effect<{ readonly metrics: Readonly<Record<string, number>> }, LearnerError>
  readonly state: Effect.Effect<LearnerState, LearnerError>
  restore(state: LearnerState): Effect.Effect<void, LearnerError>
}>()("effect-search-r1/services/Critic") {}
