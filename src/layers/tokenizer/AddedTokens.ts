/**
 * Tokens that are found in a text before its vocabulary is asked, as the `tokenizers` library finds them
 * (`added_vocabulary.rs`), and never in foreign text where they have a meaning of their own.
 *
 * @since 0.2.0
 */
import { escapeRegExp } from "../../domain/escapeRegExp.ts"

/**
 * @category models
 * @since 0.2.0
 */
export interface AddedToken {
  readonly id: number
  readonly content: string
  /** What `skipSpecialTokens` leaves out. */
  readonly special: boolean
  /** Whether it is looked for in normalised text. */
  readonly normalized?: boolean | undefined
  /** Whether it takes the white space in front of it, behind it. */
  readonly lstrip?: boolean | undefined
  readonly rstrip?: boolean | undefined
  /** Whether it is found between other characters than those of words only. */
  readonly singleWord?: boolean | undefined
}

/**
 * Whether a token has a meaning of its own, so that only a template, the protocol or the model itself may write it: special
 * tokens, and whatever is spelled as markup (`<tool_call>`, `<｜User｜>`, `[INST]`), special or not. Runs of white space and
 * words that were added are text.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isControl = ({ content, special }: Pick<AddedToken, "content" | "special">): boolean =>
  special || /[<>[\]|｜]/u.test(content)

const wordAtEnd = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u
const wordAtStart = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u
const space = /\p{White_Space}/u

/** Where the white space begins that ends at `end`, at `from` or behind. */
const spacesFrom = (text: string, from: number, end: number): number => {
  let start = end
  while (start > from && space.test(text[start - 1] ?? "")) start--
  return start
}

/** Where the white space ends that begins at `start`. */
const spacesTo = (text: string, start: number): number => {
  let end = start
  while (end < text.length && space.test(text[end] ?? "")) end++
  return end
}

/**
 * A piece of a text: a token's id, or text between tokens from `start` to `end`.
 *
 * @category models
 * @since 0.2.0
 */
export type Piece = number | { readonly start: number; readonly end: number }

/**
 * Makes the function that cuts a text at `tokens`, of several at one place at the longest. `mayControl` tells whether a mark
 * from `start` to `end` may be one; where it may not, the text of the mark stays text.
 *
 * @category constructors
 * @since 0.2.0
 */
export const splitter = (
  tokens: ReadonlyArray<AddedToken>
): (text: string, mayControl: (start: number, end: number) => boolean) => ReadonlyArray<Piece> => {
  const ordered = tokens.filter(({ content }) => content !== "").toSorted((a, b) => b.content.length - a.content.length)
  const byContent = new Map(ordered.map((token) => [token.content, token]))
  const control = new Set(ordered.filter(isControl))
  const pattern = new RegExp(ordered.map(({ content }) => escapeRegExp(content)).join("|"), "gu")

  return (text, mayControl) => {
    if (ordered.length === 0) return text === "" ? [] : [{ start: 0, end: text.length }]
    const mayBe = (token: AddedToken, at: number) => !control.has(token) || mayControl(at, at + token.content.length)
    /** The longest token at a place, no longer than `longest`, that may be one there. */
    const tokenAt = (at: number, longest: string): AddedToken | undefined => {
      const first = byContent.get(longest)
      return first !== undefined && mayBe(first, at) ?
        first :
        ordered.find((token) =>
          token.content.length < longest.length && longest.startsWith(token.content) && mayBe(token, at)
        )
    }
    const pieces: Array<Piece> = []
    let from = 0
    pattern.lastIndex = 0
    for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
      const { 0: longest, index } = match
      const token = tokenAt(index, longest)
      if (token === undefined) {
        pattern.lastIndex = index + ((text.codePointAt(index) ?? 0) > 0xffff ? 2 : 1)
        continue
      }
      const end = index + token.content.length
      pattern.lastIndex = end
      if (
        token.singleWord === true &&
        (wordAtEnd.test(text.slice(Math.max(0, index - 2), index)) || wordAtStart.test(text.slice(end, end + 2)))
      ) continue
      const start = token.lstrip === true ? spacesFrom(text, from, index) : index
      if (from < start) pieces.push({ start: from, end: start })
      pieces.push(token.id)
      from = token.rstrip === true ? spacesTo(text, end) : end
      pattern.lastIndex = from
    }
    if (from < text.length) pieces.push({ start: from, end: text.length })
    return pieces
  }
}
