/**
 * Colour and layout for terminals; plain text where there is none.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { TerminalCapabilities } from "effect/cli"

type Paint = (text: string) => string

/**
 * How parts of a text are marked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Style {
  readonly heading: Paint
  readonly title: Paint
  readonly faint: Paint
  readonly think: Paint
  readonly search: Paint
  readonly information: Paint
  readonly answer: Paint
  readonly good: Paint
  readonly bad: Paint
}

const paint = (code: string): Paint => (text) =>
  text === "" ? text : text.split("\n").map((line) => `\u001B[${code}m${line}\u001B[0m`).join("\n")

const unchanged: Paint = (text) => text

/**
 * @category constants
 * @since 0.1.0
 */
export const plain: Style = {
  heading: unchanged,
  title: unchanged,
  faint: unchanged,
  think: unchanged,
  search: unchanged,
  information: unchanged,
  answer: unchanged,
  good: unchanged,
  bad: unchanged
}

/**
 * @category constants
 * @since 0.1.0
 */
export const colored: Style = {
  heading: paint("36"),
  title: paint("1"),
  faint: paint("2"),
  think: paint("2"),
  search: paint("1;34"),
  information: paint("32"),
  answer: paint("1;33"),
  good: paint("32"),
  bad: paint("31")
}

/**
 * The style that the terminal behind standard output can show.
 *
 * @category getters
 * @since 0.1.0
 */
export const style = Effect.map(
  TerminalCapabilities.TerminalCapabilities,
  ({ canColor }) => canColor ? colored : plain
)

/**
 * Text from models and corpora may hold anything; what would steer a terminal is not printed. Line breaks stay.
 *
 * @category formatting
 * @since 0.1.0
 */
// oxlint-disable-next-line no-control-regex
export const printable = (text: string): string => text.replaceAll(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]+/g, " ")

/**
 * Printable text on one line.
 *
 * @category formatting
 * @since 0.1.0
 */
export const oneLine = (text: string): string => printable(text).replaceAll("\n", " ").trim()
