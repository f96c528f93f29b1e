/**
 * Rollouts: questions in, outcomes out, as a Stream with bounded concurrency.
 *
 * Each rollout is a fiber of its own with its own deadline. It ends in `Completed` or `Failed`; interrupting the stream
 * interrupts every generation and search in flight and frees their sessions. Nothing is started that the consumer has
 * not made room for. Provide `FairScheduler.layer` at the edge of the program where hundreds of rollouts share a process
 * with sockets and timers.
 *
 * @since 0.1.0
 */
import { Duration, Effect, type Result, Semaphore, Stream } from "effect"
import * as Group from "../domain/Group.ts"
import { completed, failed, type RolloutOutcome } from "../domain/Outcome.ts"
import { neutralized, promptSpans } from "../domain/Protocol.ts"
import type { Question } from "../domain/Question.ts"
import * as Spans from "../domain/Spans.ts"
import type { PromptSegment } from "../domain/Trajectory.ts"
import type { Policy } from "../services/Policy.ts"
import { Retriever, type RetrieverError } from "../services/Retriever.ts"
import { type ChatTemplateError, Tokenizer } from "../services/Tokenizer.ts"
import {
  defaults,
  type Options,
  type PromptInstance,
  RolloutDeadlineExceeded,
  type RolloutError
} from "./rollout/Options.ts"
import * as Turns from "./rollout/Turns.ts"

export {
  asksEngine,
  defaults,
  type Options,
  type PromptInstance,
  PromptTooLong,
  RolloutDeadlineExceeded,
  RolloutError
} from "./rollout/Options.ts"

/**
 * Gives each question of a stream a prompt key of its own: `prefix`, the position, the data source and the id.
 *
 * @category constructors
 * @since 0.1.0
 */
export const instances = <E, R>(
  questions: Stream.Stream<Question, E, R>,
  prefix = ""
): Stream.Stream<PromptInstance, E, R> =>
  questions.pipe(
    Stream.zipWithIndex,
    Stream.map(([question, index]) => ({
      promptKey: `${prefix}${index}:${question.dataSource}/${question.id}`,
      question
    }))
  )

const preparePrompt = Effect.fnUntraced(function*(
  question: Question,
  options: Options
): Effect.fn.Return<PromptSegment, RetrieverError | ChatTemplateError, Retriever | Tokenizer> {
  const tokenizer = yield* Tokenizer
  const retriever = yield* Retriever
  const documents = options.template === "rag"
    ? yield* retriever.search(question.question, { topK: options.topK })
    : []
  const shown = options.compat.tagNeutralisation ? documents.map(neutralized) : documents
  const spans = yield* tokenizer.renderChat(
    [{ role: "user", content: promptSpans(options.template, question.question, shown) }],
    { addGenerationPrompt: true }
  )
  return { _tag: "Prompt", text: Spans.text(spans), ids: tokenizer.encodeSpans(spans) }
})

const bounded = <A, E, R>(rollout: Effect.Effect<A, E, R>, deadline: Duration.Input) =>
  Effect.timeoutOrElse(rollout, {
    duration: deadline,
    orElse: () =>
      Effect.fail(new RolloutDeadlineExceeded({ milliseconds: Duration.toMillis(Duration.fromInputUnsafe(deadline)) }))
  })

/** A group's prompt is made once; that it could not be made is the failure of each of its rollouts. */
type Prepared = Result.Result<PromptSegment, RolloutError>

const prepare = (
  question: Question,
  options: Options
): Effect.Effect<Prepared, never, Retriever | Tokenizer> =>
  Effect.result(bounded(preparePrompt(question, options), options.deadline))

const attempt = (
  instance: PromptInstance,
  prompt: Prepared,
  sample: number,
  options: Options
): Effect.Effect<RolloutOutcome<RolloutError>, never, Policy | Retriever | Tokenizer> =>
  Effect.fromResult(prompt).pipe(
    Effect.flatMap((prompt) => Effect.scoped(Turns.run(instance, prompt, sample, options))),
    (rollout) => bounded(rollout, options.deadline),
    Effect.match({
      onSuccess: (trajectory): RolloutOutcome<RolloutError> => completed(trajectory),
      onFailure: (error: RolloutError) =>
        failed({ promptKey: instance.promptKey, sample, questionId: instance.question.id, error })
    }),
    Effect.tap((outcome) =>
      Effect.annotateCurrentSpan(
        outcome._tag === "Completed"
          ? { ending: outcome.trajectory.ending, searches: outcome.trajectory.counts.executedSearches }
          : { failure: outcome.error._tag }
      )
    ),
    Effect.withSpan("Rollout.run", {
      attributes: { promptKey: instance.promptKey, sample, question: instance.question.id }
    })
  )

/**
 * Runs one rollout of one prompt.
 *
 * @category programs
 * @since 0.1.0
 */
export const run = (
  instance: PromptInstance,
  sample: number,
  options?: Partial<Options>
): Effect.Effect<RolloutOutcome<RolloutError>, never, Policy | Retriever | Tokenizer> => {
  const resolved = { ...defaults, ...options }
  return Effect.flatMap(
    prepare(instance.question, resolved),
    (prompt) => attempt(instance, prompt, sample, resolved)
  )
}

/**
 * Runs `groupSize` rollouts of each prompt and emits them group by group. At most `concurrency` rollouts are in flight;
 * the prompt of a group is rendered and encoded once.
 *
 * @category programs
 * @since 0.1.0
 */
export const groups = <E, R>(
  prompts: Stream.Stream<PromptInstance, E, R>,
  options?: Partial<Options>
): Stream.Stream<Group.GroupOutcome<RolloutError>, E, R | Policy | Retriever | Tokenizer> => {
  const resolved = { ...defaults, ...options }
  const samples = Array.from({ length: resolved.groupSize }, (_, sample) => sample)
  return Stream.unwrap(Effect.map(Semaphore.make(resolved.concurrency), (inFlight) =>
    prompts.pipe(
      Stream.mapEffect(
        Effect.fnUntraced(function*(instance) {
          const prompt = yield* prepare(instance.question, resolved)
          const outcomes = yield* Effect.forEach(
            samples,
            (sample) => inFlight.withPermit(attempt(instance, prompt, sample, resolved)),
            { concurrency: "unbounded" }
          )
          return Group.fromOutcomes(instance.promptKey, outcomes)
        }),
        {
          // one group more than fit at once, so that the permits a finishing group frees are used at once
          concurrency: Math.ceil(resolved.concurrency / resolved.groupSize) + 1,
          unordered: resolved.order === "completion"
        }
      )
    )))
}

/**
 * Runs `groupSize` rollouts of each prompt and emits each outcome by itself.
 *
 * @category programs
 * @since 0.1.0
 */
export const outcomes = <E, R>(
  prompts: Stream.Stream<PromptInstance, E, R>,
  options?: Partial<Options>
): Stream.Stream<RolloutOutcome<RolloutError>, E, R | Policy | Retriever | Tokenizer> => {
  const resolved = { ...defaults, ...options }
  const unordered = resolved.order === "completion"
  return prompts.pipe(
    Stream.mapEffect((instance) =>
      Effect.map(
        prepare(instance.question, resolved),
        (prompt) => Array.from({ length: resolved.groupSize }, (_, sample) => ({ instance, prompt, sample }))
      ), { concurrency: Math.ceil(resolved.concurrency / resolved.groupSize), unordered }),
    Stream.flattenIterable,
    Stream.mapEffect(({ instance, prompt, sample }) => attempt(instance, prompt, sample, resolved), {
      concurrency: resolved.concurrency,
      unordered
    })
  )
}
