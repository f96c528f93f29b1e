/**
 * The state machine of one rollout: generate, act, observe, until an answer or a limit (spec §1.2, paper Algorithm 1).
 *
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import type { ScoredDocument } from "../../domain/Document.ts"
import { informationObservation, messageObservation } from "../../domain/Observation.ts"
import { invalidActionMessage, parseAction } from "../../domain/Protocol.ts"
import {
  actionText,
  type Counts,
  type Ending,
  type ObservationSegment,
  type PromptSegment,
  type Segment,
  Trajectory
} from "../../domain/Trajectory.ts"
import { Policy } from "../../services/Policy.ts"
import { Retriever, type RetrieverError } from "../../services/Retriever.ts"
import { Tokenizer } from "../../services/Tokenizer.ts"
import * as Conversation from "./Conversation.ts"
import { type Options, type PromptInstance, PromptTooLong, type RolloutError } from "./Options.ts"

/**
 * Keeps the first tokens of a response that outgrew the reference's limit (quirk Q7): whole segments, then the beginning
 * of the one that crosses it.
 */
const keepFirst = (
  tokenizer: Tokenizer["Service"],
  segments: ReadonlyArray<Segment>,
  maxTokens: number
): ReadonlyArray<Segment> => {
  const kept: Array<Segment> = []
  let left = maxTokens
  for (const segment of segments) {
    if (segment._tag === "Prompt") {
      kept.push(segment)
      continue
    }
    if (left === 0) break
    if (segment.ids.length <= left) {
      kept.push(segment)
      left -= segment.ids.length
      continue
    }
    const ids = segment.ids.slice(0, left)
    const text = tokenizer.decode(ids)
    kept.push(
      segment._tag === "Sampled"
        ? {
          ...segment,
          ids,
          text,
          surplus: "",
          ...(segment.logProbs === undefined ? {} : { logProbs: segment.logProbs.slice(0, left) })
        }
        : { ...segment, ids, text }
    )
    left = 0
  }
  return kept
}

const search = Effect.fn("Rollout.search")(function*(
  retriever: Retriever["Service"],
  query: string,
  topK: number
): Effect.fn.Return<ReadonlyArray<ScoredDocument>, RetrieverError> {
  yield* Effect.annotateCurrentSpan({ query, topK })
  const documents = yield* retriever.search(query, { topK })
  yield* Effect.annotateCurrentSpan("documents", documents.length)
  return documents
})

/**
 * Runs one rollout to its end.
 *
 * With `overflow: "forceFinal"` a turn may search only while its own tokens, an observation and a final generation all
 * fit into the context, so nothing that the policy or the environment wrote is ever cut.
 */
export const run = Effect.fnUntraced(function*(
  instance: PromptInstance,
  prompt: PromptSegment,
  sample: number,
  options: Options
): Effect.fn.Return<Trajectory, RolloutError, Policy | Retriever | Tokenizer | Scope.Scope> {
  const policy = yield* Policy
  const retriever = yield* Retriever
  const tokenizer = yield* Tokenizer
  const { compat, maxObservationTokens, maxResponseTokens } = options
  const limit = Math.min(options.maxContextTokens, policy.contextLength)
  const promptLimit = Math.min(options.maxPromptTokens, limit - maxResponseTokens)
  if (prompt.ids.length > promptLimit) {
    return yield* new PromptTooLong({ tokens: prompt.ids.length, limit: Math.max(0, promptLimit) })
  }
  const conversation = yield* Conversation.open(
    policy,
    tokenizer,
    {
      promptKey: instance.promptKey,
      sample,
      ids: prompt.ids,
      seed: `${options.seed}/${instance.promptKey}/${sample}`
    },
    options,
    limit - maxResponseTokens
  )

  const segments: Array<Segment> = [prompt]
  const counts: { -readonly [K in keyof Counts]: number } = {
    turns: 0,
    validActions: 0,
    invalidActions: 0,
    requestedSearches: 0,
    executedSearches: 0
  }
  const finish = (ending: Ending) =>
    new Trajectory({
      promptKey: instance.promptKey,
      sample,
      question: instance.question,
      segments: compat.overflow === "slide" ? keepFirst(tokenizer, segments, options.maxContextTokens) : segments,
      ending,
      counts
    })
  const searchTurns = options.doSearch ? options.maxTurns : 0
  let length = prompt.ids.length

  const turn = Effect.fn("Rollout.turn")(function*(): Effect.fn.Return<Ending | undefined, RolloutError> {
    const room = limit - length
    const fits = compat.overflow !== "forceFinal" || room >= 2 * maxResponseTokens + maxObservationTokens
    const isFinal = counts.turns >= searchTurns || !fits
    yield* Effect.annotateCurrentSpan({ turn: counts.turns, final: isFinal, contextTokens: length })
    if (compat.overflow === "stop" && room < maxResponseTokens) return "budget"
    if (isFinal && fits && searchTurns > 0 && !options.finalTurn) return "turns"

    const sampled = yield* conversation.generate(maxResponseTokens).pipe(
      Effect.tap(({ finish, ids, policyVersion }) =>
        Effect.annotateCurrentSpan({ tokens: ids.length, finish, policyVersion })
      ),
      Effect.withSpan("Rollout.generate")
    )
    counts.turns++
    segments.push(sampled)
    if (options.onSegment !== undefined) yield* options.onSegment(sampled)
    length += sampled.ids.length

    const action = parseAction(actionText(sampled), { emptyQuery: compat.emptyQuery })
    if (action._tag !== "None") counts.validActions++
    if (action._tag === "Answer") return "answer"
    if (action._tag === "Search") counts.requestedSearches++
    if (isFinal) {
      if (action._tag === "None") counts.invalidActions++
      if (action._tag === "Search" && compat.finalTurnSearchCounts) counts.executedSearches++
      return fits ? "turns" : "budget"
    }
    let observation: ObservationSegment
    if (action._tag === "Search") {
      const documents = yield* search(retriever, action.query, options.topK)
      counts.executedSearches++
      const { ids, text, truncated } = informationObservation(tokenizer, documents, {
        maxTokens: maxObservationTokens,
        truncation: compat.obsTruncation,
        neutralizeTags: compat.tagNeutralisation
      })
      observation = {
        _tag: "Observation",
        text,
        ids,
        source: { _tag: "Search", query: action.query, documents, truncated }
      }
    } else {
      counts.invalidActions++
      const { ids, text } = messageObservation(tokenizer, invalidActionMessage, {
        maxTokens: maxObservationTokens,
        truncation: compat.obsTruncation
      })
      observation = { _tag: "Observation", text, ids, source: { _tag: "InvalidAction" } }
    }
    if (compat.overflow !== "slide" && length + observation.ids.length + maxResponseTokens > limit) return "budget"
    segments.push(observation)
    if (options.onSegment !== undefined) yield* options.onSegment(observation)
    length += observation.ids.length
    yield* conversation.observe(observation.ids)
    return undefined
  })

  for (;;) {
    const ending = yield* turn()
    if (ending !== undefined) return finish(ending)
  }
})
