/**
 * Evaluation: a policy's answers to held-out questions.
 *
 * @since 0.1.0
 */
import { Effect, Schema, Stream } from "effect"
import * as Answer from "../domain/Answer.ts"
import { extractAnswer } from "../domain/FormatReward.ts"
import type { Question } from "../domain/Question.ts"
import type { Trajectory } from "../domain/Trajectory.ts"
import * as Transcript from "../domain/Transcript.ts"
import type { Policy } from "../services/Policy.ts"
import type { Retriever } from "../services/Retriever.ts"
import type { Tokenizer } from "../services/Tokenizer.ts"
import * as Rollout from "./Rollout.ts"

/**
 * Means over a set of completed rollouts. `n` rollouts completed; `passAt` is the share of questions with a right answer
 * among their samples.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Scores = Schema.Struct({
  n: Schema.Natural,
  em: Schema.Finite,
  subEm: Schema.Finite,
  f1: Schema.Finite,
  passAt: Schema.Finite,
  answered: Schema.Finite,
  searches: Schema.Finite
})

/**
 * @category models
 * @since 0.1.0
 */
export type Scores = typeof Scores.Type

/**
 * What an evaluation found. Failed rollouts count in `failed` and in no mean: `failures` names their causes.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Evaluation = Schema.Struct({
  total: Scores,
  failed: Schema.Natural,
  failures: Schema.Record(Schema.String, Schema.Natural),
  dataSources: Schema.Record(Schema.String, Scores),
  /** By the number of facts to combine, where the data set knows it. */
  hops: Schema.Record(Schema.String, Scores)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Evaluation = typeof Evaluation.Type

class Tally {
  #sums = { em: 0, subEm: 0, f1: 0, answered: 0, searches: 0 }
  #n = 0
  readonly #questions = new Map<string, boolean>()

  add(trajectory: Trajectory, prediction: string | null): void {
    const scores = Answer.scores(prediction, trajectory.question.goldenAnswers)
    this.#n++
    this.#sums.em += scores.em
    this.#sums.subEm += scores.subEm
    this.#sums.f1 += scores.f1
    this.#sums.answered += prediction === null ? 0 : 1
    this.#sums.searches += trajectory.counts.executedSearches
    const { promptKey } = trajectory
    this.#questions.set(promptKey, (this.#questions.get(promptKey) ?? false) || scores.em === 1)
  }

  get scores(): Scores {
    const mean = (sum: number) => this.#n === 0 ? 0 : sum / this.#n
    const passed = [...this.#questions.values()].filter(Boolean).length
    return {
      n: this.#n,
      em: mean(this.#sums.em),
      subEm: mean(this.#sums.subEm),
      f1: mean(this.#sums.f1),
      answered: mean(this.#sums.answered),
      searches: mean(this.#sums.searches),
      passAt: this.#questions.size === 0 ? 0 : passed / this.#questions.size
    }
  }
}

const tallyOf = (tallies: Map<string, Tally>, key: string): Tally => {
  const known = tallies.get(key)
  if (known !== undefined) return known
  const tally = new Tally()
  tallies.set(key, tally)
  return tally
}

const scoresOf = (tallies: Map<string, Tally>): Record<string, Scores> =>
  Object.fromEntries([...tallies].sort(([a], [b]) => a < b ? -1 : 1).map(([key, tally]) => [key, tally.scores]))

/** The reference's `val_batch_size`. */
const REFERENCE_BATCH = 256

/** Without the last, incomplete batch (quirk Q14); a set smaller than one batch is kept. */
const wholeBatches = <E, R>(questions: Stream.Stream<Question, E, R>): Stream.Stream<Question, E, R> =>
  questions.pipe(
    Stream.grouped(REFERENCE_BATCH),
    Stream.zipWithIndex,
    Stream.filter(([batch, index]) => index === 0 || batch.length === REFERENCE_BATCH),
    Stream.flatMap(([batch]) => Stream.fromIterable(batch))
  )

/**
 * Rolls out every question `groupSize` times and averages. Every question counts; with `compat.evalDropLast` the last
 * incomplete batch does not, as in the reference (quirk Q14). `onOutcome` is told how many rollouts have ended.
 *
 * @category programs
 * @since 0.1.0
 */
export const run = <E, R>(
  questions: Stream.Stream<Question, E, R>,
  options?: Partial<Rollout.Options>,
  onOutcome: (ended: number) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<Evaluation, E, R | Policy | Retriever | Tokenizer> =>
  Effect.suspend(() => {
    const compat = options?.compat ?? Rollout.defaults.compat
    const scope = compat.answerScope
    const evaluated = compat.evalDropLast ? wholeBatches(questions) : questions
    const total = new Tally()
    const dataSources = new Map<string, Tally>()
    const hops = new Map<string, Tally>()
    const failures: Record<string, number> = {}
    let failed = 0
    let ended = 0
    return Rollout.outcomes(Rollout.instances(evaluated, "eval/"), options).pipe(
      Stream.runForEach((outcome) =>
        Effect.suspend(() => {
          const told = onOutcome(++ended)
          if (outcome._tag === "Failed") {
            failed++
            failures[outcome.error._tag] = (failures[outcome.error._tag] ?? 0) + 1
            return told
          }
          const { trajectory } = outcome
          const prediction = extractAnswer(Transcript.fromSegments(trajectory.segments), scope)
          total.add(trajectory, prediction)
          tallyOf(dataSources, trajectory.question.dataSource).add(trajectory, prediction)
          const { hops: count } = trajectory.question
          if (count !== undefined) tallyOf(hops, String(count)).add(trajectory, prediction)
          return told
        })
      ),
      Effect.map(() => ({
        total: total.scores,
        failed,
        failures,
        dataSources: scoresOf(dataSources),
        hops: scoresOf(hops)
      })),
      Effect.withSpan("Evaluate.run")
    )
  })
