/**
 * The first half of a step: rollouts of a batch of questions, scored.
 *
 * @since 0.1.0
 */
import { Clock, Effect, Option, Stream } from "effect"
import * as Group from "../../domain/Group.ts"
import type { Failed, ScoredTrajectory } from "../../domain/Outcome.ts"
import type { Question } from "../../domain/Question.ts"
import type { RunConfig } from "../../domain/RunConfigSchema.ts"
import type { Policy, PolicyUnavailable } from "../../services/Policy.ts"
import { type Cursor, Questions, type QuestionsUnreadable } from "../../services/Questions.ts"
import type { Retriever } from "../../services/Retriever.ts"
import type { Reward } from "../../services/Reward.ts"
import type { Tokenizer } from "../../services/Tokenizer.ts"
import * as Rollout from "../Rollout.ts"
import { scoreTrajectory } from "../ScoredRollouts.ts"
import type { OnProgress } from "./Progress.ts"

/**
 * The scored trajectories of a step that training may use, in the order of their prompts and samples, with what else
 * happened.
 *
 * @category models
 * @since 0.1.0
 */
export interface Collected {
  readonly scored: ReadonlyArray<ScoredTrajectory>
  /** Completed trajectories of groups that the group policy dropped. */
  readonly dropped: number
  readonly failures: ReadonlyArray<Failed<Rollout.RolloutError>>
  /** Where the next step's questions begin. */
  readonly next: Cursor
  readonly seconds: number
}

/**
 * The rollout options that a configuration stands for.
 *
 * @category conversions
 * @since 0.1.0
 */
export const rolloutOptions = (config: RunConfig): Rollout.Options => ({
  groupSize: config.rollout.groupSize,
  concurrency: config.rollout.concurrency,
  order: "completion",
  deadline: config.rollout.deadlineSeconds * 1000,
  seed: String(config.seed),
  template: config.rollout.template,
  doSearch: config.rollout.doSearch,
  maxTurns: config.rollout.maxTurns,
  finalTurn: config.rollout.finalTurn,
  topK: config.rollout.topK,
  maxPromptTokens: config.rollout.maxPromptTokens,
  maxResponseTokens: config.rollout.maxResponseTokens,
  maxObservationTokens: config.rollout.maxObservationTokens,
  maxContextTokens: config.rollout.maxContextTokens,
  sampling: config.sampling,
  compat: config.compat
})

const groupPolicy = (config: RunConfig): Group.GroupPolicy =>
  config.rollout.minimumGroup === null
    ? { _tag: "Drop" }
    : { _tag: "Minimum", trajectories: config.rollout.minimumGroup }

const failuresOf = <E>(group: Group.GroupOutcome<E>): ReadonlyArray<Failed<E>> =>
  group._tag === "Complete" ? [] : group.failures

const completedOf = <E>(group: Group.GroupOutcome<E>): number => group._tag === "Failed" ? 0 : group.trajectories.length

/**
 * The questions of one step, and where those of the next begin.
 *
 * @category models
 * @since 0.1.0
 */
export interface QuestionBatch {
  readonly questions: ReadonlyArray<Question>
  readonly next: Cursor
}

/**
 * Takes a step's questions from `cursor` on.
 *
 * @category programs
 * @since 0.1.0
 */
export const take = Effect.fnUntraced(function*(
  config: RunConfig,
  cursor: Cursor
): Effect.fn.Return<QuestionBatch, QuestionsUnreadable, Questions> {
  const questions = yield* Questions
  const batch = yield* questions.from(cursor).pipe(Stream.take(config.rollout.prompts), Stream.runCollect)
  return { questions: batch.map(({ question }) => question), next: batch.at(-1)?.next ?? cursor }
})

/**
 * The error of a policy without which no rollout could go on: nothing was left for a step to learn from. One rollout may
 * lose the policy by itself, its model's numbers may be no numbers.
 */
const lostPolicy = (failures: Collected["failures"]): PolicyUnavailable | undefined => {
  const errors = failures.flatMap(({ error }) => error._tag === "PolicyUnavailable" ? [error] : [])
  return errors.length === failures.length ? errors[0] : undefined
}

/**
 * Runs the rollouts of a step and scores them. Fails where the policy has ended.
 *
 * @category programs
 * @since 0.1.0
 */
export const collect = Effect.fn("Train.collect")(function*(
  config: RunConfig,
  step: number,
  { next, questions }: QuestionBatch,
  onProgress: OnProgress = () => Effect.void
): Effect.fn.Return<Collected, PolicyUnavailable, Policy | Retriever | Reward | Tokenizer> {
  const started = yield* Clock.currentTimeMillis
  const prompts = questions.map((question, index): Rollout.PromptInstance => ({
    promptKey: `${step}/${index}/${question.dataSource}/${question.id}`,
    question
  }))
  const position = new Map(prompts.map(({ promptKey }, index) => [promptKey, index]))
  const total = prompts.length * config.rollout.groupSize
  let done = 0
  yield* onProgress({ step: step + 1, phase: "rollouts", done, total })
  const rollouts = Rollout.groups(Stream.fromIterable(prompts), rolloutOptions(config)).pipe(
    Stream.tap((group) => {
      done += completedOf(group) + failuresOf(group).length
      return onProgress({ step: step + 1, phase: "rollouts", done, total })
    })
  )
  const groups = [...yield* Stream.runCollect(rollouts)]
    .sort((a, b) => (position.get(a.promptKey) ?? 0) - (position.get(b.promptKey) ?? 0))
  const policy = groupPolicy(config)
  const failures = groups.flatMap(failuresOf)
  const usable = groups.flatMap((group) => Option.getOrElse(Group.select(group, policy), () => []))
  const lost = usable.length === 0 ? lostPolicy(failures) : undefined
  if (lost !== undefined) return yield* lost
  const scored = yield* Effect.forEach(usable, scoreTrajectory)
  return {
    scored,
    dropped: groups.reduce((sum, group) => sum + completedOf(group), 0) - usable.length,
    failures,
    next,
    seconds: ((yield* Clock.currentTimeMillis) - started) / 1000
  }
})
