/**
 * Trajectories: what a rollout produced, token by token.
 *
 * A trajectory is a list of segments. Who wrote a token (the prompt, the policy, the environment) is a property of its
 * segment and never inferred from its value; the loss mask is derived from the segments and stored nowhere.
 *
 * @since 0.1.0
 */
import { Schema, SchemaTransformation } from "effect"
import { ScoredDocument } from "./Document.ts"
import { Question } from "./Question.ts"

/**
 * Token ids as `Int32Array` (vocabularies exceed 16 bits), an array of numbers in JSON.
 *
 * @category schemas
 * @since 0.1.0
 */
export const TokenIds = Schema.Array(Schema.Int).pipe(
  Schema.decodeTo(
    Schema.declare((value): value is Int32Array => value instanceof Int32Array),
    SchemaTransformation.transform({
      decode: (ids): Int32Array => Int32Array.from(ids),
      encode: (ids): ReadonlyArray<number> => Array.from(ids)
    })
  )
)

/**
 * Natural-log probabilities as `Float32Array`, an array of numbers in JSON.
 *
 * @category schemas
 * @since 0.1.0
 */
export const LogProbs = Schema.Array(Schema.Finite).pipe(
  Schema.decodeTo(
    Schema.declare((value): value is Float32Array => value instanceof Float32Array),
    SchemaTransformation.transform({
      decode: (values): Float32Array => Float32Array.from(values),
      encode: (values): ReadonlyArray<number> => Array.from(values)
    })
  )
)

/**
 * Why a generation ended: a stop string was completed, the model ended the text itself, or the token budget ran out.
 *
 * @category schemas
 * @since 0.1.0
 */
export const FinishReason = Schema.Literals(["stop", "eos", "length"])

/**
 * @category models
 * @since 0.1.0
 */
export type FinishReason = typeof FinishReason.Type

/**
 * What the environment answered with.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ObservationSource = Schema.TaggedUnion({
  /** Passages for a query. `truncated` counts the documents whose body the token budget cut. */
  Search: { query: Schema.String, documents: Schema.Array(ScoredDocument), truncated: Schema.Natural },
  /** The message that follows a turn without a valid action. */
  InvalidAction: {}
})

/**
 * @category models
 * @since 0.1.0
 */
export type ObservationSource = typeof ObservationSource.Type

/**
 * A run of tokens with one author.
 *
 * - `Prompt`: template, question and chat markup.
 * - `Sampled`: exactly what the policy's engine produced. `logProbs[i]` belongs to `ids[i]` under the sampling
 *   distribution and is absent only where the ids were re-encoded from text (the `reference` preset). `surplus` is the
 *   tail of `text` behind the closing tag of the action when that tag ended inside a token.
 * - `Observation`: what the environment inserted.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Segment = Schema.TaggedUnion({
  Prompt: { text: Schema.String, ids: TokenIds },
  Sampled: {
    text: Schema.String,
    ids: TokenIds,
    logProbs: Schema.optionalKey(LogProbs),
    surplus: Schema.String,
    finish: FinishReason,
    policyVersion: Schema.Natural
  },
  Observation: { text: Schema.String, ids: TokenIds, source: ObservationSource }
})

/**
 * @category models
 * @since 0.1.0
 */
export type Segment = typeof Segment.Type

/**
 * @category models
 * @since 0.1.0
 */
export type PromptSegment = Extract<Segment, { readonly _tag: "Prompt" }>

/**
 * @category models
 * @since 0.1.0
 */
export type SampledSegment = Extract<Segment, { readonly _tag: "Sampled" }>

/**
 * @category models
 * @since 0.1.0
 */
export type ObservationSegment = Extract<Segment, { readonly _tag: "Observation" }>

/**
 * How a completed rollout ended: with an answer, out of turns, or out of tokens.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Ending = Schema.Literals(["answer", "turns", "budget"])

/**
 * @category models
 * @since 0.1.0
 */
export type Ending = typeof Ending.Type

/**
 * Counters of a rollout, as spec §1.8 defines them with its corrections.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Counts = Schema.Struct({
  /** Generations, the final one included. */
  turns: Schema.Natural,
  /** Turns that held a complete search or answer. */
  validActions: Schema.Natural,
  /** Turns answered with the invalid-action message. */
  invalidActions: Schema.Natural,
  /** Searches the policy asked for, an unexecuted one in the final turn included. */
  requestedSearches: Schema.Natural,
  /** Searches that a retriever answered. */
  executedSearches: Schema.Natural
})

/**
 * @category models
 * @since 0.1.0
 */
export type Counts = typeof Counts.Type

/**
 * A completed rollout.
 *
 * `promptKey` names the prompt instance: trajectories that share it form a group (quirk Q30); `sample` numbers them.
 *
 * @category models
 * @since 0.1.0
 */
export class Trajectory extends Schema.Class<Trajectory>("effect-search-r1/domain/Trajectory")({
  promptKey: Schema.String,
  sample: Schema.Natural,
  question: Question,
  segments: Schema.Array(Segment),
  ending: Ending,
  counts: Counts
}) {}

/**
 * Number of tokens of a run of segments.
 *
 * @category getters
 * @since 0.1.0
 */
export const tokenCount = (segments: ReadonlyArray<Segment>): number => {
  let count = 0
  for (const segment of segments) count += segment.ids.length
  return count
}

/**
 * All token ids in order, shape `[tokenCount]`: exactly the context that the policy saw and wrote.
 *
 * @category getters
 * @since 0.1.0
 */
export const tokenIds = (segments: ReadonlyArray<Segment>): Int32Array => {
  const ids = new Int32Array(tokenCount(segments))
  let offset = 0
  for (const segment of segments) {
    ids.set(segment.ids, offset)
    offset += segment.ids.length
  }
  return ids
}

/**
 * 1 for tokens that the policy sampled and 0 for all others, shape `[tokenCount]` (the paper's `I(y_t)`, §3.1).
 *
 * @category getters
 * @since 0.1.0
 */
export const lossMask = (segments: ReadonlyArray<Segment>): Uint8Array => {
  const mask = new Uint8Array(tokenCount(segments))
  let offset = 0
  for (const segment of segments) {
    if (segment._tag === "Sampled") mask.fill(1, offset, offset + segment.ids.length)
    offset += segment.ids.length
  }
  return mask
}

/**
 * The sampler's log-probabilities aligned with {@link tokenIds}, shape `[tokenCount]`; NaN where a token was not
 * sampled or its log-probability is unknown, so that a use of it cannot go unnoticed.
 *
 * @category getters
 * @since 0.1.0
 */
export const sampledLogProbs = (segments: ReadonlyArray<Segment>): Float32Array => {
  const logProbs = new Float32Array(tokenCount(segments)).fill(Number.NaN)
  let offset = 0
  for (const segment of segments) {
    if (segment._tag === "Sampled" && segment.logProbs !== undefined) logProbs.set(segment.logProbs, offset)
    offset += segment.ids.length
  }
  return logProbs
}

/**
 * What the policy wrote, one string a turn, without the surplus behind an action's closing tag. Answers and format are
 * judged on these alone.
 *
 * @category getters
 * @since 0.1.0
 */
export const sampledTexts = (segments: ReadonlyArray<Segment>): ReadonlyArray<string> =>
  segments.flatMap((segment) => segment._tag === "Sampled" ? [actionText(segment)] : [])

/**
 * The text of a sampled segment up to the end of its action.
 *
 * @category getters
 * @since 0.1.0
 */
export const actionText = (segment: SampledSegment): string =>
  segment.surplus === "" ? segment.text : segment.text.slice(0, segment.text.length - segment.surplus.length)

/**
 * The whole text, prompt included.
 *
 * @category getters
 * @since 0.1.0
 */
export const fullText = (segments: ReadonlyArray<Segment>): string => segments.map((segment) => segment.text).join("")

/**
 * Everything behind the prompt: model text and observations.
 *
 * @category getters
 * @since 0.1.0
 */
export const responseText = (segments: ReadonlyArray<Segment>): string =>
  fullText(segments.filter((segment) => segment._tag !== "Prompt"))
