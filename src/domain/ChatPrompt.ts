/**
 * Recorded prompts as the messages that they were rendered from, so that a model gets them with a chat template of its own.
 *
 * @since 0.2.0
 */
import * as ChatFamilies from "./ChatFamilies.ts"
import { escapeRegExp } from "./escapeRegExp.ts"
import { instructions, policySpans, promptSpans, renderPrompt, type Template } from "./Protocol.ts"
import { strip } from "./PythonString.ts"
import * as Spans from "./Spans.ts"
import * as TurnMarks from "./TurnMarks.ts"

/**
 * @category models
 * @since 0.2.0
 */
export interface PromptMessage {
  readonly role: ChatFamilies.Role
  readonly content: Spans.Spans
}

/**
 * A prompt without the marks of any family. `opened` is what the assistant had already been made to say.
 *
 * @category models
 * @since 0.2.0
 */
export interface ChatPrompt {
  readonly messages: ReadonlyArray<PromptMessage>
  readonly opened: Spans.Spans
}

/**
 * What is wrong with a message that is itself a prompt that some template rendered: its marks would be text within text.
 *
 * @category guards
 * @since 0.2.0
 */
export const renderedTwice = (messages: ReadonlyArray<{ readonly content: string }>): string | undefined =>
  messages.some(({ content }) => TurnMarks.isRenderedPrompt(content))
    ? `a message of the prompt is a whole conversation that a chat template has rendered: give its messages by role, or the text as "prompt" beside a "response"`
    : undefined

const templates: ReadonlyArray<Template> = ["search", "r1", "rag"]

/**
 * A message's text to the letter. Where it begins with an instruction of the protocol, that is this package's own; all else
 * is foreign.
 *
 * @category constructors
 * @since 0.2.0
 */
export const contentOf = (text: string): Spans.Spans => {
  const head = templates.map((template) => instructions[template]).find((head) => text.startsWith(head))
  return head === undefined
    ? Spans.foreign(text)
    : Spans.concat(Spans.own(head), Spans.foreign(text.slice(head.length)))
}

/** The content of a turn, whose white space a chat template may have taken: with that of the protocol's own templates. */
const restored = (turn: string): Spans.Spans => {
  const text = strip(turn)
  const template = templates.find((template) => text.startsWith(`${instructions[template]} Question: `))
  return contentOf(template === undefined ? text : `${text}${template === "rag" ? "\n \n" : "\n"}`)
}

const roles = new Map(
  ChatFamilies.chatFamilies.flatMap(({ opens }) =>
    ([["system", opens.system], ["user", opens.user], ["assistant", opens.assistant], ["tool", opens.tool]] as const)
      .flatMap(([role, texts]) => texts.map((text) => [text.trimEnd(), role] as const))
  )
)

const opening = new RegExp([...roles.keys()].sort((a, b) => b.length - a.length).map(escapeRegExp).join("|"), "g")

/** What chat templates say where nobody gives a system message: a model's own template says it anew. */
const defaults =
  /^You are (?:Qwen, created by Alibaba Cloud\. You are )?a helpful assistant\.?$|^Cutting Knowledge Date: [^\n]*\nToday Date: [^\n]*$/

interface Turn {
  readonly role: ChatFamilies.Role
  /** The text between the marks, as it stands. */
  readonly text: string
}

const turnsOf = (prompt: string): ReadonlyArray<Turn> => {
  const openings = [...prompt.matchAll(opening)]
  return openings.flatMap(({ 0: mark, index }, position): ReadonlyArray<Turn> => {
    const role = roles.get(mark) ?? "user"
    const from = role === "assistant" ? TurnMarks.behindAnswering(prompt, index) : index + mark.length
    const next = openings[position + 1]?.index ?? prompt.length
    const last = next === prompt.length
    const text = prompt.slice(from, last ? next : TurnMarks.endsBefore(prompt, next, from))
    const end = text.search(TurnMarks.turnEnd)
    // Llama 2's system message stands within the user's turn
    return end === -1
      ? [{ role, text }]
      : [{ role, text: text.slice(0, end) }, { role: "user", text: text.slice(TurnMarks.behindEnds(text, end)) }]
  })
}

const messagesOf = (turns: ReadonlyArray<Turn>): ReadonlyArray<PromptMessage> =>
  turns.flatMap(({ role, text }) => {
    const content = restored(text)
    return content.length === 0 || (role === "system" && defaults.test(Spans.text(content))) ? [] : [{ role, content }]
  })

/** Whether nothing but marks stands at the beginning of a text, up to its first mark or its end. */
const onlyMarks = (text: string): boolean => {
  const marks = [text.search(TurnMarks.turnEnd), text.search(opening)].filter((at) => at !== -1)
  return strip(text.slice(0, Math.min(text.length, ...marks))) === ""
}

/** Where a prompt holds the rendered question, which says better than any mark where the user's text ends. */
const rendered = (prompt: string, question: string) => {
  const asked = prompt.lastIndexOf(renderPrompt("rag", question).trimEnd())
  if (asked !== -1) {
    // passages hold what they hold: the user's text goes up to where a template asks the assistant, if there is one
    const answering = asked === 0 ? undefined : [...prompt.matchAll(TurnMarks.assistantOpening)].at(-1)?.index
    const end = TurnMarks.endsBefore(prompt, answering ?? prompt.length, asked)
    return { at: asked, end, content: restored(prompt.slice(asked, end)) }
  }
  for (const template of ["search", "r1"] as const) {
    const text = renderPrompt(template, question).trimEnd()
    const at = prompt.lastIndexOf(text)
    const end = at + text.length
    if (at !== -1 && onlyMarks(prompt.slice(end))) return { at, end, content: promptSpans(template, question) }
  }
  return undefined
}

/**
 * Reads a prompt that was recorded as text, with the marks of whichever family, or with none: then all of it is the user's.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parse = (prompt: string, question: string): ChatPrompt => {
  const known = question === "" ? undefined : rendered(prompt, question)
  const marked = TurnMarks.startsConversation(prompt)
  const turns = (text: string): ReadonlyArray<Turn> => marked ? turnsOf(text) : [{ role: "user", text }]
  const before = turns(known === undefined ? prompt : prompt.slice(0, known.at))
  const behind = known === undefined ? before : marked ? turnsOf(prompt.slice(known.end)) : []
  const last = behind.at(-1)
  const opened = last?.role === "assistant" ? policySpans(last.text) : []
  if (known === undefined) {
    return { messages: messagesOf(last?.role === "assistant" ? before.slice(0, -1) : before), opened }
  }
  const asking = before.at(-1)
  const beginning = asking?.role === "user" && strip(asking.text) !== "" ? contentOf(asking.text) : []
  return {
    messages: [
      ...messagesOf(asking?.role === "user" ? before.slice(0, -1) : before),
      { role: "user", content: Spans.concat(beginning, known.content) }
    ],
    opened
  }
}
