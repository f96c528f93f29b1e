/**
 * A data set of questions as a stream that can be left and taken up again.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Schema, type Stream } from "effect"
import type { Question } from "../domain/Question.ts"

/**
 * A data set could not be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class QuestionsUnreadable extends Schema.TaggedError<QuestionsUnreadable>()("QuestionsUnreadable", {
  path: Schema.String,
  /** 1-based line or row, where one is to blame. */
  line: Schema.optionalKey(Schema.Natural),
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}${this.line === undefined ? "" : `:${this.line}`}: ${this.reason}`
  }
}

/**
 * A position in the data set that a checkpoint can store: `offset` questions of epoch `epoch` were taken.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Cursor = Schema.Struct({ epoch: Schema.Natural, offset: Schema.Natural })

/**
 * @category models
 * @since 0.1.0
 */
export type Cursor = typeof Cursor.Type

/**
 * A question with the cursor behind it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Positioned {
  readonly question: Question
  readonly next: Cursor
}

/**
 * The data set. The order of an epoch is a function of the seed and the epoch alone.
 *
 * @category services
 * @since 0.1.0
 */
export class Questions extends Context.Service<Questions, {
  /** Number of questions in an epoch. */
  readonly size: Effect.Effect<number, QuestionsUnreadable>
  /** Questions from `cursor` on, epoch after epoch, endless unless the set is empty. */
  from(cursor: Cursor): Stream.Stream<Positioned, QuestionsUnreadable>
  /** One epoch in file order. */
  readonly all: Stream.Stream<Question, QuestionsUnreadable>
}>()("effect-search-r1/services/Questions") {}
