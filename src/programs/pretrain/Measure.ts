/**
 * How good a base model is: whether it reads, and how often it finds answers by searching.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import type { Question } from "../../domain/Question.ts"
import { greedy, onPolicy } from "../../domain/Sampling.ts"
import type { ReadingTask } from "../../domain/world/HeldOut.ts"
import { Policy, type PolicyError } from "../../services/Policy.ts"
import type { Retriever } from "../../services/Retriever.ts"
import type { Tokenizer } from "../../services/Tokenizer.ts"
import * as Evaluate from "../Evaluate.ts"
import type * as Rollout from "../Rollout.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface MeasureOptions {
  readonly reading: ReadonlyArray<ReadingTask>
  /** Answered once each with the likeliest tokens. */
  readonly questions: ReadonlyArray<Question>
  /** Answered `samples` times each at temperature 1. */
  readonly sampled: ReadonlyArray<Question>
  readonly samples: number
  /** The bounds of rollouts, which are those that the model will be trained with. */
  readonly rollout: Partial<Rollout.Options>
}

/**
 * Shares of right answers: `reading` by number of hops from shown passages; `greedy` and `sampled` from searching, where
 * `sampled` holds pass@1 (`em`) and pass@samples (`passAt`), by hops too.
 *
 * @category models
 * @since 0.1.0
 */
export interface Measurement {
  readonly reading: Readonly<Record<string, number>>
  readonly greedy: Evaluate.Evaluation
  readonly sampled: Evaluate.Evaluation
}

/** Reading tasks that are answered at the same time. */
const readers = 64

const read = (policy: Policy["Service"], { answer, prefix }: ReadingTask, index: number) =>
  Effect.scoped(Effect.gen(function*() {
    const session = yield* policy.session({
      promptKey: `reading/${index}`,
      sample: 0,
      ids: prefix,
      seed: `reading/${index}`
    })
    const { ids } = yield* session.generate({ maxTokens: answer.length, sampling: greedy, stop: [] })
    return ids.length === answer.length && ids.every((id, position) => id === answer[position])
  }))

/**
 * Share of tasks whose answer the policy continues with, by the number of hops.
 *
 * @category programs
 * @since 0.1.0
 */
export const readingAccuracy = Effect.fn("Pretrain.readingAccuracy")(function*(
  tasks: ReadonlyArray<ReadingTask>
): Effect.fn.Return<Readonly<Record<string, number>>, PolicyError, Policy> {
  const policy = yield* Policy
  const right = yield* Effect.forEach(tasks, (task, index) => read(policy, task, index), { concurrency: readers })
  const shares: Record<string, number> = {}
  for (const hops of new Set(tasks.map((task) => task.hops))) {
    const own = right.filter((_, index) => tasks[index]?.hops === hops)
    shares[String(hops)] = own.filter(Boolean).length / own.length
  }
  return shares
})

/**
 * Measures the policy as it is now.
 *
 * @category programs
 * @since 0.1.0
 */
export const measure = Effect.fn("Pretrain.measure")(function*(
  options: MeasureOptions
): Effect.fn.Return<Measurement, PolicyError, Policy | Retriever | Tokenizer> {
  const reading = yield* readingAccuracy(options.reading)
  const greedily = yield* Evaluate.run(Stream.fromIterable(options.questions), {
    ...options.rollout,
    groupSize: 1,
    sampling: greedy
  })
  const sampled = yield* Evaluate.run(Stream.fromIterable(options.sampled), {
    ...options.rollout,
    groupSize: options.samples,
    sampling: onPolicy
  })
  return { reading, greedy: greedily, sampled }
})
