/**
 * The text protocol between policy and environment: prompts, stop strings, actions and observations.
 *
 * @since 0.1.0
 */
import { Data } from "effect"
import { marks } from "./ChatFamilies.ts"
import type { Document } from "./Document.ts"
import { escapeRegExp } from "./escapeRegExp.ts"
import { strip } from "./PythonString.ts"
import { normalizeQuestion } from "./Question.ts"
import * as Spans from "./Spans.ts"

/**
 * The reference's three prompt templates: with search (`nq_search.py`), reasoning without search (`nq.py`), and one
 * retrieval up front (`nq_rag.py`).
 *
 * @category models
 * @since 0.1.0
 */
export type Template = "search" | "r1" | "rag"

const searchInstruction =
  "Answer the given question. You must conduct reasoning inside <think> and </think> first every time you get new information. After reasoning, if you find you lack some knowledge, you can call a search engine by <search> query </search> and it will return the top searched results between <information> and </information>. You can search as many times as your want. If you find no further external knowledge needed, you can directly provide the answer inside <answer> and </answer>, without detailed illustrations. For example, <answer> Beijing </answer>."

const r1Instruction =
  "Answer the given question. You should first have a reasoning process in mind and then provides the answer. Show your reasoning in <think> </think> tags and return the final answer in <answer> </answer> tags, for example <answer> Beijing </answer>."

const ragInstruction =
  "Answer the given question with some potentially useful context. You should analyze the question carefully, evaluate the given context (which may or may not be useful), and then generate an accurate and well-reasoned response. You should first have a reasoning process in mind and then provides the answer. Show your reasoning in <think> </think> tags and return the final answer in <answer> </answer> tags, for example <answer> Beijing </answer>."

/**
 * What the templates say before they ask.
 *
 * @category constants
 * @since 0.2.0
 */
export const instructions: Readonly<Record<Template, string>> = {
  search: searchInstruction,
  r1: r1Instruction,
  rag: ragInstruction
}

/**
 * The user message for a question, to the letter (spec §2.1), the typo "as your want" included. The question is
 * stripped and ends with a question mark. `documents` fill the context of the `rag` template and are ignored elsewhere.
 * Question and documents are foreign text.
 *
 * @category constructors
 * @since 0.2.0
 */
export const promptSpans = (
  template: Template,
  question: string,
  documents: ReadonlyArray<Document> = []
): Spans.Spans => {
  const asked = normalizeQuestion(question)
  switch (template) {
    case "search":
      return Spans.template`${Spans.own(searchInstruction)} Question: ${asked}\n`
    case "r1":
      return Spans.template`${Spans.own(r1Instruction)} Question: ${asked}\n`
    case "rag":
      return Spans.template`${Spans.own(ragInstruction)} Question: ${asked} Context: ${formatDocuments(documents)} \n`
  }
}

/**
 * The text of {@link promptSpans}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const renderPrompt = (
  template: Template,
  question: string,
  documents: ReadonlyArray<Document> = []
): string => Spans.text(promptSpans(template, question, documents))

/**
 * Ends of the two actions; a generation stops behind the first of them.
 *
 * @category constants
 * @since 0.1.0
 */
export const stopStrings: ReadonlyArray<string> = ["</search>", "</answer>"]

/**
 * What the environment says to a turn without a valid action, to the letter (spec §1.4).
 *
 * @category constants
 * @since 0.1.0
 */
export const invalidActionMessage =
  "\nMy previous action is invalid. If I want to search, I should put the query between <search> and </search>. If I want to give the final answer, I should put the answer between <answer> and </answer>. Let me try again.\n"

/**
 * What a turn asks the environment to do. `end` is the offset behind the action's closing tag.
 *
 * @category models
 * @since 0.1.0
 */
export type Action = Data.TaggedEnum<{
  readonly Search: { readonly query: string; readonly end: number }
  readonly Answer: { readonly answer: string; readonly end: number }
  readonly None: {}
}>

/**
 * @category constructors
 * @since 0.1.0
 */
export const Action = Data.taggedEnum<Action>()

const none = Action.None()

/**
 * What an empty query counts as: a search for nothing (the reference) or no valid action.
 *
 * @category models
 * @since 0.1.0
 */
export interface ParseOptions {
  readonly emptyQuery?: "search" | "invalid" | undefined
}

/**
 * The first complete action of a turn: the leftmost match of `<(search|answer)>(.*?)</\1>` over all characters, its
 * content stripped (spec §1.4, `generation.py` `postprocess_predictions`). Linear in the length of the text, however
 * many tags stay open.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseAction = (text: string, options?: ParseOptions): Action => {
  let search = text.indexOf("<search>")
  let answer = text.indexOf("<answer>")
  while (search !== -1 || answer !== -1) {
    if (answer === -1 || (search !== -1 && search < answer)) {
      const close = text.indexOf("</search>", search + 8)
      // no close behind this tag means none behind any later one
      if (close === -1) {
        search = -1
        continue
      }
      const query = strip(text.slice(search + 8, close))
      return query === "" && options?.emptyQuery === "invalid"
        ? none
        : Action.Search({ query, end: close + 9 })
    }
    const close = text.indexOf("</answer>", answer + 8)
    if (close === -1) {
      answer = -1
      continue
    }
    return Action.Answer({ answer: strip(text.slice(answer + 8, close)), end: close + 9 })
  }
  return none
}

/**
 * How the text of a generation is cut behind its action. `searchFirst` is the reference's rule: at the first
 * `</search>` anywhere, else at the first `</answer>` (quirk Q3). `leftmost` cuts behind the first complete action.
 *
 * @category models
 * @since 0.1.0
 */
export type CutRule = "searchFirst" | "leftmost"

/**
 * The text of a generation up to the end of its action; the whole text when it has none (spec §1.3).
 *
 * @category parsing
 * @since 0.1.0
 */
export const cutGeneration = (text: string, rule: CutRule): string => {
  if (rule === "leftmost") {
    const action = parseAction(text)
    return action._tag === "None" ? text : text.slice(0, action.end)
  }
  const search = text.indexOf("</search>")
  if (search !== -1) return text.slice(0, search + 9)
  const answer = text.indexOf("</answer>")
  return answer === -1 ? text : text.slice(0, answer + 9)
}

/**
 * One passage as the policy reads it: no space behind `Doc {j}`, the title as the corpus has it (spec §5.3,
 * `_passages2string`).
 *
 * @category formatting
 * @since 0.1.0
 */
export const formatDocument = (document: Document, position: number): string =>
  `Doc ${position}(Title: ${document.title}) ${document.text}`

/**
 * Passages as the policy reads them, one a line.
 *
 * @category formatting
 * @since 0.1.0
 */
export const formatDocuments = (documents: ReadonlyArray<Document>): string =>
  documents.map((document, index) => `${formatDocument(document, index + 1)}\n`).join("")

/**
 * Wraps search results into an observation, blank lines included (spec §1.4). The results are foreign text.
 *
 * @category formatting
 * @since 0.2.0
 */
export const informationSpans = (results: string): Spans.Spans =>
  Spans.template`\n\n<information>${strip(results)}</information>\n\n`

/**
 * The text of {@link informationSpans}.
 *
 * @category formatting
 * @since 0.1.0
 */
export const wrapInformation = (results: string): string => Spans.text(informationSpans(results))

/**
 * An observation that was recorded as text: the tags around it are the protocol's, what stands between them is foreign.
 *
 * @category constructors
 * @since 0.2.0
 */
export const observationSpans = (text: string): Spans.Spans => {
  const [frame] = /^\s*<information>/.exec(text) ?? []
  if (frame === undefined) return Spans.foreign(text)
  const end = /<\/information>\s*$/.exec(text)?.index ?? text.length
  return Spans.concat(Spans.own(frame), Spans.foreign(text.slice(frame.length, end)), Spans.own(text.slice(end)))
}

const protocolTags = /<\/?(?:think|search|information|answer)>/g

/**
 * Text that a policy is said to have written: the protocol's tags in it are the tokens that a model may have for them, all
 * else is foreign text.
 *
 * @category constructors
 * @since 0.2.0
 */
export const policySpans = (text: string): Spans.Spans => {
  const spans: Array<Spans.Spans> = []
  let from = 0
  for (const { 0: tag, index } of text.matchAll(protocolTags)) {
    spans.push(Spans.foreign(text.slice(from, index)), Spans.own(tag))
    from = index + tag.length
  }
  return Spans.concat(...spans, Spans.foreign(text.slice(from)))
}

const listed = (opening: string): string =>
  marks.filter((mark) => mark.startsWith(opening)).sort((a, b) => b.length - a.length).map(escapeRegExp).join("|")

/** The protocol's tags, every shape of mark that families of chat models have, and those that only the table tells. */
const angled = new RegExp(
  `</?(?:think|search|information|answer)>|<\\|[^<>|\n]{1,64}\\|>|<\\|[^<>|\\s]{1,64}>|<[^<>|\\s]{1,64}\\|>|<｜[^<>｜\n]{1,64}｜>|${
    listed("<")
  }`,
  "g"
)
const bracketed = new RegExp(`\\[\\|[^[\\]|\n]{1,64}\\|\\]|${listed("[")}`, "g")

const inner = /^[<[]+[|｜]?|[|｜]?[>\]]+$/gu

/**
 * Takes the meaning from protocol tags and chat markup inside a document (`<answer>` becomes `[answer]`, `<|im_end|>`
 * `[im_end]`, `</s>` `[/s]`, `[INST]` `(INST)`), so that retrieved text cannot act, answer or end the turn (quirk Q13). The
 * marks are those of {@link ChatFamilies}. That no text becomes a special token is what `Spans` are for; this is for
 * whoever reads the text itself.
 *
 * @category formatting
 * @since 0.1.0
 */
export const neutralizeTags = (text: string): string => {
  const plain = text.includes("<") ? text.replace(angled, (mark) => `[${mark.replace(inner, "")}]`) : text
  return plain.includes("[") ? plain.replace(bracketed, (mark) => `(${mark.replace(inner, "")})`) : plain
}

/**
 * A document without such meaning in title and text.
 *
 * @category formatting
 * @since 0.2.0
 */
export const neutralized = ({ id, text, title }: Document): Document => ({
  id,
  title: neutralizeTags(title),
  text: neutralizeTags(text)
})
