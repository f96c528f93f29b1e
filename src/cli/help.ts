/**
 * What the command line says of itself: help that fits the terminal, and what is wrong with a call, in a few lines on
 * standard error.
 *
 * @since 0.2.0
 */
import { Config, Console, Effect, Layer, Option, Runtime, Stdio } from "effect"
import { type CliError, CliOutput, type HelpDoc, TerminalCapabilities } from "effect/cli"
import * as DashedWords from "./dashedWords.ts"
import { asCalled, invocation } from "./invocation.ts"
import { describe, variableOf } from "./invocationErrors.ts"
import { colored, plain, printable, type Style } from "./style.ts"
import * as TextWidth from "./textWidth.ts"

/** Characters of a line where nothing tells how many fit. */
const usualWidth = 100

/** The widest that names of flags may be for their descriptions to stand beside them. */
const widestName = 30

/**
 * Breaks a text at spaces into lines of at most `width` characters; a longer word is a line of its own.
 *
 * @category formatting
 * @since 0.2.0
 */
export const wrap = (text: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === "" ? word : `${line} ${word}`
  }
  return [...lines, line]
}

interface Row {
  readonly name: string
  readonly text: string
}

/** Names with descriptions beside them, or below names that are too long. */
const rows = (all: ReadonlyArray<Row>, width: number, style: Style): ReadonlyArray<string> => {
  const fitting = all.map(({ name }) => name.length).filter((length) => length <= widestName)
  const column = Math.min(Math.max(...fitting, 0) + 4, Math.floor(width / 2))
  return all.flatMap(({ name, text }) => {
    const lines = wrap(text, Math.max(20, width - column - 2))
    const beside = name.length + 2 <= column
    const rest = (beside ? lines.slice(1) : lines).map((line) => `  ${" ".repeat(column)}${line}`)
    return beside
      ? [`  ${style.heading(name)}${" ".repeat(column - name.length)}${lines[0]}`.trimEnd(), ...rest]
      : [`  ${style.heading(name)}`, ...rest]
  })
}

const flagRow = ({ aliases, description, name, required, type }: HelpDoc.FlagDoc): Row => ({
  name: `${[`--${name}`, ...aliases].join(", ")}${type === "boolean" ? "" : ` ${type}`}`,
  text: `${Option.getOrElse(description, () => "")}${required && type !== "boolean" ? " (needed)" : ""}`
})

const section = (title: string, lines: ReadonlyArray<string>, style: Style): ReadonlyArray<string> =>
  lines.length === 0 ? [] : [style.title(title), ...lines, ""]

const paragraph = (text: string, width: number): ReadonlyArray<string> =>
  text === "" ? [] : wrap(text, width - 2).map((line) => `  ${line}`)

/**
 * A command's help in lines of at most `width` characters, where words allow. Examples begin with `called`.
 *
 * @category formatting
 * @since 0.2.0
 */
export const format = (doc: HelpDoc.HelpDoc, width: number, style: Style, called = "search-r1"): string => {
  const args = (doc.args ?? []).map((arg): Row => ({
    name: `${arg.name}${arg.variadic ? "..." : ""} ${arg.type}`,
    text: `${Option.getOrElse(arg.description, () => "")}${arg.required ? "" : " (optional)"}`
  }))
  const subcommands = (doc.subcommands ?? []).flatMap(({ commands }) =>
    commands.map(({ description, name, shortDescription }): Row => ({ name, text: shortDescription ?? description }))
  )
  const examples = (doc.examples ?? []).flatMap(({ command, description }, index) => [
    ...(index === 0 ? [] : [""]),
    ...(description === undefined ? [] : [style.faint(`  # ${description}`)]),
    `  ${asCalled(called, command)}`
  ])
  return [
    ...section("DESCRIPTION", paragraph(doc.description, width), style),
    ...section("USAGE", [`  ${doc.usage}`], style),
    ...section("SUBCOMMANDS", rows(subcommands, width, style), style),
    ...section("ARGUMENTS", rows(args, width, style), style),
    ...section("FLAGS", rows([...doc.flags, ...doc.inheritedFlags ?? []].map(flagRow), width, style), style),
    ...section("GLOBAL FLAGS", rows((doc.globalFlags ?? []).map(flagRow), width, style), style),
    ...section("EXAMPLES", examples, style)
  ].join("\n").trimEnd()
}

/** `error:` and a message, whose further lines say how to mend it. */
const errorText = (message: string, style: Style, command: string): string =>
  `${style.bad("error:")} ${asCalled(command, printable(message))}`

const invalid = (
  errors: ReadonlyArray<CliError.CliError>,
  doc: HelpDoc.HelpDoc,
  command: string,
  style: Style,
  { args, variables }: { readonly args: ReadonlyArray<string>; readonly variables: ReadonlyMap<string, string> }
): string => {
  const [, ...path] = doc.commandPath ?? []
  const dashed = DashedWords.find(errors, args, doc, ["search-r1", ...path].join(" "))
  // what follows from the first is noise: "--run is missing" beside "there is no flag --rnu"
  const told = [
    ...(dashed === undefined ? [] : [dashed.message]),
    ...errors.filter((error) => dashed?.explains(error) !== true).map((error) => describe(error, doc, variables))
  ]
  return [
    ...[...new Set(told)].map((message) => errorText(message, style, command)),
    `usage: ${doc.usage}`,
    `${[command, ...path].join(" ")} --help tells more`
  ].join("\n")
}

const variablesOf = (errors: ReadonlyArray<CliError.CliError>) =>
  Effect.map(
    Effect.forEach(errors.flatMap((error) => variableOf(error) ?? []), (name) =>
      Config.String(name).pipe(
        Effect.orElseSucceed(() => ""),
        Effect.map((value) => [name, value] as const)
      )),
    (pairs) => new Map(pairs)
  )

/**
 * Tells an error that nobody has told yet in one line: no failure shows its stack.
 *
 * @category reporting
 * @since 0.2.0
 */
export const report = Effect.fnUntraced(function*(error: object) {
  if (!Runtime.getErrorReported(error)) return
  const message = "message" in error && typeof error.message === "string" ? error.message : String(error)
  yield* Console.error(errorText(message, plain, yield* invocation))
  Object.assign(error, { [Runtime.errorReported]: false })
})

/**
 * Presents help, errors and versions as this module describes them.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = Layer.unwrap(Effect.gen(function*() {
  const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
  const columns = yield* TextWidth.available
  const style = canColor ? colored : plain
  const width = columns === undefined ? usualWidth : Math.max(40, columns)
  const command = yield* invocation
  const stdio = yield* Stdio.Stdio
  const standard = CliOutput.defaultFormatter({ colors: canColor })
  const formatter: CliOutput.Formatter = {
    ...standard,
    formatHelpDoc: (doc) => format(doc, width, style, command),
    formatCliError: (error) => printable(error.message),
    formatError: (error) => errorText(error.message, style, command),
    formatErrors: (errors) => errors.map((error) => errorText(error.message, style, command)).join("\n")
  }
  return Layer.merge(
    CliOutput.layer(formatter),
    CliOutput.layerPresenter({
      present: (event) =>
        event._tag === "Help"
          ? Console.log(formatter.formatHelpDoc(event.helpDoc))
          : event._tag === "Version"
          ? Console.log(formatter.formatVersion(event.name, event.version))
          : Effect.flatMap(variablesOf(event.errors), (variables) =>
            Effect.flatMap(stdio.args, (args) =>
              Console.error(invalid(event.errors, event.helpDoc, command, style, { args, variables }))))
    })
  )
}))
