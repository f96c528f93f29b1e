/**
 * What a step's rollouts say about the settings: where nearly all of them fail, are cut or never answer, which key to
 * change, and to what.
 *
 * @since 0.2.0
 */
import { plural } from "./Plural.ts"
import type { RunConfig } from "./RunConfigSchema.ts"
import * as RunPlan from "./RunPlan.ts"

/**
 * Something to say about a step. `set` are assignments, as `--set` takes them, that would help.
 *
 * @category models
 * @since 0.2.0
 */
export interface Advice {
  readonly kind: "failed" | "dropped" | "cut" | "context" | "unanswered" | "alike"
  readonly text: string
  readonly set: ReadonlyArray<string>
}

/**
 * Why a rollout failed: the name of the error and what it says; of prompts that are too long their tokens.
 *
 * @category models
 * @since 0.2.0
 */
export interface Cause {
  readonly _tag: string
  readonly message: string
  readonly tokens?: number | undefined
}

/**
 * A step as it is judged. `metrics` are those of `Metrics.rollouts` over the rollouts that completed, `groups` the rewards
 * of each group of them.
 *
 * @category models
 * @since 0.2.0
 */
export interface Seen {
  readonly metrics: Readonly<Record<string, number>>
  readonly completed: number
  /** Rollouts that completed besides, in groups that were dropped because others in them had failed. */
  readonly dropped: number
  readonly failures: ReadonlyArray<Cause>
  readonly groups: ReadonlyArray<ReadonlyArray<number>>
  /** Tokens that one context of the model can hold. */
  readonly contextLength: number
}

/** The share that counts as nearly all. */
const nearly = 0.9

/** Rollouts below which equal rewards say nothing. */
const fewest = 16

const share = (part: number): string => part === 1 ? "all" : `${Math.floor(100 * part)} % of the`

const upTo = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple

const mostFrequent = (failures: ReadonlyArray<Cause>): ReadonlyArray<Cause> => {
  const byTag = new Map<string, Array<Cause>>()
  for (const cause of failures) {
    const same = byTag.get(cause._tag)
    if (same === undefined) byTag.set(cause._tag, [cause])
    else same.push(cause)
  }
  return [...byTag.values()].reduce((most, same) => same.length > most.length ? same : most, [])
}

/** What makes room for prompts of `tokens` tokens. */
const forPrompts = ({ rollout }: RunConfig, tokens: number, contextLength: number): ReadonlyArray<string> => {
  if (tokens + 1 > contextLength) return []
  const prompts = Math.min(upTo(tokens, 16), contextLength - 1)
  const set = prompts > rollout.maxPromptTokens ? [`rollout.maxPromptTokens=${prompts}`] : []
  const needed = prompts + rollout.maxResponseTokens
  if (needed > contextLength) set.push(`rollout.maxResponseTokens=${contextLength - prompts}`)
  const context = Math.min(needed, contextLength)
  if (context > rollout.maxContextTokens) set.push(`rollout.maxContextTokens=${context}`)
  return set
}

const forFailure = (config: RunConfig, same: ReadonlyArray<Cause>, contextLength: number): ReadonlyArray<string> => {
  const { retriever, rollout } = config
  switch (same[0]?._tag) {
    case "PromptTooLong":
      return forPrompts(config, Math.max(...same.map(({ tokens }) => tokens ?? 0)), contextLength)
    case "RolloutDeadlineExceeded":
      return [`rollout.deadlineSeconds=${2 * rollout.deadlineSeconds}`]
    case "RetrieverTimeout":
      return [`retriever.timeoutSeconds=${2 * retriever.timeoutSeconds}`]
    case "RetrieverUnavailable":
      return retriever.url === null ? [] : [`retriever.url=${retriever.url}`]
    case "ContextOverflow":
      return [`rollout.maxContextTokens=${contextLength}`]
    case "OutOfDeviceMemory":
      return [`rollout.concurrency=${Math.max(1, Math.floor(RunPlan.sessions(config) / 2))}`]
    default:
      return []
  }
}

const failed = (config: RunConfig, { completed, contextLength, dropped, failures }: Seen): ReadonlyArray<Advice> => {
  const total = completed + dropped + failures.length
  if (failures.length === 0 || failures.length < nearly * total) return []
  const same = mostFrequent(failures)
  const first = same[0]
  return [{
    kind: "failed",
    text: `${share(failures.length / total)} ${plural(total, "rollout")} failed, ${
      same.length === failures.length ? "each" : `${same.length}`
    } with ${first?._tag}: ${first?.message}`,
    set: forFailure(config, same, contextLength)
  }]
}

const dropped = (config: RunConfig, { completed, dropped, failures }: Seen): ReadonlyArray<Advice> => {
  const { groupSize } = config.rollout
  if (completed > 0 || dropped === 0) return []
  const first = mostFrequent(failures)[0]
  return [{
    kind: "dropped",
    text: `all ${dropped} completed rollouts were dropped: in each group another one failed (${failures.length} in all${
      first === undefined ? "" : `, e.g. ${first._tag}: ${first.message}`
    })`,
    set: groupSize > 1 ? [`rollout.minimumGroup=${Math.max(1, Math.floor(groupSize / 2))}`] : []
  }]
}

/** Tokens of a rollout that uses all its turns. */
const wholeRollout = ({ rollout }: RunConfig, response: number): number =>
  rollout.maxPromptTokens + (rollout.doSearch ? rollout.maxTurns * (response + rollout.maxObservationTokens) : 0) +
  response

const cut = (config: RunConfig, { contextLength, metrics }: Seen): ReadonlyArray<Advice> => {
  const { rollout } = config
  const ratio = metrics["response_length/clip_ratio"] ?? 0
  if (ratio < nearly) return []
  const room = contextLength - rollout.maxPromptTokens
  const response = Math.min(2 * rollout.maxResponseTokens, room)
  const context = Math.min(contextLength, wholeRollout(config, response))
  return [{
    kind: "cut",
    text: `${share(ratio)} generations were cut by their budget of ${
      plural(rollout.maxResponseTokens, "token")
    } (rollout.maxResponseTokens)`,
    set: response <= rollout.maxResponseTokens
      ? []
      : [
        `rollout.maxResponseTokens=${response}`,
        ...(context > rollout.maxContextTokens ? [`rollout.maxContextTokens=${context}`] : [])
      ]
  }]
}

const context = (config: RunConfig, { contextLength, metrics }: Seen): ReadonlyArray<Advice> => {
  const { rollout } = config
  const ratio = metrics["env/ending/budget"] ?? 0
  if (ratio < nearly) return []
  const limit = Math.min(rollout.maxContextTokens, contextLength)
  const whole = wholeRollout(config, rollout.maxResponseTokens)
  const wider = Math.min(contextLength, whole)
  const room = limit - rollout.maxPromptTokens - rollout.maxResponseTokens
  const turns = Math.floor(room / (rollout.maxResponseTokens + rollout.maxObservationTokens))
  const observation = room - rollout.maxResponseTokens
  return [{
    kind: "context",
    text:
      `${share(ratio)} rollouts ran out of their context of ${
        plural(limit, "token")
      } (rollout.maxContextTokens) before they had ` +
      "answered",
    set: wider > rollout.maxContextTokens
      ? [`rollout.maxContextTokens=${wider}`]
      : turns >= 1
      ? [`rollout.maxTurns=${turns}`]
      : observation >= 16
      ? [`rollout.maxObservationTokens=${observation}`]
      : [`rollout.maxResponseTokens=${Math.max(1, Math.floor(rollout.maxResponseTokens / 2))}`]
  }]
}

const unanswered = (config: RunConfig, { metrics }: Seen): ReadonlyArray<Advice> => {
  const { reward, rollout } = config
  const answered = metrics["env/finish_ratio"]
  if (answered === undefined || answered > 1 - nearly) return []
  const valid = metrics["env/ratio_of_valid_action"] ?? 0
  const text = `${share(1 - answered)} rollouts ended without an answer`
  if (valid < 1 - nearly) {
    return [{
      kind: "unanswered",
      text:
        `${text}: hardly a turn holds <search> or <answer>. A model that has not seen the protocol learns it from ` +
        "examples (search-r1 sft) or from a reward for the form",
      set: reward.kind === "format" ? [] : ["reward.kind=format"]
    }]
  }
  return [{
    kind: "unanswered",
    text: `${text}: they searched until their ${plural(rollout.maxTurns, "turn")} ${
      rollout.maxTurns === 1 ? "was" : "were"
    } used up`,
    set: rollout.doSearch && !rollout.finalTurn ? ["rollout.finalTurn=true"] : [
      `rollout.maxTurns=${2 * rollout.maxTurns}`,
      ...(reward.noAnswerPenalty > 0 ? [] : ["reward.noAnswerPenalty=0.1"])
    ]
  }]
}

const alike = (config: RunConfig, { completed, groups }: Seen): ReadonlyArray<Advice> => {
  const { reward, rollout } = config
  const estimator = config.advantage.estimator
  const compared = rollout.groupSize > 1 && !["gae", "reinforce", "reinforce++"].includes(estimator)
  if (!compared && !rollout.dynamicSampling) return []
  if (groups.length === 0 || groups.some((rewards) => rewards.length < 2)) return []
  if (groups.some((rewards) => rewards.some((one) => one !== rewards[0]))) return []
  const nothing = groups.every((rewards) => rewards[0] === 0)
  if (!rollout.dynamicSampling && completed < fewest) return []
  return [{
    kind: "alike",
    text: `the rewards within each of the ${plural(groups.length, "group")} are equal${
      nothing ? " (0)" : ""
    }: there is nothing to compare${
      rollout.dynamicSampling ? ", and rollout.dynamicSampling leaves such groups out" : ""
    }`,
    set: nothing && reward.kind === "exactMatch" ? ["reward.kind=f1"] : [`rollout.groupSize=${2 * rollout.groupSize}`]
  }]
}

/**
 * What there is to say about a step. One cause is named once: rollouts that were cut could not answer.
 *
 * @category getters
 * @since 0.2.0
 */
export const advise = (config: RunConfig, seen: Seen): ReadonlyArray<Advice> => {
  const lost = failed(config, seen)
  if (seen.completed === 0) return lost.length > 0 ? lost : dropped(config, seen)
  const short = [...cut(config, seen), ...context(config, seen)]
  const endings = short.length > 0 ? short : unanswered(config, seen)
  return [...lost, ...endings, ...alike(config, seen)]
}

/**
 * An advice as a sentence.
 *
 * @category formatting
 * @since 0.2.0
 */
export const describe = ({ set, text }: Advice): string =>
  set.length === 0 ? text : `${text}. Try ${set.map((assignment) => `--set ${assignment}`).join(" ")}`
