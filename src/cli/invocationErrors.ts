/**
 * What is wrong with a command line, in one sentence each: what was given, what is expected, and what was likely meant.
 *
 * @since 0.2.0
 */
import type { CliError, HelpDoc } from "effect/cli"
import { either, meant, nearestChoice, nearestNumber, numberWords, type Range } from "../domain/Allowed.ts"

type InvalidValue = Extract<CliError.CliError, { readonly _tag: "InvalidValue" }>

type Variables = ReadonlyMap<string, string>

/** What help calls values that are whole numbers. */
const wholes: ReadonlySet<string | undefined> = new Set([
  "integer",
  "N",
  "PASSAGES",
  "TEXTS",
  "BYTES",
  "ANSWERS",
  "MIB"
])

const rangeOf = (expected: string): Range | undefined => {
  const [, between, and] = /between (\S+) and (\S+)/.exec(expected) ?? []
  if (between !== undefined) return { least: Number(between), most: Number(and) }
  const [, orEqual, least] = /greater than (or equal to )?(\S+)/.exec(expected) ?? []
  if (least !== undefined) {
    return { least: Number(least), most: Number.POSITIVE_INFINITY, openLeast: orEqual === undefined }
  }
  const [, most] = /less than or equal to (\S+)/.exec(expected) ?? []
  return most === undefined ? undefined : { least: Number.NEGATIVE_INFINITY, most: Number(most) }
}

const choicesOf = (expected: string): ReadonlyArray<string> | undefined =>
  /^"[^"]*"(?: \| "[^"]*")*$/.test(expected)
    ? [...expected.matchAll(/"([^"]*)"/g)].map(([, choice = ""]) => choice)
    : undefined

const expectation = (value: string, written: string, type: string | undefined): string => {
  const expected = written.replace(/^Schema validation failed: /, "").replace(/^Expected:? /, "")
  const whole = wholes.has(type)
  const choices = choicesOf(expected)
  if (choices !== undefined) {
    return choices.includes("yes") && choices.includes("true")
      ? "expected true or false"
      : `expected ${either(choices)}${meant(nearestChoice(value, choices))}`
  }
  const range = rangeOf(expected)
  if (range !== undefined) {
    const next = value.trim() === "" ? undefined : nearestNumber(Number(value), whole, range)
    return `expected ${numberWords(whole, range)}${next === undefined ? "" : `; the nearest is ${next}`}`
  }
  if (/Duration/.test(expected)) {
    return `expected a time with its unit, such as "5 seconds" or "2 minutes"${
      /^\d+(?:\.\d+)?$/.test(value) ? meant(`"${value} seconds"`) : ""
    }`
  }
  if (/finite number|a number/.test(expected)) return `expected ${whole ? "a whole number" : "a number"}`
  if (/integer/.test(expected)) {
    const given = Math.round(Number(value))
    return `expected a whole number${Number.isFinite(given) ? `; the nearest is ${given}` : ""}`
  }
  if (expected.startsWith("Path is not a directory")) return "this is no directory"
  if (expected.startsWith("Path is not a file")) return "this is no file"
  if (/does not exist/.test(expected)) return "there is no such file or directory"
  return `expected ${expected}`
}

/** A value that a variable of the environment holds in place of a flag: its name and what it should hold. */
const fromVariable = /^SchemaError\((.*?)\n\s*at \["(\w+)"\]\)$/s

/**
 * The variable of the environment whose value an error is about, if any.
 *
 * @category getters
 * @since 0.2.0
 */
export const variableOf = (error: CliError.CliError): string | undefined =>
  error._tag === "InvalidValue" && error.value === "config" ? fromVariable.exec(error.expected)?.[2] : undefined

const invalidValue = (error: InvalidValue, doc: HelpDoc.HelpDoc, variables: Variables): string => {
  const { expected, kind, option, value } = error
  const variable = variableOf(error)
  if (variable !== undefined) {
    const held = variables.get(variable) ?? ""
    return `${variable}=${held}: ${expectation(held, fromVariable.exec(expected)?.[1] ?? "", undefined)}`
  }
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
 * One sentence about an error of the command line. `doc` documents the command that was called, `variables` are those that
 * {@link variableOf} names.
 *
 * @category formatting
 * @since 0.2.0
 */
export const describe = (
  error: CliError.CliError,
  doc: HelpDoc.HelpDoc,
  variables: Variables = new Map()
): string => {
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
      return invalidValue(error, doc, variables)
    default:
      return error.message
  }
}
