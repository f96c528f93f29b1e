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
    : value instanceof Date
    ? "a date"
    : typeof value === "object"
    ? "an object"
    : `a ${typeof value === "bigint" ? "number" : typeof value}`

/**
 * The text of a string or a finite number: ids and answers are written as either. `undefined` for anything else.
 *
 * @category getters
 * @since 0.2.0
 */
export const textOf = (value: unknown): string | undefined =>
  typeof value === "string"
    ? value
    : typeof value === "bigint" || (typeof value === "number" && Number.isFinite(value))
    ? String(value)
    : undefined

/**
 * Whether a field is left out: absent, null, or NaN, which pandas writes for null.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isMissing = (value: unknown): boolean => value === undefined || value === null || Number.isNaN(value)

/**
 * A string, `undefined` where the field is missing (see {@link isMissing}); numbers are read as strings.
 *
 * @category decoding
 * @since 0.1.0
 */
export const optionalString = (fields: Fields, name: string): Result.Result<string | undefined, string> => {
  const value = fields[name]
  if (isMissing(value)) return Result.succeed(undefined)
  const text = textOf(value)
  return text === undefined
    ? Result.fail(`"${name}" must be a string, got ${kind(value)}`)
    : Result.succeed(text)
}

/**
 * The value at a path inside nested objects.
 *
 * @category getters
 * @since 0.1.0
 */
export const at = (fields: Fields, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((value, name) => (isFields(value) ? value[name] : undefined), fields)
