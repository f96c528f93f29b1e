/**
 * Questions as data sets hold them: FlashRAG's records and the reference's training records (spec §2.2).
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"
import type { Document } from "./Document.ts"
import * as GoldenAnswers from "./GoldenAnswers.ts"
import { questionIn } from "./PromptQuestion.ts"
import { renderPrompt, type Template } from "./Protocol.ts"
import { strip } from "./PythonString.ts"
import { normalizeQuestion, Question } from "./Question.ts"
import { at, type Fields, isFields, kind, optionalString, textOf } from "./RecordFields.ts"

const goldIds = (fields: Fields): ReadonlyArray<string> | undefined => {
  const ids = at(fields, "metadata", "gold_ids")
  if (!Array.isArray(ids)) return undefined
  const names = new Set(ids.flatMap((id) => textOf(id) ?? []))
  return names.size === 0 ? undefined : [...names]
}

/** MuSiQue's types begin with the number of hops: `2hop`, `3hop1`, …. */
const hops = (fields: Fields): number | undefined => {
  const count = at(fields, "metadata", "hops")
  if (typeof count === "number" && Number.isInteger(count)) return count
  const type = at(fields, "metadata", "type")
  const match = typeof type === "string" ? /^(\d+)hop/.exec(type) : null
  return match === null ? undefined : Number(match[1])
}

/** The question inside a rendered prompt: a text, or messages of which the user's last asks. */
const askedIn = (prompt: unknown): string | undefined => {
  if (typeof prompt === "string") return questionIn(prompt)
  if (!Array.isArray(prompt)) return undefined
  const contents = prompt.flatMap((message) =>
    isFields(message) && message["role"] === "user" && typeof message["content"] === "string"
      ? [message["content"]]
      : []
  )
  return questionIn(contents.at(-1) ?? "")
}

/**
 * The fields that {@link fromJson} reads.
 *
 * @category constants
 * @since 0.2.0
 */
export const columns: ReadonlyArray<string> = [
  "id",
  "question",
  "golden_answers",
  "data_source",
  "prompt",
  "reward_model",
  "reward_spec",
  "extra_info",
  "metadata"
]

/**
 * Reads a question from the JSON value of a record, in one of these forms:
 *
 * - FlashRAG: `{id, question, golden_answers, data_source?, metadata?: {gold_ids?, hops?, type?}}`;
 * - the reference: `{data_source, prompt, reward_model: {ground_truth: {target}}, extra_info: {split, index}}`, with the
 *   question in a column of its own, in `extra_info` (verl) or inside the prompt.
 *
 * `fallback` names what the record leaves out. The failure says which field is wrong.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromJson = (
  value: unknown,
  fallback: { readonly id: string; readonly dataSource: string }
): Result.Result<Question, string> => {
  if (!isFields(value)) {
    return Result.fail(`expected an object with "question" and "golden_answers", got ${kind(value)}`)
  }
  return Result.gen(function*() {
    const goldenAnswers = yield* GoldenAnswers.ofRecord(value)
    const question = (yield* optionalString(value, "question")) ?? textOf(at(value, "extra_info", "question")) ??
      askedIn(value["prompt"])
    if (question === undefined) return yield* Result.fail(`"question" is missing`)
    if (strip(question) === "") return yield* Result.fail(`"question" is empty`)
    const index = textOf(at(value, "extra_info", "index"))
    const split = at(value, "extra_info", "split")
    const numbered = index === undefined ? undefined : `${typeof split === "string" ? `${split}_` : ""}${index}`
    const gold = goldIds(value)
    const count = hops(value)
    return new Question({
      id: (yield* optionalString(value, "id")) ?? numbered ?? fallback.id,
      dataSource: (yield* optionalString(value, "data_source")) ?? fallback.dataSource,
      question,
      goldenAnswers,
      ...(gold !== undefined && { goldIds: gold }),
      ...(count !== undefined && { hops: count })
    })
  })
}

/**
 * A training record of the reference.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ReferenceRecord = Schema.Struct({
  id: Schema.String,
  question: Schema.String,
  golden_answers: Schema.Array(Schema.String),
  data_source: Schema.String,
  prompt: Schema.Array(Schema.Struct({ role: Schema.Literals(["user"]), content: Schema.String })),
  ability: Schema.Literals(["fact-reasoning"]),
  reward_model: Schema.Struct({
    style: Schema.Literals(["rule"]),
    ground_truth: Schema.Struct({ target: Schema.Array(Schema.String) })
  }),
  extra_info: Schema.Struct({ split: Schema.String, index: Schema.Natural })
})

/**
 * @category models
 * @since 0.1.0
 */
export type ReferenceRecord = typeof ReferenceRecord.Type

/**
 * The record that the reference's data scripts would write for a question (`scripts/data_process/*.py`). `index` must be
 * unique in the file: the reference groups by it (quirk Q30). `documents` fill the context of the `rag` template.
 *
 * @category encoding
 * @since 0.1.0
 */
export const toReference = (
  question: Question,
  options: {
    readonly template: Template
    readonly split: string
    readonly index: number
    readonly documents?: ReadonlyArray<Document> | undefined
  }
): ReferenceRecord => ({
  id: question.id,
  question: normalizeQuestion(question.question),
  golden_answers: question.goldenAnswers,
  data_source: question.dataSource,
  prompt: [{ role: "user", content: renderPrompt(options.template, question.question, options.documents) }],
  ability: "fact-reasoning",
  reward_model: { style: "rule", ground_truth: { target: question.goldenAnswers } },
  extra_info: { split: options.split, index: options.index }
})
