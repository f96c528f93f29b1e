/**
 * The word-level vocabulary of the fictional encyclopedia.
 *
 * A small model cannot spend its context on the fixed English of the protocol: the instruction before a question is one
 * token, and so is what stands before the title of a passage.
 *
 * @since 0.1.0
 */
import type { Codec } from "../Codec.ts"
import { escapeRegExp } from "../escapeRegExp.ts"
import { invalidActionMessage, renderPrompt, type Template } from "../Protocol.ts"
import { strip } from "../PythonString.ts"
import * as Spans from "../Spans.ts"
import * as Words from "./Words.ts"

/**
 * Words and signs with their ids. `encode` is total: a word that is not in the vocabulary becomes `unknown`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Vocabulary extends Codec {
  /** Text of each id, shape `[size]`. */
  readonly tokens: ReadonlyArray<string>
  readonly pad: number
  readonly endOfText: number
  readonly unknown: number
  /** Ids that no foreign text becomes: padding, the end of a text, the protocol's tags and fixed texts. */
  readonly specialIds: ReadonlyArray<number>
  /** Ids of a text that is all this package's own. */
  encode(text: string): Int32Array
  /** The id of a token, by its text. */
  readonly id: (token: string) => number | undefined
}

/** The fixed text before the question. */
const instruction = (template: Template): string => {
  const prompt = renderPrompt(template, "\u0000")
  return prompt.slice(0, prompt.indexOf("\u0000")).trim()
}

/**
 * The instruction of the `search` template up to the question: one token of {@link world}.
 *
 * @category constants
 * @since 0.1.0
 */
export const searchInstruction = instruction("search")

/**
 * What the environment says to a turn without a valid action: one token of {@link world}.
 *
 * @category constants
 * @since 0.1.0
 */
export const invalidAction = strip(invalidActionMessage)

const instructions = [searchInstruction, instruction("r1"), instruction("rag")]

const tags = [
  "<think>",
  "</think>",
  "<search>",
  "</search>",
  "<information>",
  "</information>",
  "<answer>",
  "</answer>"
]

/**
 * The id of what stands before a question.
 *
 * @category constants
 * @since 0.1.0
 */
export const questionId = 2 + tags.length

const separator = "|"

const words = [
  ...new Set([
    ...Words.grammar,
    ...Words.nameParts,
    ...Words.companyWords,
    ...Words.cityWords,
    ...Words.countryWords,
    ...Words.jobs,
    ...Words.products
  ])
].sort((a, b) => a < b ? -1 : 1)

/** What only the protocol and the model itself may write. */
const markup = [
  ...instructions.map(escapeRegExp),
  escapeRegExp(invalidAction),
  "<(?:\\/?(?:think|search|information|answer)|pad|eos|unk)>"
].join("|")

const anyText = ["Doc [0-9]+\\(Title:", "[\\p{L}\\p{M}\\p{N}]+", "[^\\s\"]"].join("|")

/** Tokens that no foreign text becomes. */
const fixed = new Set(["<pad>", "<eos>", "<unk>", ...tags, searchInstruction, invalidAction])

const pad = 0
const endOfText = 1

const capitalised = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1)

const make = (options: {
  readonly tokens: ReadonlyArray<string>
  readonly unknown: number
  readonly invalidAction: number
}): Vocabulary => {
  const { tokens, unknown } = options
  const ids = new Map(tokens.map((token, id) => [token, id]))
  const lookup = new Map(ids)
  for (const [word, id] of ids) lookup.set(capitalised(word), id)
  for (const [form, word] of Words.forms) {
    const id = ids.get(word)
    if (id !== undefined) lookup.set(form, id).set(capitalised(form), id)
  }
  for (const text of instructions) lookup.set(text, questionId)
  lookup.set(invalidAction, options.invalidAction)
  const titleEnd = ids.get(":")
  if (titleEnd !== undefined) lookup.set(")", titleEnd)
  const separatorId = ids.get(separator) ?? unknown

  const idOf = (piece: string): number =>
    lookup.get(piece) ?? lookup.get(piece.toLowerCase()) ?? (piece.startsWith("Doc ") ? separatorId : unknown)

  const pieces = new RegExp(`(?<markup>${markup})|${anyText}`, "gu")
  const textPiece = new RegExp(anyText, "yu")
  const encodeSpans = (spans: Spans.Spans): Int32Array => {
    const text = Spans.text(spans)
    const isOwn = Spans.isOwn(spans)
    const encoded: Array<number> = []
    pieces.lastIndex = 0
    for (let match = pieces.exec(text); match !== null; match = pieces.exec(text)) {
      const { 0: piece, groups, index } = match
      if (groups?.["markup"] === undefined || isOwn(index, index + piece.length)) encoded.push(idOf(piece))
      else {
        textPiece.lastIndex = index
        const [word = piece] = textPiece.exec(text) ?? []
        // where padding stands for unknown words, a sign of foreign markup is left out
        if (unknown !== pad || idOf(word) !== unknown) encoded.push(idOf(word))
        pieces.lastIndex = index + word.length
      }
    }
    return new Int32Array(encoded)
  }
  return {
    tokens,
    pad,
    endOfText,
    unknown,
    specialIds: tokens.flatMap((token, id) => id !== unknown && fixed.has(token) ? [id] : []),
    id: (token) => ids.get(token),
    encode: (text) => encodeSpans(Spans.own(text)),
    encodeSpans,
    decode: (encoded) => Array.from(encoded, (id) => tokens[id] ?? "\uFFFD").join(" ")
  }
}

/**
 * The 275 tokens of the recipe: enough for chains of relations, without words for comparison and yes/no questions.
 * Unknown words become padding, which models made with it never saw.
 *
 * @category constants
 * @since 0.1.0
 */
export const recipe: Vocabulary = make({
  tokens: ["<pad>", "<eos>", ...tags, "question", separator, ...words],
  unknown: 0,
  invalidAction: 0
})

/**
 * The whole vocabulary: the tokens of {@link recipe} with the same ids, the question token spelled out as the instruction
 * that it stands for, then `<unk>`, the message about an invalid action, and the words of further kinds of questions.
 *
 * @category constants
 * @since 0.1.0
 */
export const world: Vocabulary = make({
  tokens: [
    "<pad>",
    "<eos>",
    ...tags,
    searchInstruction,
    separator,
    ...words,
    "<unk>",
    invalidAction,
    ...Words.comparing
  ],
  unknown: recipe.tokens.length,
  invalidAction: recipe.tokens.length + 1
})
