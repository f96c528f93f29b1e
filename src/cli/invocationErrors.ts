/**
 * What is wrong with a command line, in one sentence each: what was given, what is expected, and what was likely meant.
 *
 * @since 0.2.0
 */
import type { CliError, HelpDoc } from "effect/cli"
import { nearest } from "../domain/Suggestion.ts"

type InvalidValue = Extract<CliError.CliError, { readonly _tag: "InvalidValue" }>

/** Words that command lines of our own flags say beside the library's. */
const words = (type: string | undefined): string =>
  type === "integer"
    ? "a whole number"
    : type === "number"
    ? "a number"
    : type === "boolean"
    ? "true or false"
    : "a value"

interface Range {
  readonly least: number
  readonly most: number
  /** Whether `least` itself is allowed. */
  readonly open: boolean
}

const rangeOf = (expected: string): Range | undefined => {
  const [, between, and] = /between (\S+) and (\S+)/.exec(expected) ?? []
  if (between !== undefined) return { least: Number(between), most: Number(and), open: false }
  const [, orEqual, least] = /greater than (or equal to )?(\S+)/.exec(expected) ?? []
  if (least !== undefined) {
    return { least: Number(least), most: Number.POSITIVE_INFINITY, open: orEqual === undefined }
  }
  const [, most] = /less than or equal to (\S+)/.exec(expected) ?? []
  return most === undefined ? undefined : { least: Number.NEGATIVE_INFINITY, most: Number(most), open: false }
}

const inWords = (whole: boolean, { least, most, open }: Range): string => {
  const what = whole ? "a whole number" : "a number"
  return Number.isFinite(least) && Number.isFinite(most)
    ? `${what} from ${least} to ${most}`
    : Number.isFinite(most)
    ? `${what} of at most ${most}`
    : `${what} ${open ? "above" : "of at least"} ${least}`
}

/** The allowed number next to what was given, where there is one. */
const nearestNumber = (value: string, whole: boolean, range: Range): number | undefined => {
  const given = Number(value)
  if (value.trim() === "" || !Number.isFinite(given)) return undefined
  const least = range.open && whole ? range.least + 1 : range.least
  const clamped = Math.min(range.most, Math.max(least, whole ? Math.round(given) : given))
  return range.open && !whole && clamped <= range.least ? undefined : clamped
}

const choicesOf = (expected: string): ReadonlyArray<string> | undefined =>
  /^"[^"]*"(?: \| "[^"]*")*$/.test(expected)
    ? [...expected.matchAll(/"([^"]*)"/g)].map(([, choice = ""]) => choice)
    : undefined

const either = (choices: ReadonlyArray<string>): string =>
  choices.length < 2 ? choices.join("") : `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`

const meant = (candidate: string | undefined): string => candidate === undefined ? "" : `; did you mean ${candidate}?`

const expectation = (value: string, written: string, type: string | undefined): string => {
  const expected = written.replace(/^Schema validation failed: /, "").replace(/^Expected:? /, "")
  const whole = type === "integer"
  const choices = choicesOf(expected)
  if (choices !== undefined) {
    return choices.includes("yes") && choices.includes("true")
      ? "expected true or false"
      : `expected ${either(choices)}${meant(nearest(value, choices))}`
  }
  const range = rangeOf(expected)
  if (range !== undefined) {
    const next = nearestNumber(value, whole, range)
    return `expected ${inWords(whole, range)}${next === undefined ? "" : `; the nearest is ${next}`}`
  }
  if (/Duration/.test(expected)) {
    return `expected a time with its unit, such as "5 seconds" or "2 minutes"${
      /^\d+(?:\.\d+)?$/.test(value) ? meant(`"${value} seconds"`) : ""
    }`
  }
  if (/finite number|a number/.test(expected)) return `expected ${words(type)}`
  if (/integer/.test(expected)) {
    const given = Math.round(Number(value))
    return `expected a whole number${Number.isFinite(given) ? `; the nearest is ${given}` : ""}`
  }
  if (expected.startsWith("Path is not a directory")) return "this is no directory"
  if (expected.startsWith("Path is not a file")) return "this is no file"
  if (/does not exist/.test(expected)) return "there is no such file or directory"
  return `expected ${expected}`
}

const invalidValue = ({ expected, kind, option, value }: InvalidValue, doc: HelpDoc.HelpDoc): string => {
  const documented = kind === "flag"
    ? [...doc.flags, ...doc.inheritedFlags ?? [], ...doc.globalFlags ?? []].find(({ name }) => name === option)
    : doc.args?.find(({ name }) => name === option)
  const name = kind === "flag" ? `--${option}` : `<${option}>`
  const times = /^(\d+) occurrences$/.exec(value)?.[1]
  if (times !== undefined) return `${name} is given ${times} times: expected ${expected.replace(/^Expected:? /, "")}`
  if (value === "" && kind === "flag" && /^[A-Za-z[]/.test(expected) && !expected.startsWith("Schema")) {
    return `${name} needs a value: ${documented?.type ?? expected}`
  }
  return `${name} ${value === "" ? "\"\"" : value}: ${expectation(value, expected, documented?.type)}`
}

/**
 * One sentence about an error of the command line. `doc` documents the command that was called.
 *
 * @category formatting
 * @since 0.2.0
 */
export const describe = (error: CliError.CliError, doc: HelpDoc.HelpDoc): string => {
  switch (error._tag) {
    case "UnrecognizedOption":
      return `there is no flag ${error.option} here${meant(error.suggestions[0])}`
    case "UnknownSubcommand":
      return `there is no command ${[...(error.parent ?? []).slice(1), error.subcommand].join(" ")}${
        meant(error.suggestions[0])
      }`
    case "MissingOption":
      return `--${error.option} is missing`
    case "MissingArgument":
      return `<${error.argument}> is missing`
    case "UnexpectedArgument": {
      const given = error.arguments.map((argument) => JSON.stringify(argument)).join(", ")
      return `${given} ${error.arguments.length === 1 ? "is" : "are"} one argument too many`.replace(
        "are one argument",
        "are arguments"
      )
    }
    case "InvalidValue":
      return invalidValue(error, doc)
    default:
      return error.message
  }
}
