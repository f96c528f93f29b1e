/**
 * Golden answers as data sets, recordings and logs hold them, read alike wherever they come from.
 *
 * @since 0.2.0
 */
import { Result } from "effect"
import * as Json from "./Json.ts"
import * as PythonLiteral from "./PythonLiteral.ts"
import { at, type Fields, isFields, isMissing, kind, textOf } from "./RecordFields.ts"

type Answers = Result.Result<ReadonlyArray<string>, string>

/** A data set of true and false is answered in words as often as with yes and no. */
const verdicts = (value: boolean): ReadonlyArray<string> => value ? ["yes", "true"] : ["no", "false"]

const elided =
  `were printed with "...", which stands for those that NumPy left out: nothing can be graded against the rest (numpy.set_printoptions(threshold=sys.maxsize) prints all)`

/** A quotation mark tells a printed list from an answer in brackets. */
const looksPrinted = /^\s*(?:[[{]|array\()[^]*['"]/

/** A string that Python printed in place of the list: `['a' 'b']`, `{'target': array(['a'], dtype=object)}`. */
const printedList = (text: string): Result.Result<unknown, string> | undefined => {
  if (!looksPrinted.test(text)) return undefined
  const parsed = PythonLiteral.parse(text)
  if (Result.isFailure(parsed)) return parsed.failure === "elided" ? Result.fail(elided) : undefined
  return Array.isArray(parsed.success) || (isFields(parsed.success) && "target" in parsed.success)
    ? Result.succeed(parsed.success)
    : undefined
}

/** Deeper lists are no answers. */
const maxDepth = 64

/** Adds the answers in a value, or says what is wrong with it; the name of the field goes in front. */
const collect = (value: unknown, into: Array<string>, depth = 0): string | undefined => {
  if (depth > maxDepth) return "is nested too deeply"
  if (isMissing(value)) return undefined
  if (typeof value === "string") {
    const printed = printedList(value)
    if (printed === undefined) into.push(value)
    else return Result.isFailure(printed) ? printed.failure : collect(printed.success, into, depth + 1)
  } else if (typeof value === "boolean") into.push(...verdicts(value))
  else if (Array.isArray(value)) {
    for (const element of value) {
      const flaw = collect(element, into, depth + 1)
      if (flaw !== undefined) return flaw
    }
  } else if (isFields(value) && "target" in value) return collect(value["target"], into, depth + 1)
  else {
    const text = textOf(value)
    if (text === undefined) {
      return `must hold strings, numbers, true or false, or {"target": …} with these, got ${kind(value)}`
    }
    into.push(text)
  }
  return undefined
}

/**
 * The golden answers that a value holds: a string, a number (`1998` and `1998.0` are "1998"), a boolean (true is "yes" and
 * "true", false is "no" and "false"), a list of these however nested, `{"target": …}` with these, or any of them as Python
 * or NumPy prints it. Nulls are left out; there may be none left. The failure says what the value is that it must not be.
 *
 * @category decoding
 * @since 0.2.0
 */
export const fromValue = (value: unknown): Answers => {
  const answers: Array<string> = []
  const flaw = collect(value, answers)
  return flaw === undefined ? Result.succeed(answers) : Result.fail(flaw)
}

/**
 * The golden answers that a line of a log shows, which `print` wrote; a text that is no list is one answer.
 *
 * @category decoding
 * @since 0.2.0
 */
export const fromPrinted = (printed: string): Answers => {
  const text = printed.trim()
  const parsed = PythonLiteral.parse(text)
  if (Result.isFailure(parsed)) {
    if (parsed.failure === "elided") return Result.fail(elided)
    return looksPrinted.test(text)
      ? Result.fail(`are no list as Python prints one, so the line is cut off or broken: ${text.slice(0, 60)}`)
      : Result.succeed([text])
  }
  // a bare number is shown by its own digits, but for what makes it a float
  return typeof parsed.success === "number" || typeof parsed.success === "bigint"
    ? Result.succeed([text.replace(/^(-?\d+)\.0$/, "$1")])
    : fromValue(parsed.success)
}

const grouped = ["reward_model", "reward_spec"] as const

/** A dictionary in a column of strings: JSON, or as Python prints it. */
const dictionary = (value: unknown): unknown => {
  if (typeof value !== "string" || !/^\s*\{/.test(value)) return value
  const json = Json.parse(value)
  if (Result.isSuccess(json)) return json.success
  const printed = PythonLiteral.parse(value)
  return Result.isSuccess(printed) ? printed.success : value
}

/** Where a record may hold its golden answers, the first that has some counting. */
const places = (fields: Fields): ReadonlyArray<readonly [name: string, value: unknown]> => [
  ["golden_answers", fields["golden_answers"]],
  ...grouped.map((name) =>
    [`${name}.ground_truth`, at({ [name]: dictionary(fields[name]) }, name, "ground_truth")] as const
  )
]

/**
 * The golden answers of a record that need not have any: those of `golden_answers`, and where that is absent, null or
 * empty, of `reward_model.ground_truth` (verl, the reference) or `reward_spec.ground_truth` (SkyRL), which may hold them
 * itself or as `target`. The failure names the field.
 *
 * @category decoding
 * @since 0.2.0
 */
export const optional = (fields: Fields): Answers => {
  for (const [name, value] of places(fields)) {
    const found = Result.mapError(fromValue(value), (flaw) => `"${name}" ${flaw}`)
    if (Result.isFailure(found) || found.success.length > 0) return found
  }
  return Result.succeed([])
}

/**
 * {@link optional} of a record that must have golden answers.
 *
 * @category decoding
 * @since 0.2.0
 */
export const ofRecord = (fields: Fields): Answers =>
  Result.flatMap(optional(fields), (answers) => {
    if (answers.length > 0) return Result.succeed(answers)
    const [name, value] = places(fields).find(([, value]) => value !== undefined) ?? []
    return Result.fail(
      name === undefined
        ? `"golden_answers" is missing`
        : `"${name}" is ${isMissing(value) ? "null" : "empty"}: there is nothing to grade against`
    )
  })
