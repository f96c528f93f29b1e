/**
 * What bounds a rollout, and how it can fail.
 *
 * @since 0.1.0
 */
import { type Duration, type Effect, Schema } from "effect"
import { plural } from "../../domain/Plural.ts"
import { type Compat, fixed } from "../../domain/Presets.ts"
import type { Template } from "../../domain/Protocol.ts"
import type { Question } from "../../domain/Question.ts"
import { onPolicy, type Sampling } from "../../domain/Sampling.ts"
import type { Segment } from "../../domain/Trajectory.ts"
import { type OnText, PolicyError } from "../../services/Policy.ts"
import { RetrieverError } from "../../services/Retriever.ts"
import { ChatTemplateError } from "../../services/Tokenizer.ts"

/**
 * A rollout took longer than it may.
 *
 * @category errors
 * @since 0.1.0
 */
export class RolloutDeadlineExceeded extends Schema.TaggedError<RolloutDeadlineExceeded>()("RolloutDeadlineExceeded", {
  milliseconds: Schema.Finite
}) {
  override get message() {
    return `the rollout did not end within ${this.milliseconds} ms`
  }
}

/**
 * A prompt does not fit the prompt budget, or leaves no room for a response in the context.
 *
 * @category errors
 * @since 0.1.0
 */
export class PromptTooLong extends Schema.TaggedError<PromptTooLong>()("PromptTooLong", {
  tokens: Schema.Natural,
  limit: Schema.Natural
}) {
  override get message() {
    return `a prompt of ${
      plural(this.tokens, "token")
    } exceeds its ${this.limit}: raise maxPromptTokens or maxContextTokens, or shorten the question`
  }
}

/**
 * Why a rollout failed. None of these can become a reward.
 *
 * @category errors
 * @since 0.1.0
 */
export const RolloutError = Schema.Union([
  RetrieverError,
  PolicyError,
  ChatTemplateError,
  RolloutDeadlineExceeded,
  PromptTooLong
])

/**
 * @category errors
 * @since 0.1.0
 */
export type RolloutError = typeof RolloutError.Type

/**
 * One use of a question. Rollouts of the same `promptKey` form a group; the key is unique within a run, so that two
 * uses of a question, or equal ids in two data sets, never share one (quirk Q30).
 *
 * @category models
 * @since 0.1.0
 */
export interface PromptInstance {
  readonly promptKey: string
  readonly question: Question
}

/**
 * The bounds of rollouts. Token counts are those of the policy's tokenizer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Rollouts of each prompt. */
  readonly groupSize: number
  /** Rollouts in flight at once. */
  readonly concurrency: number
  /** Whether outcomes arrive as they complete or in the order of their prompts. */
  readonly order: "completion" | "input"
  /** Time that one rollout may take, its searches and retries included. */
  readonly deadline: Duration.Input
  /** Decides, with the prompt's key and the sample's number, everything random in a rollout. */
  readonly seed: string
  readonly template: Template
  /** Off: one generation without search (the paper's R1 baseline). */
  readonly doSearch: boolean
  /** Generations that may search; one more without search follows them. */
  readonly maxTurns: number
  /** Whether the policy gets a last generation without search when its turns are used up. */
  readonly finalTurn: boolean
  /** Passages per search. */
  readonly topK: number
  readonly maxPromptTokens: number
  /** Tokens per generation. */
  readonly maxResponseTokens: number
  /** Tokens per observation. */
  readonly maxObservationTokens: number
  /** Tokens of prompt and response together; the policy's own limit applies besides. */
  readonly maxContextTokens: number
  readonly sampling: Sampling
  readonly compat: Compat
  /** Is told the policy's text while it is drawn, where the policy can tell; the segment follows. */
  readonly onText?: OnText | undefined
  /** Is told each segment behind the prompt as it arises, before the rollout goes on. */
  readonly onSegment?: ((segment: Segment) => Effect.Effect<void>) | undefined
}

/**
 * Whether rollouts ask a search engine: one generation without search does not, unless its prompt shows passages.
 *
 * @category predicates
 * @since 0.1.0
 */
export const asksEngine = ({ doSearch, template }: Pick<Options, "doSearch" | "template">): boolean =>
  doSearch || template === "rag"

/**
 * The paper's limits: four searches of three passages, 500 tokens a generation and an observation, 4,096 in all
 * (spec §4.10).
 *
 * @category constants
 * @since 0.1.0
 */
export const defaults: Options = {
  groupSize: 1,
  concurrency: 64,
  order: "completion",
  deadline: "10 minutes",
  seed: "0",
  template: "search",
  doSearch: true,
  maxTurns: 4,
  finalTurn: true,
  topK: 3,
  maxPromptTokens: 2048,
  maxResponseTokens: 500,
  maxObservationTokens: 500,
  maxContextTokens: 4096,
  sampling: onPolicy,
  compat: fixed
}
