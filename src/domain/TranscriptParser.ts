/**
 * Reads recorded responses back into transcripts.
 *
 * A recording is plain text: who wrote what has to be inferred from it. The rules, each chosen so that no text inside an
 * observation is ever taken for the policy's where the recording allows to tell them apart:
 *
 * 1. **Turns.** Model text runs up to a complete `<search>…</search>` pair. The environment writes only behind such a
 *    pair, or behind a turn without a valid action.
 * 2. **Observations.** `<information>` is the environment's when nothing but white space, ends of turns and openings of
 *    anybody else's turn ({@link ChatFamilies}) lie between it and the `</search>` that completes a pair in the current
 *    turn. Every other `<information>` is forged: it stays model text. Such ends and openings around an observation or a
 *    message are the environment's, too, up to and with the assistant's next opening. Somebody else's turn without
 *    `<information>` is an observation behind a search, and a message of the environment's behind a turn without a valid
 *    action.
 * 3. **Where an observation ends.** The environment writes `\n\n<information>…</information>\n\n`. One that begins with
 *    exactly two newlines ends at the first `</information>` that two newlines or the end of the text follow, so that a
 *    closing tag inside a document ends nothing; behind an opening, the first `</information>` ends it behind which the
 *    turn ends and the assistant speaks; with any other beginning the first `</information>`.
 * 4. **Observations without an end** (cut at a token limit, quirk Q5): when there is no such closing tag, or another
 *    complete search with its `<information>`, or the invalid-action message, comes before it, the model goes on inside
 *    the unclosed block. Its text resumes at the first `<think>`, `<search>` or `<answer>`, behind the first
 *    `</information>`, or before the message, whatever comes first. Prose that it wrote before that cannot be told from
 *    the document and counts as observation.
 * 5. **The invalid-action message**, to the letter, is the environment's behind a turn whose action is none or a search
 *    for nothing; anywhere else the policy quotes it.
 * 6. **Other special tokens** (`<|im_end|>`, `<|endoftext|>`, …) have no meaning of their own; they belong to the text
 *    around them.
 * 7. **A prompt at the start of the response** (the prompt given, turns of any family up to the assistant's, or one of
 *    the reference's templates) is moved to `prompt`, so that the pairs in its instruction are no answer.
 *
 * Everything else is model text: tags quoted in prose, nested and unclosed tags, text behind the answer. Parsing takes
 * time linear in the length of the text.
 *
 * @since 0.1.0
 */
import { invalidActionMessage, parseAction, renderPrompt } from "./Protocol.ts"
import { strip } from "./PythonString.ts"
import { Part, type Transcript } from "./Transcript.ts"
import * as TurnMarks from "./TurnMarks.ts"

const searchOpen = "<search>"
const searchClose = "</search>"
const informationOpen = "<information>"
const informationClose = "</information>"
const message = strip(invalidActionMessage)

const policyTag = /<(?:think|search|answer)>/g

/** Offset of `<information>` when only a gap lies between it and `from`, else -1. */
const informationAt = (text: string, from: number): number => {
  const end = TurnMarks.behindGap(text, from)
  return text.startsWith(informationOpen, end) ? end : -1
}

/** What stands between a search and its observation: two newlines, the opening of a turn, or something else. */
type Frame = "plain" | "turn" | "other"

const frameOf = (gap: string): Frame => gap === "\n\n" ? "plain" : TurnMarks.opensOther(gap) ? "turn" : "other"

/** Whether a complete search with an observation of the same frame lies in `[from, to)`. */
const searchesWithin = (text: string, from: number, to: number, frame: Frame): boolean => {
  const wanted = frame === "turn" ? "turn" : "plain"
  let open = text.indexOf(searchOpen, from)
  while (open !== -1 && open < to) {
    const close = text.indexOf(searchClose, open)
    if (close === -1 || close >= to) return false
    const information = informationAt(text, close + searchClose.length)
    if (
      information !== -1 && information < to &&
      frameOf(text.slice(close + searchClose.length, information)) === wanted
    ) return true
    open = text.indexOf(searchOpen, close)
  }
  return false
}

interface End {
  readonly end: number
  readonly closed: boolean
}

/** Finds something from left to right, passing over the text once as long as the positions asked for grow. */
class Finder {
  private readonly find: (from: number) => number
  private at = -2

  constructor(find: (from: number) => number) {
    this.find = find
  }

  /** The first occurrence at or behind `from`, or -1. */
  next(from: number): number {
    if (this.at === -1 || this.at >= from) return this.at
    this.at = this.find(from)
    return this.at
  }
}

const finderOf = (text: string, wanted: string, accept: (end: number) => boolean = () => true): Finder =>
  new Finder((from) => {
    let at = text.indexOf(wanted, from)
    while (at !== -1 && !accept(at + wanted.length)) at = text.indexOf(wanted, at + 1)
    return at
  })

const matchAt = (text: string, pattern: RegExp, from: number): number => {
  pattern.lastIndex = from
  return pattern.exec(text)?.index ?? -1
}

interface Finders {
  readonly searchOpens: Finder
  readonly searchCloses: Finder
  readonly notices: Finder
  readonly informationCloses: Finder
  /** Those that two newlines or the end of the text follow. */
  readonly framedCloses: Finder
  /** Those behind which the turn ends. */
  readonly lastCloses: Finder
  /** Where a turn ends and somebody else than the assistant opens the next: the first of the marks. */
  readonly otherTurns: Finder
  /** Where a turn ends and the assistant opens the next: the first of the marks. */
  readonly assistantTurns: Finder
}

/** Where the ends begin behind which `opening` matches; openings without one do not count. */
const turnsOf = (text: string, opening: RegExp): Finder =>
  new Finder((from) => {
    for (let at = matchAt(text, opening, from); at !== -1; at = matchAt(text, opening, at + 1)) {
      const ends = TurnMarks.endsBefore(text, at, from)
      if (ends < at) return ends
    }
    return -1
  })

const makeFinders = (text: string): Finders => {
  const ending = text.trimEnd().length
  return {
    searchOpens: finderOf(text, searchOpen),
    searchCloses: finderOf(text, searchClose),
    notices: finderOf(text, message),
    informationCloses: finderOf(text, informationClose),
    framedCloses: finderOf(text, informationClose, (end) => end >= ending || text.startsWith("\n\n", end)),
    lastCloses: new Finder((from) => matchAt(text, TurnMarks.lastInformationClose, from)),
    otherTurns: turnsOf(text, TurnMarks.otherOpening),
    assistantTurns: turnsOf(text, TurnMarks.assistantOpening)
  }
}

/** The message begins with a newline, unless that is gone. */
const noticeStart = (text: string, notice: number, from: number): number =>
  notice > from && text[notice - 1] === "\n" ? notice - 1 : notice

/** Behind an observation: the turn's end and the assistant's opening, else the frame's two newlines. */
const behindObservation = (text: string, end: number, frame: Frame): number => {
  const answering = TurnMarks.behindAnswering(text, end)
  const opened = answering > end && (frame === "turn" || TurnMarks.opensAssistant(text.slice(end, answering)))
  return opened ? answering : text.startsWith("\n\n", end) ? end + 2 : end
}

const closeOf = (body: number, frame: Frame, finders: Finders): number => {
  switch (frame) {
    case "plain":
      return finders.framedCloses.next(body)
    case "turn": {
      const last = finders.lastCloses.next(body)
      return last === -1 ? finders.informationCloses.next(body) : last
    }
    case "other":
      return finders.informationCloses.next(body)
  }
}

const observationEnd = (text: string, start: number, frame: Frame, finders: Finders): End => {
  const body = start + informationOpen.length
  const close = closeOf(body, frame, finders)
  const notice = finders.notices.next(body)
  if (close !== -1 && (notice === -1 || notice > close) && !searchesWithin(text, body, close, frame)) {
    return { end: behindObservation(text, close + informationClose.length, frame), closed: true }
  }
  const turn = frame === "turn" ? finders.assistantTurns.next(body) : -1
  if (turn !== -1 && (notice === -1 || turn < notice)) {
    return { end: TurnMarks.behindAnswering(text, turn), closed: false }
  }
  policyTag.lastIndex = body
  const tag = policyTag.exec(text)?.index ?? text.length
  const resumes = notice !== -1 && notice < tag ? noticeStart(text, notice, body) : tag
  const anyClose = finders.informationCloses.next(body)
  return anyClose !== -1 && anyClose < resumes
    ? { end: anyClose + informationClose.length, closed: true }
    : { end: resumes, closed: false }
}

/** The end of somebody else's turn without `<information>`: where the assistant speaks again, else the text's. */
const otherTurnEnd = (text: string, from: number): number => {
  const end = matchAt(text, TurnMarks.toolTurnEnd, from)
  return end === -1 ? text.length : TurnMarks.behindAnswering(text, end)
}

/** Splits a response without its prompt. */
const parseResponse = (text: string): ReadonlyArray<Part> => {
  const parts: Array<Part> = []
  const finders = makeFinders(text)
  let turn = 0
  let at = 0
  // whether the current turn holds an action, so that a message of the environment's in it is a quotation
  let acted = false
  // whether it holds an answer, behind which nobody else speaks
  let answered = false
  const push = (from: number, to: number) => {
    if (to > from) parts.push(Part.Policy({ text: text.slice(from, to) }))
  }
  const goOn = (end: number) => {
    turn = at = end
    acted = answered = false
  }
  const observe = (from: number, query: string, { closed, end }: End) => {
    push(turn, from)
    parts.push(Part.Search({ text: text.slice(from, end), query: strip(query), closed }))
    goOn(end)
  }
  const admonish = (from: number, end: number) => {
    push(turn, from)
    parts.push(Part.InvalidAction({ text: text.slice(from, end) }))
    goOn(end)
  }
  const actionBefore = (end: number) => parseAction(text.slice(turn, end), { emptyQuery: "invalid" })

  const takeNotice = (notice: number) => {
    const from = TurnMarks.gapBefore(text, noticeStart(text, notice, turn), turn)
    if (actionBefore(from)._tag !== "None") {
      acted = true
      return
    }
    const end = notice + message.length
    const answering = TurnMarks.behindAnswering(text, end)
    admonish(from, answering > end ? answering : text[end] === "\n" ? end + 1 : end)
  }

  /** Somebody else's turn that does not stand directly behind a search. */
  const takeTurn = (from: number) => {
    const body = TurnMarks.behindGap(text, from)
    const action = actionBefore(from)
    if (action._tag === "Answer") {
      at = body
      answered = true
    } else if (action._tag === "None") admonish(from, otherTurnEnd(text, body))
    else if (text.startsWith(informationOpen, body)) {
      observe(from, action.query, observationEnd(text, body, "turn", finders))
    } else observe(from, action.query, { end: otherTurnEnd(text, body), closed: true })
  }

  const takeSearch = (close: number) => {
    const end = close + searchClose.length
    const open = finders.searchOpens.next(at)
    at = end
    if (open === -1 || open >= close) return
    const query = text.slice(open + searchOpen.length, close)
    const body = TurnMarks.behindGap(text, end)
    const frame = frameOf(text.slice(end, body))
    if (text.startsWith(informationOpen, body)) observe(end, query, observationEnd(text, body, frame, finders))
    else if (frame === "turn" && !text.startsWith(message, body)) {
      observe(end, query, { end: otherTurnEnd(text, body), closed: true })
    }
  }

  for (;;) {
    const close = finders.searchCloses.next(at)
    const notice = acted ? -1 : finders.notices.next(at)
    const other = answered ? -1 : finders.otherTurns.next(at)
    const first = Math.min(...[close, notice, other].filter((found) => found !== -1))
    if (first === Number.POSITIVE_INFINITY) break
    if (first === close) takeSearch(close)
    else if (first === notice) takeNotice(notice)
    else if (notice !== -1 && TurnMarks.behindGap(text, other) >= noticeStart(text, notice, other)) takeNotice(notice)
    else takeTurn(other)
  }
  push(turn, text.length)
  return parts
}

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
  if (TurnMarks.startsConversation(response)) {
    const turn = matchAt(response, TurnMarks.assistantOpening, 0)
    return turn === -1 ? 0 : TurnMarks.behindAnswering(response, turn)
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
