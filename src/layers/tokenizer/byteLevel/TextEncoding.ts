/**
 * Encoding of whole texts by a byte-level vocabulary: special tokens, normal form, pieces, byte pairs.
 *
 * @since 0.1.0
 */
import type { SplitWords } from "./splitWords.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface TextEncodingOptions {
  /** Tokens that are found in a text before anything else, by their markup. */
  readonly special: ReadonlyMap<string, number>
  /** Whether text between them is brought into Unicode's normal form C. */
  readonly normalized: boolean
  readonly split: SplitWords
  /** Hands the ids of a piece on in order. */
  readonly pairs: (piece: string, use: (id: number) => void) => void
}

/** Text that is no ASCII; only such can be out of normal form. */
const beyondAscii = /[^\0-\x7f]/u

const escape = (markup: string): string =>
  markup.replaceAll(/[.*+?^${}()|[\]\\/-]/gu, (sign) => `\\x${sign.charCodeAt(0).toString(16)}`)

/** Finds special tokens; of several at one place the longest. */
const patternOf = (special: ReadonlyMap<string, number>): RegExp | undefined => {
  const markup = [...special.keys()].filter((token) => token !== "").sort((a, b) => b.length - a.length)
  return markup.length === 0 ? undefined : new RegExp(markup.map(escape).join("|"), "gu")
}

/**
 * Makes the function from texts to ids.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: TextEncodingOptions): (text: string) => Int32Array => {
  const { normalized, pairs, special, split } = options
  const pattern = patternOf(special)
  let ids = new Int32Array(1024)
  let count = 0
  const add = (id: number) => {
    if (count === ids.length) {
      const larger = new Int32Array(2 * count)
      larger.set(ids)
      ids = larger
    }
    ids[count++] = id
  }
  const addPiece = (piece: string) => pairs(piece, add)
  const addText = (text: string) => split(normalized && beyondAscii.test(text) ? text.normalize("NFC") : text, addPiece)
  return (text) => {
    count = 0
    let start = 0
    if (pattern !== undefined) {
      for (const match of text.matchAll(pattern)) {
        if (match.index > start) addText(text.slice(start, match.index))
        add(special.get(match[0])!)
        start = match.index + match[0].length
      }
    }
    addText(start === 0 ? text : text.slice(start))
    return ids.slice(0, count)
  }
}
