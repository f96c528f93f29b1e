/**
 * Text to index terms as Lucene's `EnglishAnalyzer` makes them (Pyserini's default): words by Unicode's word boundaries,
 * without a possessive 's, in lower case, without English stop words, stemmed by Porter's rules.
 *
 * @since 0.1.0
 */
import { luceneCharacters } from "./luceneCharacters.ts"
import { stem } from "./PorterStemmer.ts"
import * as WordBreaks from "./WordBreaks.ts"

const stopWords: ReadonlySet<string> = new Set(
  ("a an and are as at be but by for if in into is it no not of on or such that the their then there these they this " +
    "to was will with").split(" ")
)

const possessive = /['\u2019\uFF07][sS]$/

/** Stems that were made before: text repeats its words. */
const stems = new Map<string, string>()
const maxStems = 1 << 17

const cachedStem = (word: string): string => {
  const known = stems.get(word)
  if (known !== undefined) return known
  const made = stem(word)
  if (stems.size >= maxStems) stems.clear()
  stems.set(word, made)
  return made
}

/**
 * Adds what is indexed of a word: nothing of a stop word.
 *
 * @category analysis
 * @since 0.2.0
 */
export const addTerm = (terms: Array<string>, token: string): void => {
  const bare = token.length > 2 && possessive.test(token) ? token.slice(0, -2) : token
  // Java lower-cases character by character: no combining dot behind the i of İ, no final sigma
  const lower = bare.replaceAll("İ", "i").replaceAll("Σ", "σ").toLowerCase()
  if (!stopWords.has(lower)) terms.push(cachedStem(lower))
}

// classes of ASCII characters for the scanner below
const other = 0
const alpha = 1
const numeric = 2
const underscore = 3
const classes = Uint8Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code)
  return /[A-Za-z]/.test(character) ? alpha : /[0-9]/.test(character) ? numeric : character === "_" ? underscore : other
})

const classAt = (text: string, index: number): number => classes[text.charCodeAt(index)] ?? other

/** Whether the character at `index` joins its neighbours: . and ' between letters or digits, : letters, , and ; digits. */
const joins = (text: string, index: number): boolean => {
  const before = classAt(text, index - 1)
  if ((before !== alpha && before !== numeric) || classAt(text, index + 1) !== before) return false
  const code = text.charCodeAt(index)
  return code === 46 || code === 39 || (before === alpha ? code === 58 : code === 44 || code === 59)
}

/**
 * The words of ASCII text, as the rules of word boundaries have them in a fraction of their time; false at a word that is
 * longer than a token may be.
 */
const analyzeAscii = (text: string, terms: Array<string>): boolean => {
  let start = -1
  let hasAlphanumeric = false
  for (let index = 0; index <= text.length; index++) {
    const kind = index < text.length ? classAt(text, index) : other
    if (kind === other) {
      if (start === -1 || (index < text.length && joins(text, index))) continue
      if (hasAlphanumeric) {
        if (index - start > WordBreaks.longest) return false
        addTerm(terms, text.slice(start, index))
      }
      start = -1
      hasAlphanumeric = false
    } else {
      if (start === -1) start = index
      if (kind !== underscore) hasAlphanumeric = true
    }
  }
  return true
}

// oxlint-disable-next-line no-control-regex
const isAscii = /^[\0-\x7F]*$/

/**
 * An analyzer of text that `visit` takes apart where it is not plain ASCII, which every analyzer takes apart alike.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (visit: (text: string, terms: Array<string>) => void) => (text: string): Array<string> => {
  const terms: Array<string> = []
  if (isAscii.test(text) && analyzeAscii(text, terms)) return terms
  terms.length = 0
  visit(text, terms)
  return terms
}

const luceneWords = WordBreaks.make(luceneCharacters)

/**
 * The terms of a text in order, repeated ones included. Total: any text has terms, perhaps none.
 *
 * @category analysis
 * @since 0.1.0
 */
export const analyze: (text: string) => Array<string> = make((text, terms) =>
  luceneWords(text, (word) => addTerm(terms, word))
)
