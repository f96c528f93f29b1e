/**
 * The format-aware outcome reward: the state machine over the protocol's tags, and the table of spec §3.5
 * (`qa_em_format.py`; Eq. 3 of arXiv 2505.15117).
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import * as Answer from "./Answer.ts"
import type { Compat } from "./Presets.ts"
import { split, strip } from "./PythonString.ts"
import { fullText, information, policyTexts, type Transcript } from "./Transcript.ts"
import * as TurnMarks from "./TurnMarks.ts"

/**
 * Which text answers and formats are judged on; see `Presets.Compat`.
 *
 * @category models
 * @since 0.1.0
 */
export type Scopes = Pick<Compat, "answerScope" | "formatScope">

/**
 * The answer of a transcript, or `null`.
 *
 * - `modelSegments`: the last complete pair in the policy's own text, an observation being one opaque character in it.
 *   Tags in documents do not exist. A pair that is opened before a search and closed behind it holds the opaque
 *   character and equals no golden answer. On text without tags in documents this is the last match of
 *   `<answer>(.*?)</answer>` in the whole response, as evaluation harnesses take it, except that the pair which the
 *   invalid-action message quotes is no answer.
 * - `fullText`: the reference's rule on prompt and response, see `Answer.lastOfTwo`.
 *
 * @category extraction
 * @since 0.1.0
 */
export const extractAnswer = (transcript: Transcript, scope: Scopes["answerScope"]): string | null =>
  scope === "modelSegments"
    ? policyTexts(transcript).flatMap(Answer.pairs).at(-1) ?? null
    : Answer.lastOfTwo(fullText(transcript))

const tags = /(<\/?(?:think|search|information|answer)>)/

type State =
  | "start"
  | "thought"
  | "in_think"
  | "after_think"
  | "in_search"
  | "after_search"
  | "in_information"
  | "information"
  | "in_answer"
  | "end"

/**
 * `observation` is the token that stands for a whole observation in the `segments` scope; `thought` is the state behind a
 * block that the prompt opened and closed, in place of the policy's own or in front of it.
 */
const transitions: Readonly<Record<State, Readonly<Record<string, State>>>> = {
  start: { "<think>": "in_think" },
  thought: { "<think>": "in_think", "<search>": "in_search", "<answer>": "in_answer" },
  in_think: { "</think>": "after_think" },
  after_think: { "<search>": "in_search", "<answer>": "in_answer" },
  in_search: { "</search>": "after_search" },
  after_search: { "<information>": "in_information", observation: "information" },
  in_information: { "</information>": "information" },
  information: { "<think>": "in_think" },
  in_answer: { "</answer>": "end" },
  end: {}
}

const quote = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)

/** The state behind `text`, or why it is not allowed. */
const walk = (state: State, text: string): { readonly state: State } | { readonly flaw: string } => {
  for (const piece of text.split(tags)) {
    const content = strip(piece)
    if (content === "") continue
    if (tags.test(piece)) {
      const next = transitions[state][piece]
      if (next === undefined) return { flaw: `unexpected ${piece} in state ${state}` }
      state = next
    } else if (!state.startsWith("in_")) return { flaw: `unexpected text ${quote(content)} in state ${state}` }
  }
  return { state }
}

const finish = (state: State): string | null => state === "end" ? null : `the text ends in state ${state}`

const chatmlMarker = "<|im_start|>assistant"

/** The reference's `is_valid_sequence`: the text behind the first ChatML marker, documents included (quirks Q22, Q24). */
const flawOfFullText = (text: string): string | null => {
  const marker = text.indexOf(chatmlMarker)
  if (marker === -1) return `there is no ${chatmlMarker} marker`
  const walked = walk("start", text.slice(marker + chatmlMarker.length))
  return "flaw" in walked ? walked.flaw : finish(walked.state)
}

/** What the assistant has said where the prompt ends: chat templates and prefilled prompts put words into its mouth. */
const assistantsBeginning = (prompt: string): string => {
  let from = -1
  for (const mark of prompt.matchAll(TurnMarks.assistantOpening)) from = mark.index + mark[0].length
  // without marks of turns an instruction that speaks of the tag cannot be told from its use, but at the very end
  return from === -1 ? /<think>(?:\s*<\/think>)?\s*$/.exec(prompt)?.[0] ?? "" : prompt.slice(from)
}

/**
 * The state in which the policy begins. Chat templates of models that always think (DeepSeek-R1, QwQ) open the first
 * `<think>` themselves, those of models that shall not think (Qwen3) open and close it. For anything else that a prompt
 * says in the policy's name the policy is not blamed.
 */
const beginning = (prompt: string): State => {
  const walked = walk("start", assistantsBeginning(prompt))
  const state = "state" in walked ? walked.state : "start"
  return state === "in_think" ? state : state === "after_think" ? "thought" : "start"
}

const closesFirst = /^(?:(?!<think>)[^])*<\/think>/

const flawOfParts = (transcript: Transcript): string | null => {
  const found = flawFrom(beginning(transcript.prompt), transcript)
  const [first] = transcript.parts
  return found !== null && transcript.prompt === "" && first?._tag === "Policy" && closesFirst.test(first.text)
    ? `${found} (if the prompt opened <think>, it must be recorded, too)`
    : found
}

const flawFrom = (start: State, transcript: Transcript): string | null => {
  let state = start
  for (const part of transcript.parts) {
    switch (part._tag) {
      case "Policy": {
        // the environment alone writes information
        if (part.text.includes("<information>")) return "the policy wrote <information> itself"
        const walked = walk(state, part.text)
        if ("flaw" in walked) return walked.flaw
        state = walked.state
        break
      }
      case "Search": {
        const next: State | undefined = transitions[state]["observation"]
        if (next === undefined) return `an observation in state ${state}`
        state = next
        break
      }
      case "InvalidAction":
        return "a turn without a valid action"
    }
  }
  return finish(state)
}

/**
 * Why the format is not valid, or `null` when it is: every search preceded by a `<think>` block, every observation
 * followed by one, no text outside the tags, and nothing behind the answer.
 *
 * - `segments`: only the policy's text is judged, an observation is one opaque token. A `<think>` that the prompt ends
 *   with is the policy's first.
 * - `chatml`: everything behind the first `<|im_start|>assistant` of prompt and response, as the reference does it.
 *
 * @category format
 * @since 0.1.0
 */
export const flaw = (transcript: Transcript, scope: Scopes["formatScope"]): string | null =>
  scope === "segments" ? flawOfParts(transcript) : flawOfFullText(fullText(transcript))

const block = /<information>(.*?)<\/information>/gs
const tagLike = /[<[]\/?(?:think|search|information|answer)[>\]]/g

/** Normalised words between single spaces, with a space at either end, so that a substring is a run of whole words. */
const framed = (text: string): string => ` ${split(Answer.normalize(text)).join(" ")} `

/**
 * Whether an observation holds a golden answer.
 *
 * - `segments`: a non-empty normalised golden answer as a run of whole words of an observation, protocol tags ignored.
 * - `chatml`: a normalised golden answer as a substring of any `<information>` block of prompt and response, as in the
 *   reference, where an empty or one-letter answer is found in the instruction itself (quirk Q25).
 *
 * @category format
 * @since 0.1.0
 */
export const retrievalCorrect = (
  transcript: Transcript,
  goldenAnswers: ReadonlyArray<string>,
  scope: Scopes["formatScope"]
): boolean => {
  if (scope === "chatml") {
    const blocks = Array.from(fullText(transcript).matchAll(block), (match) => Answer.normalize(match[1] ?? ""))
    return goldenAnswers.some((golden) => {
      const wanted = Answer.normalize(golden)
      return blocks.some((text) => text.includes(wanted))
    })
  }
  const observed = transcript.parts.flatMap((part) =>
    part._tag === "Search" ? [framed(information(part).replace(tagLike, " "))] : []
  )
  return goldenAnswers.some((golden) => {
    const wanted = framed(golden)
    return wanted.trim() !== "" && observed.some((text) => text.includes(wanted))
  })
}

/**
 * Weights of the table: `score` for a correct answer, `structure` (λ_struct), `final` (λ_final), `retrieval` (λ_ret).
 *
 * @category schemas
 * @since 0.1.0
 */
export const Weights = Schema.Struct({
  score: Schema.Finite,
  structure: Schema.Finite,
  final: Schema.Finite,
  retrieval: Schema.Finite
})

/**
 * @category models
 * @since 0.1.0
 */
export type Weights = typeof Weights.Type

/**
 * The weights of the reference's v0.3 scripts: 0.2, 0.1 and 0.
 *
 * @category constants
 * @since 0.1.0
 */
export const v03: Weights = { score: 1, structure: 0.2, final: 0.1, retrieval: 0 }

/**
 * Exact match alone: what validation uses.
 *
 * @category constants
 * @since 0.1.0
 */
export const exactMatchOnly: Weights = { score: 1, structure: 0, final: 0, retrieval: 0 }

/**
 * A row of the table. `outcome`, `format` and `retrieval` sum to the reward.
 *
 * @category models
 * @since 0.1.0
 */
export interface FormatReward {
  readonly answer: string | null
  readonly correct: boolean
  /** Why the format is not valid, or `null`. */
  readonly flaw: string | null
  /** Judged only where the format is valid, as in the reference. */
  readonly retrieved: boolean
  readonly outcome: number
  readonly format: number
  readonly retrieval: number
}

/**
 * The reward of spec §3.5.
 *
 * | answer | correct | valid format | reward |
 * |---|---|---|---|
 * | yes | yes | yes | `score` |
 * | yes | yes | no | `score - structure` |
 * | yes | no | yes | `structure`, and `retrieval` if an observation holds the answer |
 * | yes | no | no | `final` |
 * | no | – | no | 0 |
 * | no | – | yes | as wrong with a valid format; in the `segments` scope a valid format implies an answer |
 *
 * With `modelSegments` there is an answer only where the policy wrote one, so garbage earns 0 and not `final` (quirk
 * Q23).
 *
 * @category constructors
 * @since 0.1.0
 */
export const compute = (
  transcript: Transcript,
  goldenAnswers: ReadonlyArray<string>,
  weights: Weights,
  scopes: Scopes
): FormatReward => {
  const answer = extractAnswer(transcript, scopes.answerScope)
  const correct = answer !== null && Answer.exactMatch(answer, goldenAnswers)
  const why = flaw(transcript, scopes.formatScope)
  const retrieved = why === null && retrievalCorrect(transcript, goldenAnswers, scopes.formatScope)
  const base = { answer, correct, flaw: why, retrieved }
  if (correct) return { ...base, outcome: weights.score, format: why === null ? 0 : -weights.structure, retrieval: 0 }
  if (why === null) {
    return { ...base, outcome: 0, format: weights.structure, retrieval: retrieved ? weights.retrieval : 0 }
  }
  return { ...base, outcome: 0, format: answer === null ? 0 : weights.final, retrieval: 0 }
}

/**
 * The reward that a row sums to.
 *
 * @category getters
 * @since 0.1.0
 */
export const total = (row: FormatReward): number => row.outcome + row.format + row.retrieval
