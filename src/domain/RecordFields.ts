/**
 * Reads fields of other people's JSON objects, with failures that say which field is wrong and what it holds.
 *
 * @since 0.1.0
 */
import { Result } from "effect"

/**
 * An object of JSON.
 *
 * @category models
 * @since 0.1.0
 */
export type Fields = Readonly<Record<string, unknown>>

/**
 * @category guards
 * @since 0.1.0
 */
export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * What a value is, in words for messages.
 *
 * @category getters
 * @since 0.1.0
 */
export const kind = (value: unknown): string =>
  value === undefined
    ? "nothing"
    : value === null
    ? "null"
    : Array.isArray(value)
    ? "an array"
    : typeof value === "object"
    ? "an object"
    : `a ${typeof value}`

const isString = (value: unknown): value is string => typeof value === "string"

/**
 * A string, `undefined` where the field is absent or null; numbers are read as strings.
 *
 * @category decoding
 * @since 0.1.0
 */
export const optionalString = (fields: Fields, name: string): Result.Result<string | undefined, string> => {
  const value = fields[name]
  if (value === undefined || value === null) return Result.succeed(undefined)
  if (typeof value === "string") return Result.succeed(value)
  return typeof value === "number"
    ? Result.succeed(String(value))
    : Result.fail(`"${name}" must be a string, got ${kind(value)}`)
}

/**
 * The value at a path inside nested objects.
 *
 * @category getters
 * @since 0.1.0
 */
export const at = (fields: Fields, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((value, name) => (isFields(value) ? value[name] : undefined), fields)

/**
 * Golden answers of a record: `golden_answers` (one string or many), or the reference's `reward_model.ground_truth.target`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const goldenAnswersOf = (fields: Fields): Result.Result<ReadonlyArray<string>, string> => {
  const [name, value] = fields["golden_answers"] === undefined
    ? ["reward_model.ground_truth.target", at(fields, "reward_model", "ground_truth", "target")]
    : ["golden_answers", fields["golden_answers"]]
  if (value === undefined) return Result.fail(`"golden_answers" is missing`)
  if (typeof value === "string") return Result.succeed([value])
  if (!Array.isArray(value)) {
    return Result.fail(`"${name}" must be a string or an array of strings, got ${kind(value)}`)
  }
  if (value.length === 0) return Result.fail(`"${name}" is empty: there is nothing to grade against`)
  const answers = value.filter(isString)
  return answers.length === value.length
    ? Result.succeed(answers)
    : Result.fail(`"${name}" must hold strings only, got ${kind(value.find((answer) => !isString(answer)))}`)
}
