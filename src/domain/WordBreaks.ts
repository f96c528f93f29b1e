/**
 * Words by Unicode's word boundaries (UAX #29) in the form that Lucene's `StandardTokenizer` gives them: scripts whose
 * words are not separated by spaces come letter by letter (Han, Hiragana) or as runs (Thai and its neighbours).
 *
 * @since 0.1.0
 */

/**
 * What characters are to the rules: each the content of a class of a regular expression with the flag `v`. Classes may
 * overlap, as a letter that is a pictograph too; what extends the character before it may be a letter of `complex`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Characters {
  /** Letters of scripts that separate words, digits not among them. */
  readonly letter: string
  readonly hebrew: string
  readonly digit: string
  readonly katakana: string
  /** Han and Hiragana: a word each. */
  readonly ideograph: string
  /** Letters and signs of scripts whose words nothing separates: Thai, Lao, Khmer, Myanmar and their kin. */
  readonly complex: string
  /** What belongs to the character before it: combining marks, format characters, joiners. */
  readonly extend: string
  /** `_` and its kin, which join letters, digits and Katakana. */
  readonly joiner: string
  /** What joins two letters, and two digits. */
  readonly midLetter: string
  readonly midNumber: string
  readonly pictograph: string
}

/**
 * The length of the longest token (`StandardTokenizer`): what is longer is cut.
 *
 * @category constants
 * @since 0.2.0
 */
export const longest = 255

// what extends a pictograph, without the two characters that choose between text and picture
const presentation = String.raw`\uFE0E\uFE0F`

// the colours of skin, which extend anything and can stand alone
const modifiers = String.raw`\u{1F3FB}-\u{1F3FF}`

const onlyZwj = /^\u200D+$/

const expressions = (characters: Characters) => {
  const { complex, digit, extend, hebrew, ideograph, joiner, katakana, letter, midLetter, midNumber, pictograph } =
    characters
  const E = `[${extend}]*`
  const L = `[${letter}]`
  const D = `[${digit}]`
  const H = `[${hebrew}]`
  const J = `[${joiner}]`
  const letters = `(?:${H}${E}(?:'${E}|"${E}${H}${E})|${D}${E}(?:[${midNumber}]${E}(?=${D}))?` +
    // a letter that was joined takes no quotation mark of its own, so it is read here and not as the next one
    `|${L}${E}(?:[${midLetter}]${E}${L}${E})*)+`
  const part = `(?:${letters}|(?:[${katakana}]${E})+)`
  const joiners = `(?:${J}${E})+`
  const X = `[[${extend}]--[${presentation}]]*`
  const P = `[[${pictograph}]--[${modifiers}]]`
  const chained = `(?:(?<=\\u200D)${P}${X})*(?:\\uFE0F\\u200D+${P}${X}(?:(?<=\\u200D)${P}${X})*)*\\uFE0F?`
  const begun = [
    `(?:[${complex}]${E})+`,
    `\\u200D*${P}${X}${chained}`,
    `[${modifiers}]${X}(?:(?<=\\u200D)${P}${X}${chained})?`,
    String.raw`\u200D+`
  ]
  return {
    token: [
      // a letter that is a pictograph too, and the first of several
      `[[${pictograph}]&&[${letter}]]${X}(?<=\\u200D)[[${pictograph}]--[[${letter}]${modifiers}]]${X}${chained}`,
      `(?:${joiners})?${part}(?:${joiners}${part})*(?:${joiners})?`,
      // no word, but read in one go: every start of a long run would be tried else
      `(?:${J}${E})*${J}[[${extend}]--[\\u200D[${complex}][${pictograph}]]]*`,
      `[${ideograph}]${E}`,
      String.raw`[#*]${X}\uFE0F?\u20E3${X}`,
      String.raw`(?:[\u{1F1E6}-\u{1F1FF}]${E}){2}`,
      ...begun
    ].join("|"),
    /** What can begin with a character that extends another. */
    begun: begun.join("|"),
    joiners
  }
}

/** `matchAll` would compile a copy of the expression. */
const each = (expression: RegExp, text: string, visit: (found: string) => void): void => {
  expression.lastIndex = 0
  for (let found = expression.exec(text); found !== null; found = expression.exec(text)) visit(found[0])
}

/**
 * A function that visits the words of a text in order.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (characters: Characters): (text: string, visit: (word: string) => void) => void => {
  const sources = expressions(characters)
  const token = new RegExp(sources.token, "gv")
  const atStart = new RegExp(sources.token, "yv")
  const begun = new RegExp(sources.begun, "gv")
  const joiners = new RegExp(`^${sources.joiners}$`, "v")

  const emit = (word: string, visit: (word: string) => void): void => {
    if (joiners.test(word)) each(begun, word, (inner) => onlyZwj.test(inner) || visit(inner))
    else if (!onlyZwj.test(word)) visit(word)
  }
  /** A word that is too long: the rules are tried anew on as many characters as a token may have. */
  const cut = (word: string, visit: (word: string) => void): void => {
    for (let from = 0; from < word.length;) {
      atStart.lastIndex = 0
      const found = atStart.exec(word.slice(from, from + longest))?.[0]
      if (found !== undefined) emit(found, visit)
      from += found?.length ?? 1
    }
  }
  return (text, visit) => each(token, text, (word) => word.length > longest ? cut(word, visit) : emit(word, visit))
}
