/**
 * The language model being trained, as rollouts see it.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Schema, type Scope } from "effect"
import type { Sampling } from "../domain/Sampling.ts"
import type { FinishReason } from "../domain/Trajectory.ts"
import { OutOfDeviceMemory } from "./Device.ts"

/**
 * A context would become longer than the model can hold.
 *
 * @category errors
 * @since 0.1.0
 */
export class ContextOverflow extends Schema.TaggedError<ContextOverflow>()("ContextOverflow", {
  tokens: Schema.Natural,
  limit: Schema.Natural
}) {
  override get message() {
    return `a context of ${this.tokens} tokens exceeds the model's ${this.limit}`
  }
}

/**
 * The engine behind the policy failed or ended.
 *
 * @category errors
 * @since 0.1.0
 */
export class PolicyUnavailable extends Schema.TaggedError<PolicyUnavailable>()("PolicyUnavailable", {
  reason: Schema.String
}) {
  override get message() {
    return `the policy is not available: ${this.reason}`
  }
}

/**
 * A recorded policy was asked for something that its recording does not hold.
 *
 * @category errors
 * @since 0.1.0
 */
export class ReplayMismatch extends Schema.TaggedError<ReplayMismatch>()("ReplayMismatch", {
  promptKey: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `the recording does not fit the rollout ${this.promptKey}: ${this.reason}`
  }
}

/**
 * Why a policy could not generate.
 *
 * @category errors
 * @since 0.1.0
 */
export const PolicyError = Schema.Union([ContextOverflow, OutOfDeviceMemory, PolicyUnavailable, ReplayMismatch])

/**
 * @category errors
 * @since 0.1.0
 */
export type PolicyError = typeof PolicyError.Type

/**
 * What to generate. `stop` strings end the generation and are part of it; the token that completes one is kept whole.
 *
 * @category models
 * @since 0.1.0
 */
export interface GenerateOptions {
  readonly maxTokens: number
  readonly sampling: Sampling
  readonly stop: ReadonlyArray<string>
}

/**
 * Tokens that the policy sampled, now part of the session's context. All arrays have the shape `[tokens]`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Generation {
  readonly ids: Int32Array
  /** Under the distribution that was sampled: temperature, top-k and top-p applied; NaN where the engine cannot tell. */
  readonly logProbs: Float32Array
  /** Under the untruncated softmax at temperature 1. */
  readonly modelLogProbs: Float32Array
  readonly text: string
  /** The tail of `text` behind the stop string. */
  readonly surplus: string
  readonly finish: FinishReason
  readonly policyVersion: number
}

/**
 * Is told the text of a generation while it is drawn, piece by piece, each with whole characters.
 *
 * @category models
 * @since 0.1.0
 */
export type OnText = (piece: string) => Effect.Effect<void>

/**
 * A conversation with the policy. It may keep a key-value cache, so a turn costs its own tokens only; the cache is freed
 * with the session's scope. Calls of one session are sequential.
 *
 * @category models
 * @since 0.1.0
 */
export interface PolicySession {
  /** Appends tokens that the policy did not write. */
  readonly append: (ids: Int32Array) => Effect.Effect<void, PolicyError>
  /** Before it ends `onText` has been told the whole text, or nothing where a layer has no pieces to tell. */
  readonly generate: (options: GenerateOptions, onText?: OnText) => Effect.Effect<Generation, PolicyError>
}

/**
 * How to open a session. Sessions with equal `promptKey` start with equal ids, so a layer can share their prefill.
 * `seed` alone decides what is drawn, whatever else runs at the same time.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionOptions {
  readonly promptKey: string
  readonly sample: number
  readonly ids: Int32Array
  readonly seed: string
  /** Generations of the rollout before this session; not 0 only where a rollout opens a session a turn. */
  readonly turn?: number | undefined
}

/**
 * Log-probability and entropy of each token of a sequence given those before it, in nats, shape `[tokens]`; position 0
 * has no prediction and holds 0.
 *
 * @category models
 * @since 0.1.0
 */
export interface SequenceLogProbs {
  readonly logProbs: Float32Array
  readonly entropy: Float32Array
}

/**
 * The language model. Many sessions run at once; a layer batches them.
 *
 * @category services
 * @since 0.1.0
 */
export class Policy extends Context.Service<Policy, {
  /** Tokens that one context can hold. */
  readonly contextLength: number
  /** Number of updates that the parameters have seen. */
  readonly version: Effect.Effect<number>
  session(options: SessionOptions): Effect.Effect<PolicySession, PolicyError, Scope.Scope>
  /** Log-probabilities at temperature `temperature` (1 unless told) of whole sequences under the current parameters. */
  logProbs(
    sequences: ReadonlyArray<Int32Array>,
    options?: { readonly temperature?: number | undefined }
  ): Effect.Effect<ReadonlyArray<SequenceLogProbs>, PolicyError>
}>()("effect-search-r1/services/Policy") {}
