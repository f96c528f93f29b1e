/**
 * Texts in the columns of a terminal.
 *
 * @since 0.2.0
 */
import { Config, Effect, Option, Stdio, Terminal } from "effect"

// oxlint-disable-next-line no-control-regex
const colour = /\u001B\[[0-9;]*m/g

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" })

/** What terminals show two columns wide: Chinese, Japanese and Korean with their punctuation, full-width forms, emoji. */
const wide =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\p{Script=Yi}\p{Emoji_Presentation}\u3000-\u303E\u30FC\uFE30-\uFE4F\uFF01-\uFF60\uFFE0-\uFFE6]/u
const halfwidth = /[\uFF61-\uFFDC]/u
const invisible = /^[\p{M}\p{Cf}\p{Cc}]*$/u

const widthOf = (grapheme: string): number =>
  invisible.test(grapheme)
    ? 0
    : grapheme.includes("\uFE0F") || (wide.test(grapheme) && !halfwidth.test(grapheme))
    ? 2
    : 1

/**
 * The columns that a text takes; colour codes take none.
 *
 * @category getters
 * @since 0.2.0
 */
export const width = (text: string): number => {
  const plain = text.replaceAll(colour, "")
  // what most texts are
  if (/^[ -~]*$/.test(plain)) return plain.length
  let columns = 0
  for (const { segment } of graphemes.segment(plain)) columns += widthOf(segment)
  return columns
}

/**
 * A text in at most so many columns, with an ellipsis where something is left out; it keeps its colour.
 *
 * @category formatting
 * @since 0.2.0
 */
export const cut = (text: string, columns: number): string => {
  if (width(text) <= columns) return text
  const codes = text.match(colour) ?? []
  const plain = text.replaceAll(colour, "")
  let kept = ""
  let taken = 0
  for (const { segment } of graphemes.segment(plain)) {
    taken += widthOf(segment)
    if (taken > columns - 1) break
    kept += segment
  }
  const [first = ""] = codes
  return codes.length === 0 ? `${kept}…` : `${first}${kept}…${codes.at(-1) ?? ""}`
}

/** A word in pieces of at most so many columns. */
const pieces = (word: string, columns: number): ReadonlyArray<string> => {
  if (width(word) <= columns) return [word]
  const all: Array<string> = []
  let piece = ""
  for (const { segment } of graphemes.segment(word)) {
    if (piece !== "" && width(piece) + widthOf(segment) > columns) {
      all.push(piece)
      piece = ""
    }
    piece += segment
  }
  return [...all, piece]
}

/**
 * Breaks a text at spaces into lines of at most so many columns; a word that is wider, such as a sentence in Chinese, is
 * broken where a line ends.
 *
 * @category formatting
 * @since 0.2.0
 */
export const wrap = (text: string, columns: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(/\s+/).flatMap((word) => pieces(word, columns))) {
    if (line !== "" && width(line) + 1 + width(word) > columns) {
      lines.push(line)
      line = word
    } else line = line === "" ? word : `${line} ${word}`
  }
  return [...lines, line]
}

/**
 * The columns of the terminal that standard output is, or that `COLUMNS` says; undefined where lines may be of any length.
 *
 * @category getters
 * @since 0.2.0
 */
export const available: Effect.Effect<number | undefined, never, Stdio.Stdio | Terminal.Terminal> = Effect.gen(
  function*() {
    const said = yield* Config.option(Config.Int("COLUMNS")).pipe(Effect.orElseSucceed(() => Option.none<number>()))
    if (Option.isSome(said) && said.value > 0) return said.value
    const stdio = yield* Stdio.Stdio
    if (!(yield* stdio.stdoutIsTerminal)) return undefined
    const columns = yield* (yield* Terminal.Terminal).columns
    return columns > 0 ? columns : undefined
  }
)
