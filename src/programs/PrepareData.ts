/**
 * Turns questions into the training records that the reference's data scripts write.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import type { Template } from "../domain/Protocol.ts"
import { type ReferenceRecord, toReference } from "../domain/QuestionRecord.ts"
import { Questions, type QuestionsUnreadable } from "../services/Questions.ts"
import { Retriever, type RetrieverError } from "../services/Retriever.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly template: Exclude<Template, "rag">
  /** Goes into `extra_info.split`. */
  readonly split: string
}

/**
 * A record for each question, in file order. `extra_info.index` counts over all data sources, so that no two questions
 * share a group (quirk Q30).
 *
 * @category constructors
 * @since 0.1.0
 */
export const records = (options: Options): Stream.Stream<ReferenceRecord, QuestionsUnreadable, Questions> =>
  Stream.unwrap(Questions.useSync((questions) => questions.all)).pipe(
    Stream.zipWithIndex,
    Stream.map(([question, index]) => toReference(question, { ...options, index }))
  )

/**
 * Records of the `rag` template: the `topK` passages that the retriever finds for the question stand in the prompt.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ragRecords = (options: {
  readonly split: string
  readonly topK: number
  readonly concurrency: number
}): Stream.Stream<ReferenceRecord, QuestionsUnreadable | RetrieverError, Questions | Retriever> =>
  Stream.unwrap(Effect.map(Effect.all([Questions, Retriever]), ([questions, retriever]) =>
    questions.all.pipe(
      Stream.zipWithIndex,
      Stream.mapEffect(([question, index]) =>
        Effect.map(
          retriever.search(question.question, { topK: options.topK }),
          (documents) => toReference(question, { template: "rag", split: options.split, index, documents })
        ), { concurrency: options.concurrency })
    )))
