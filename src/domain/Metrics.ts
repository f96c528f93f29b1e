/**
 * What a batch of rollouts tells about the policy, under the reference's metric names with corrected definitions
 * (spec §1.8).
 *
 * @since 0.1.0
 */
import type { Failed, ScoredTrajectory } from "./Outcome.ts"
import { summary } from "./Statistics.ts"
import { type Segment, tokenCount } from "./Trajectory.ts"

const tokensOf = (segments: ReadonlyArray<Segment>, tag: Segment["_tag"]): number =>
  tokenCount(segments.filter((segment) => segment._tag === tag))

const truncatedDocuments = (segment: Segment): number =>
  segment._tag === "Observation" && segment.source._tag === "Search" ? segment.source.truncated : 0

const meansOf = (prefix: string, records: ReadonlyArray<Readonly<Record<string, number>>>): Record<string, number> => {
  const sums = new Map<string, number>()
  for (const record of records) {
    for (const [name, value] of Object.entries(record)) sums.set(name, (sums.get(name) ?? 0) + value)
  }
  return Object.fromEntries([...sums].map(([name, sum]) => [`${prefix}/${name}`, sum / records.length]))
}

const emByHops = (scored: ReadonlyArray<ScoredTrajectory>): Record<string, number> => {
  const all = new Map<number, Array<number>>()
  for (const { metrics, trajectory } of scored) {
    const { hops } = trajectory.question
    const { em } = metrics
    if (hops !== undefined && em !== undefined) all.set(hops, [...all.get(hops) ?? [], em])
  }
  return Object.fromEntries(
    [...all].sort(([a], [b]) => a - b).map(([hops, values]) =>
      [`answer/em_hops/${hops}`, values.reduce((sum, value) => sum + value, 0) / values.length] as const
    )
  )
}

/**
 * Metrics of the completed rollouts, and counts of the failed ones by their error.
 *
 * - `env/number_of_actions/*`: generations, the final one included.
 * - `env/finish_ratio`: share of trajectories that ended with an answer; `env/ending/{answer,turns,budget}`: by ending.
 * - `env/number_of_valid_action`, `env/ratio_of_valid_action`: turns with a complete action, and their share.
 * - `env/number_of_invalid_action`: turns that the invalid-action message answered.
 * - `env/truncated_documents`: documents that the observation's token budget cut.
 * - `env/number_of_valid_search`: searches that were executed; `env/number_of_requested_search` counts those that the
 *   final turn asked for in vain too (quirk Q9).
 * - `state_tokens/total`, `state_tokens/coverage`: tokens that are trained on, and their share of all response tokens. A
 *   coverage of 1 in a policy that searches says that the mask is broken.
 * - `response_length/*`: model and environment together; `response_length/model/*` and `response_length/observation/*`
 *   apart; `response_length/clip_ratio`: share of generations that ran out of tokens; `prompt_length/*`.
 * - `reward/NAME`, `answer/NAME`: means of the reward's components and of what it reports besides;
 *   `answer/em_hops/N`: exact match by hops, where questions have them.
 * - `rollout/completed`, `rollout/failed`, `rollout/failed/ERROR`.
 *
 * @category getters
 * @since 0.1.0
 */
export const rollouts = <E extends { readonly _tag: string }>(
  scored: ReadonlyArray<ScoredTrajectory>,
  failures: ReadonlyArray<Failed<E>>
): Record<string, number> => {
  const metrics: Record<string, number> = { "rollout/completed": scored.length, "rollout/failed": failures.length }
  for (const { error } of failures) {
    const name = `rollout/failed/${error._tag}`
    metrics[name] = (metrics[name] ?? 0) + 1
  }
  if (scored.length === 0) return metrics

  const trajectories = scored.map((one) => one.trajectory)
  const mean = (value: (trajectory: (typeof trajectories)[number]) => number) =>
    trajectories.reduce((sum, trajectory) => sum + value(trajectory), 0) / trajectories.length
  const model = trajectories.map(({ segments }) => tokensOf(segments, "Sampled"))
  const observation = trajectories.map(({ segments }) => tokensOf(segments, "Observation"))
  const response = model.map((tokens, index) => tokens + (observation[index] ?? 0))
  const trained = model.reduce((sum, tokens) => sum + tokens, 0)
  const total = response.reduce((sum, tokens) => sum + tokens, 0)
  const generations = trajectories.flatMap(({ segments }) =>
    segments.flatMap((segment) => segment._tag === "Sampled" ? [segment.finish] : [])
  )
  return {
    ...metrics,
    ...summary("env/number_of_actions", trajectories.map(({ counts }) => counts.turns)),
    "env/finish_ratio": mean(({ ending }) => ending === "answer" ? 1 : 0),
    "env/ending/answer": mean(({ ending }) => ending === "answer" ? 1 : 0),
    "env/ending/turns": mean(({ ending }) => ending === "turns" ? 1 : 0),
    "env/ending/budget": mean(({ ending }) => ending === "budget" ? 1 : 0),
    "env/number_of_valid_action": mean(({ counts }) => counts.validActions),
    "env/ratio_of_valid_action": mean(({ counts }) => counts.turns === 0 ? 0 : counts.validActions / counts.turns),
    "env/number_of_invalid_action": mean(({ counts }) => counts.invalidActions),
    "env/truncated_documents": mean(({ segments }) =>
      segments.reduce((sum, segment) => sum + truncatedDocuments(segment), 0)
    ),
    "env/number_of_valid_search": mean(({ counts }) => counts.executedSearches),
    "env/number_of_requested_search": mean(({ counts }) => counts.requestedSearches),
    "state_tokens/total": trained,
    ...(total > 0 && { "state_tokens/coverage": trained / total }),
    ...summary("response_length", response),
    ...summary("response_length/model", model),
    ...summary("response_length/observation", observation),
    ...(generations.length > 0 && {
      "response_length/clip_ratio": generations.filter((finish) => finish === "length").length / generations.length
    }),
    ...summary("prompt_length", trajectories.map(({ segments }) => tokensOf(segments, "Prompt"))),
    ...summary("reward/total", scored.map((one) => one.reward)),
    ...meansOf("reward", scored.map((one) => one.components)),
    ...meansOf("answer", scored.map((one) => one.metrics)),
    ...emByHops(scored)
  }
}
