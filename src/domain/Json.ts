/**
 * Reads JSON without rounding it: ids of 64 bits stay what they are.
 *
 * @since 0.2.0
 */
import { Result, Schema } from "effect"
import * as JsonFlaw from "./JsonFlaw.ts"

/** What a reviver is told about a primitive beside its value (ECMAScript's "JSON.parse source text access"). */
interface Context {
  readonly source?: string
}

/** Nobody counts further; to read a million digits exactly takes seconds. */
const integer = /^-?\d{1,2000}$/

/** What stands for a number that JSON does not have while the rest is read. */
const placeholder = "\u0000number:"
const stringOrWord = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/gs

/** Leaves an integer whole whose digits a number would not give back. */
const exact = (_key: string, value: unknown, context?: Context): unknown => {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value
  const source = context?.source
  return source !== undefined && integer.test(source) && String(value) !== source ? BigInt(source) : value
}

/** {@link exact}, and numbers for their placeholders. */
const withNumbers = (key: string, value: unknown, context?: Context): unknown =>
  typeof value === "string" && value.startsWith(placeholder)
    ? Number(value.slice(placeholder.length))
    : exact(key, value, context)

/** The text with placeholders for `NaN`, `Infinity` and `-Infinity`, where it has them outside of strings. */
const withPlaceholders = (text: string): string =>
  text.replaceAll(
    stringOrWord,
    (found) => found.startsWith("\"") ? found : JSON.stringify(placeholder + found)
  )

/** Whether a number in the value may have been rounded. Values nest as deep as they like: there is no recursion. */
const holdsLarge = (root: unknown): boolean => {
  const left: Array<object> = []
  const isLarge = (value: unknown): boolean => {
    if (typeof value === "number") return value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER
    if (typeof value === "object" && value !== null) left.push(value)
    return false
  }
  if (isLarge(root)) return true
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const values: ReadonlyArray<unknown> = Array.isArray(next) ? next : Object.values(next)
    for (const value of values) if (isLarge(value)) return true
  }
  return false
}

const attempt = (text: string): Result.Result<unknown, unknown> =>
  Result.try((): unknown => {
    const value: unknown = JSON.parse(text)
    return holdsLarge(value) ? JSON.parse(text, exact) : value
  })

/**
 * The value of a JSON text: what `JSON.parse` gives, except that an integer of up to 2,000 digits which a number would round is a `bigint`, and
 * that `NaN`, `Infinity` and `-Infinity`, which Python's `json.dumps` writes, are the numbers that they are. Only texts with
 * a number beyond 2^53 or with such words are read twice. The failure says where the text is no JSON and why; `from` is where
 * it begins within a file.
 *
 * @category decoding
 * @since 0.2.0
 */
export const parse = (text: string, from?: JsonFlaw.Place): Result.Result<unknown, string> => {
  const strict = attempt(text)
  if (Result.isSuccess(strict)) return Result.succeed(strict.success)
  const failed = Result.mapError(strict, () => JsonFlaw.describe(text, from))
  return !/NaN|Infinity/.test(text) ? failed : Result.orElse(
    Result.try((): unknown => JSON.parse(withPlaceholders(text), withNumbers)),
    () => failed
  )
}

/**
 * The value of a JSON text, of the form that `schema` describes; the failure says in one line where the text is no JSON, or
 * which part of it has another form.
 *
 * @category decoding
 * @since 0.2.0
 */
export const decode = <A>(schema: Schema.ConstraintDecoder<A>) => (text: string): Result.Result<A, string> =>
  Result.flatMap(
    Result.mapError(parse(text), (reason) => text.trim() === "" ? "it is empty" : `it is not JSON (${reason})`),
    (value) =>
      Result.mapError(
        Schema.decodeUnknownResult(schema)(value),
        (error) => error.message.replaceAll(/\s*\n\s*/g, " ")
      )
  )

/**
 * A value of {@link parse} as text, for messages.
 *
 * @category formatting
 * @since 0.2.0
 */
export const show = (value: unknown): string =>
  JSON.stringify(value, (_, field: unknown) => typeof field === "bigint" ? String(field) : field) ?? "undefined"
