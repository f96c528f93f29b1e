/**
 * Finds the turns of a recorded conversation by the marks of {@link ChatFamilies}.
 *
 * @since 0.2.0
 */
import * as ChatFamilies from "./ChatFamilies.ts"
import { escapeRegExp } from "./escapeRegExp.ts"
import { whitespaceClass } from "./PythonString.ts"

const space = `[${whitespaceClass}]`

const trimmed = (texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  [...new Set(texts.map((text) => text.trimEnd()))].sort((a, b) => b.length - a.length)

/** Any of the texts, the longest first; white space at their end may be missing. */
const choice = (texts: ReadonlyArray<string>): string => `(?:${trimmed(texts).map(escapeRegExp).join("|")})`

/** Openings with as much of the white space that belongs to them as is there. */
const opening = (texts: ReadonlyArray<string>): string =>
  `(?:${
    [...texts].sort((a, b) => b.length - a.length).map((text) => {
      const name = text.trimEnd()
      return escapeRegExp(name) + text.slice(name.length).replaceAll(/./gsu, "$&?")
    }).join("|")
  })`

const { around, assistantOpens, begins, ends, goOn, otherOpens } = ChatFamilies
const assistant = opening(assistantOpens)
const within = choice([...ends, ...around, ...goOn, ...begins])

const gap = new RegExp(`(?:${space}|${within}|${choice(otherOpens)})*`, "y")
const assistantAnywhere = new RegExp(assistant)
const other = new RegExp(choice(otherOpens))
const answering = new RegExp(`(?:${space}*${within})*(?:${space}*${assistant})?`, "y")
const conversation = new RegExp(`${space}*${choice([...begins, ...otherOpens, ...assistantOpens])}`, "y")

/**
 * Where the assistant speaks: its opening.
 *
 * @category constants
 * @since 0.2.0
 */
export const assistantOpening = new RegExp(assistant, "g")

/**
 * Where somebody else speaks: an opening.
 *
 * @category constants
 * @since 0.2.0
 */
export const otherOpening = new RegExp(choice(otherOpens), "g")

/**
 * Where a tool's turn ends: at the assistant's opening, or where it goes on without one.
 *
 * @category constants
 * @since 0.2.0
 */
export const toolTurnEnd = new RegExp(`${choice(goOn)}|${assistant}`, "g")

/**
 * Where a turn ends.
 *
 * @category constants
 * @since 0.2.0
 */
export const turnEnd = new RegExp(choice([...ends, ...goOn]))

/**
 * A closing tag behind which nothing but marks comes before the assistant speaks, or the text ends.
 *
 * @category constants
 * @since 0.2.0
 */
export const lastInformationClose = new RegExp(
  `</information>(?=(?:${space}|${within})*(?:${assistant}|$))|</information>(?=${space}*${choice(goOn)})`,
  "g"
)

/**
 * Behind white space, ends of turns and openings of anybody but the assistant, from an offset on.
 *
 * @category scanning
 * @since 0.2.0
 */
export const behindGap = (text: string, from: number): number => {
  gap.lastIndex = from
  return gap.test(text) ? gap.lastIndex : from
}

/**
 * Whether somebody other than the assistant begins to speak in a gap.
 *
 * @category predicates
 * @since 0.2.0
 */
export const opensOther = (gap: string): boolean => other.test(gap)

/**
 * Whether the assistant begins to speak in a text that {@link behindAnswering} has passed over.
 *
 * @category predicates
 * @since 0.2.0
 */
export const opensAssistant = (text: string): boolean => assistantAnywhere.test(text)

/**
 * Behind the ends of a turn and the assistant's opening that stand at an offset; the offset where there are none.
 *
 * @category scanning
 * @since 0.2.0
 */
export const behindAnswering = (text: string, from: number): number => {
  answering.lastIndex = from
  return answering.test(text) ? answering.lastIndex : from
}

/**
 * Whether a text begins as the recording of a whole conversation does.
 *
 * @category predicates
 * @since 0.2.0
 */
export const startsConversation = (text: string): boolean => {
  conversation.lastIndex = 0
  return conversation.test(text)
}

const endMarks = trimmed([...ends, ...around, ...goOn, ...begins])
const isSpace = new RegExp(space)

/** Offset of the mark that ends at `end`, or -1. */
const markBefore = (text: string, end: number, marks: ReadonlyArray<string>): number => {
  const found = marks.find((mark) => text.startsWith(mark, end - mark.length) && mark.length <= end)
  return found === undefined ? -1 : end - found.length
}

const spaceBefore = (text: string, end: number, from: number): number => {
  let at = end
  while (at > from && isSpace.test(text[at - 1] ?? "")) at--
  return at
}

const before = (text: string, end: number, from: number, marks: ReadonlyArray<string>): number => {
  let start = end
  for (;;) {
    const at = markBefore(text, spaceBefore(text, start, from), marks)
    if (at < from) return start
    start = at
  }
}

/**
 * Where the ends of a turn begin that stand in front of an offset, at `from` or behind; the offset where there are none.
 *
 * @category scanning
 * @since 0.2.0
 */
export const endsBefore = (text: string, end: number, from: number): number => before(text, end, from, endMarks)

const allMarks = trimmed([...endMarks, ...otherOpens])

/**
 * Where the ends of a turn and the opening of another begin that stand in front of an offset, at `from` or behind; the
 * offset where nobody else begins to speak there.
 *
 * @category scanning
 * @since 0.2.0
 */
export const gapBefore = (text: string, end: number, from: number): number => {
  const start = before(text, end, from, allMarks)
  return opensOther(text.slice(start, end)) ? start : end
}

const endings = new RegExp(`(?:${space}*${within})*${space}*`, "y")

/**
 * Behind the ends of a turn, and white space, that stand at an offset.
 *
 * @category scanning
 * @since 0.2.0
 */
export const behindEnds = (text: string, from: number): number => {
  endings.lastIndex = from
  return endings.test(text) ? endings.lastIndex : from
}

const assistantAtEnd = new RegExp(`${assistant}$`)

/**
 * Whether a text is what a chat template made of messages: it begins as a conversation does, and asks the assistant.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isRenderedPrompt = (text: string): boolean =>
  startsConversation(text) && assistantAtEnd.test(text.trimEnd().replace(/\s*<think>$/, ""))

/**
 * What somebody else's turn shows, without the marks in front of it and the assistant's opening behind it; `undefined` where
 * there are no marks.
 *
 * @category getters
 * @since 0.2.0
 */
export const unmarked = (text: string): string | undefined => {
  const start = behindGap(text, 0)
  const opened = assistantAtEnd.exec(text)?.index ?? text.length
  const end = endsBefore(text, opened, start)
  return opensOther(text.slice(0, start)) || end < text.length ? text.slice(start, end) : undefined
}

/**
 * The offset behind which nothing but ends of a turn and white space stands: the text that its author wrote ends there.
 *
 * @category scanning
 * @since 0.2.0
 */
export const withoutEnds = (text: string): number => endsBefore(text, text.length, 0)
