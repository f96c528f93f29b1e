/**
 * Questions with their gold answers.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * A question of a data set. `id` is unique within the data set, `dataSource` names the benchmark it came from
 * (`nq`, `hotpotqa`, …) and is the key that metrics are reported by.
 *
 * @category models
 * @since 0.1.0
 */
export class Question extends Schema.Class<Question>("effect-search-r1/domain/Question")({
  id: Schema.String,
  dataSource: Schema.String,
  question: Schema.String,
  goldenAnswers: Schema.Array(Schema.String),
  /** Ids of the passages that hold the answer, where the data set knows them. */
  goldIds: Schema.optionalKey(Schema.Array(Schema.String)),
  /** Number of facts to combine, where the data set knows it. */
  hops: Schema.optionalKey(Schema.Int)
}) {}

/**
 * The reference's preprocessing of a question: strip, then append a question mark when there is none
 * (`scripts/data_process/nq_search.py`). An empty question stays empty instead of crashing.
 *
 * @category conversions
 * @since 0.1.0
 */
export const normalizeQuestion = (question: string): string => {
  const stripped = question.trim()
  return stripped === "" || stripped.endsWith("?") ? stripped : `${stripped}?`
}
