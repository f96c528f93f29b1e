/**
 * Reads recorded responses back into transcripts.
 *
 * A recording is plain text: who wrote what has to be inferred from it. The rules, each chosen so that no text inside an
 * observation is ever taken for the policy's where the recording allows to tell them apart:
 *
 * 1. **Turns.** Model text runs up to a complete `<search>…</search>` pair. The environment writes only behind such a
 *    pair, or behind a turn without a valid action.
 * 2. **Observations.** `<information>` is the environment's when nothing but white space (or ChatML turn markup) lies
 *    between it and the `</search>` that completes a pair in the current turn. Every other `<information>` is forged: it
 *    stays model text.
 * 3. **Where an observation ends.** The environment writes `\n\n<information>…</information>\n\n`. One that begins with
 *    exactly two newlines ends at the first `</information>` that two newlines or the end of the text follow, so that a
 *    closing tag inside a document ends nothing; with any other beginning the first `</information>` ends it.
 * 4. **Observations without an end** (cut at a token limit, quirk Q5): when there is no such closing tag, or another
 *    complete search with its `<information>`, or the invalid-action message, comes before it, the model goes on inside
 *    the unclosed block. Its text resumes at the first `<think>`, `<search>` or `<answer>`, behind the first
 *    `</information>`, or before the message, whatever comes first. Prose that it wrote before that cannot be told from
 *    the document and counts as observation.
 * 5. **The invalid-action message**, to the letter, is the environment's behind a turn whose action is none or a search
 *    for nothing; anywhere else the policy quotes it.
 * 6. **Special tokens** (`<|im_end|>`, `<|endoftext|>`, …) have no meaning of their own; they belong to the text around
 *    them.
 * 7. **A prompt at the start of the response** (the prompt given, ChatML or Llama-3 turns up to the assistant's, or one
 *    of the reference's templates) is moved to `prompt`, so that the pairs in its instruction are no answer.
 *
 * Everything else is model text: tags quoted in prose, nested and unclosed tags, text behind the answer. Parsing takes
 * time linear in the length of the text.
 *
 * @since 0.1.0
 */
import { invalidActionMessage, parseAction, renderPrompt } from "./Protocol.ts"
import { strip, whitespaceClass } from "./PythonString.ts"
import { Part, type Transcript } from "./Transcript.ts"

const searchOpen = "<search>"
const searchClose = "</search>"
const informationOpen = "<information>"
const informationClose = "</information>"
const message = strip(invalidActionMessage)

const gap = new RegExp(
  `(?:[${whitespaceClass}]|<\\|im_end\\|>|<\\|im_start\\|>(?:user|tool|system)\\n)*(?=<information>)`,
  "y"
)
const assistantTurn = /<\|im_end\|>\s*<\|im_start\|>assistant\n?/y
const policyTag = /<(?:think|search|answer)>/g

/** Offset of `<information>` when only a gap lies between it and `from`, else -1. */
const informationAt = (text: string, from: number): number => {
  gap.lastIndex = from
  return gap.test(text) ? gap.lastIndex : -1
}

/** Whether a complete search with its own observation lies in `[from, to)`. */
const searchesWithin = (text: string, from: number, to: number): boolean => {
  let open = text.indexOf(searchOpen, from)
  while (open !== -1 && open < to) {
    const close = text.indexOf(searchClose, open)
    if (close === -1 || close >= to) return false
    const information = informationAt(text, close + searchClose.length)
    if (information !== -1 && information < to && text.slice(close + searchClose.length, information) === "\n\n") {
      return true
    }
    open = text.indexOf(searchOpen, close)
  }
  return false
}

interface End {
  readonly end: number
  readonly closed: boolean
}

/** Finds a string from left to right, passing over the text once as long as the positions asked for grow. */
class Finder {
  private readonly text: string
  private readonly wanted: string
  private readonly accept: (end: number) => boolean
  private at = -2

  constructor(text: string, wanted: string, accept: (end: number) => boolean = () => true) {
    this.text = text
    this.wanted = wanted
    this.accept = accept
  }

  /** The first occurrence at or behind `from`, or -1. */
  next(from: number): number {
    if (this.at === -1 || this.at >= from) return this.at
    let at = this.text.indexOf(this.wanted, from)
    while (at !== -1 && !this.accept(at + this.wanted.length)) at = this.text.indexOf(this.wanted, at + 1)
    this.at = at
    return at
  }
}

interface Finders {
  readonly searchOpens: Finder
  readonly searchCloses: Finder
  readonly notices: Finder
  readonly informationCloses: Finder
  /** Those that two newlines or the end of the text follow. */
  readonly framedCloses: Finder
}

const makeFinders = (text: string): Finders => {
  const ending = text.trimEnd().length
  return {
    searchOpens: new Finder(text, searchOpen),
    searchCloses: new Finder(text, searchClose),
    notices: new Finder(text, message),
    informationCloses: new Finder(text, informationClose),
    framedCloses: new Finder(text, informationClose, (end) => end >= ending || text.startsWith("\n\n", end))
  }
}

/** The message begins with a newline, unless that is gone. */
const noticeStart = (text: string, notice: number, from: number): number =>
  notice > from && text[notice - 1] === "\n" ? notice - 1 : notice

const observationEnd = (text: string, start: number, framed: boolean, finders: Finders): End => {
  const body = start + informationOpen.length
  const close = (framed ? finders.framedCloses : finders.informationCloses).next(body)
  const notice = finders.notices.next(body)
  if (close !== -1 && (notice === -1 || notice > close) && !searchesWithin(text, body, close)) {
    let end = close + informationClose.length
    if (text.startsWith("\n\n", end)) end += 2
    assistantTurn.lastIndex = end
    if (assistantTurn.test(text)) end = assistantTurn.lastIndex
    return { end, closed: true }
  }
  policyTag.lastIndex = body
  const tag = policyTag.exec(text)?.index ?? text.length
  const resumes = notice !== -1 && notice < tag ? noticeStart(text, notice, body) : tag
  const anyClose = finders.informationCloses.next(body)
  return anyClose !== -1 && anyClose < resumes
    ? { end: anyClose + informationClose.length, closed: true }
    : { end: resumes, closed: false }
}

/** Splits a response without its prompt. */
const parseResponse = (text: string): ReadonlyArray<Part> => {
  const parts: Array<Part> = []
  const finders = makeFinders(text)
  const push = (from: number, to: number) => {
    if (to > from) parts.push(Part.Policy({ text: text.slice(from, to) }))
  }
  let turn = 0
  let at = 0
  let acted = false
  for (;;) {
    const close = finders.searchCloses.next(at)
    const notice = acted ? -1 : finders.notices.next(at)
    if (close === -1 && notice === -1) break
    if (notice !== -1 && (close === -1 || notice < close)) {
      const from = noticeStart(text, notice, turn)
      if (parseAction(text.slice(turn, from), { emptyQuery: "invalid" })._tag === "None") {
        const end = notice + message.length
        push(turn, from)
        turn = at = text[end] === "\n" ? end + 1 : end
        parts.push(Part.InvalidAction({ text: text.slice(from, turn) }))
      } else acted = true
      continue
    }
    const end = close + searchClose.length
    const open = finders.searchOpens.next(at)
    const information = open !== -1 && open < close ? informationAt(text, end) : -1
    if (information === -1) {
      at = end
      continue
    }
    const observation = observationEnd(text, information, text.slice(end, information) === "\n\n", finders)
    push(turn, end)
    parts.push(Part.Search({
      text: text.slice(end, observation.end),
      query: strip(text.slice(open + searchOpen.length, close)),
      closed: observation.closed
    }))
    turn = at = observation.end
    acted = false
  }
  push(turn, text.length)
  return parts
}

const chatml = /<\|im_start\|>assistant\s*/
const llama3 = /<\|start_header_id\|>assistant<\|end_header_id\|>\s*/
const conversation = /^\s*(?:<\|im_start\|>|<\|begin_of_text\|>|<\|start_header_id\|>)/

const instruction = (template: "search" | "r1" | "rag"): string => {
  const rendered = renderPrompt(template, "")
  return rendered.slice(0, rendered.indexOf(" Question:"))
}

const instructions: ReadonlyArray<readonly [instruction: string, end: string]> = [
  [instruction("search"), "\n"],
  [instruction("r1"), "\n"],
  [instruction("rag"), "\n \n"]
]

/** Length of a prompt that the recorded response starts with. */
const promptLength = (response: string, prompt: string | undefined): number => {
  if (prompt !== undefined && prompt !== "" && response.startsWith(prompt)) return prompt.length
  if (conversation.test(response)) {
    const turn = chatml.exec(response) ?? llama3.exec(response)
    return turn === null ? 0 : turn.index + turn[0].length
  }
  for (const [text, end] of instructions) {
    if (response.startsWith(text)) {
      const at = response.indexOf(end, text.length)
      return at === -1 ? 0 : at + end.length
    }
  }
  return 0
}

/**
 * Reads a recorded response (the rules are in the module's documentation). `prompt` is what the policy was given, where
 * the recording has it.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (response: string, options?: { readonly prompt?: string | undefined }): Transcript => {
  const length = promptLength(response, options?.prompt)
  return {
    prompt: length === 0 ? options?.prompt ?? "" : response.slice(0, length),
    parts: parseResponse(length === 0 ? response : response.slice(length))
  }
}
