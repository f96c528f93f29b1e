/**
 * Text to index terms as Lucene's `EnglishAnalyzer` makes them (Pyserini's default): words by Unicode's word boundaries,
 * without a possessive 's, in lower case, without English stop words, stemmed by Porter's rules.
 *
 * @since 0.1.0
 */
import { stem } from "./PorterStemmer.ts"

const stopWords: ReadonlySet<string> = new Set(
  ("a an and are as at be but by for if in into is it no not of on or such that the their then there these they this " +
    "to was will with").split(" ")
)

/** Longer words are cut in pieces of this length (`StandardTokenizer`). */
const maxTokenLength = 255

// Words by UAX #29. Scripts whose words are not separated by spaces come letter by letter (Han, Hiragana) or as runs
// (Thai and its neighbours), as Lucene's StandardTokenizer has them. E is what belongs to the character before it (WB4).
const complex = String.raw`\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}`
const E = String.raw`[[\p{M}\p{Cf}]--\u200B]*`
const katakana = String.raw`[\p{sc=Katakana}\u3031-\u3035\u309B\u309C\u30A0\u30FC\uFF70]`
// ALetter besides the alphabetic characters: modifier signs, Armenian and Hebrew punctuation inside words
const letterLike =
  String.raw`\u02C2-\u02C5\u02D2-\u02D7\u02DE\u02DF\u02E5-\u02EB\u02ED\u02EF-\u02FF\u055A-\u055C\u055E\u058A\u05F3` +
  String.raw`\u070F\uA708-\uA716\uA720\uA721\uA789\uA78A\uAB5B`
const letter = String
  .raw`[[\p{Alphabetic}${letterLike}]--\p{Ideographic}--\p{sc=Hiragana}--${katakana}--\p{M}--[${complex}]]`
const digit = String.raw`[\p{Nd}\u066B]`
const joiner = String.raw`\p{Pc}`
const midLetter = String.raw`[:\xB7\u0387\u055F\u05F4\u2027\uFE13\uFE55\uFF1A.'\u2018\u2019\u2024\uFE52\uFF07\uFF0E]`
const midNumber = String
  .raw`[,;\u037E\u0589\u060C\u060D\u066C\u07F8\u2044\uFE10\uFE14\uFE50\uFE54\uFF0C\uFF1B.'\u2018\u2019\u2024\uFE52\uFF07\uFF0E]`

const letters = `(?:${letter}${E}(?:${midLetter}${E}(?=${letter}))?|${digit}${E}(?:${midNumber}${E}(?=${digit}))?)+`
const part = `(?:${letters}|(?:${katakana}${E})+)`
const joiners = `(?:${joiner}${E})+`

const token = new RegExp(
  [
    `(?:${joiners})?${part}(?:${joiners}${part})*(?:${joiners})?`,
    joiners,
    `(?:[${complex}]${E})+`,
    String.raw`[\p{Ideographic}\p{sc=Hiragana}]${E}`,
    String.raw`(?:\p{RGI_Emoji}|[\p{Extended_Pictographic}])${E}`
  ].join("|"),
  "gv"
)

const onlyJoiners = /^[\p{Pc}\p{M}\p{Cf}]+$/u
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

const push = (terms: Array<string>, token: string): void => {
  const bare = token.length > 2 && possessive.test(token) ? token.slice(0, -2) : token
  // Java lower-cases character by character: no combining dot behind the i of İ, no final sigma
  const lower = bare.replaceAll("İ", "i").replaceAll("Σ", "σ").toLowerCase()
  if (!stopWords.has(lower)) terms.push(cachedStem(lower))
}

const pushLong = (terms: Array<string>, token: string): void => {
  for (let start = 0; start < token.length; start += maxTokenLength) {
    push(terms, token.slice(start, start + maxTokenLength))
  }
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

/** The word boundaries of ASCII text: the same tokens as the expression above in a fraction of its time. */
const analyzeAscii = (text: string, terms: Array<string>): void => {
  let start = -1
  let hasAlphanumeric = false
  for (let index = 0; index <= text.length; index++) {
    const kind = index < text.length ? classAt(text, index) : other
    if (kind === other) {
      if (start === -1 || (index < text.length && joins(text, index))) continue
      if (hasAlphanumeric) {
        if (index - start > maxTokenLength) pushLong(terms, text.slice(start, index))
        else push(terms, text.slice(start, index))
      }
      start = -1
      hasAlphanumeric = false
    } else {
      if (start === -1) start = index
      if (kind !== underscore) hasAlphanumeric = true
    }
  }
}

// oxlint-disable-next-line no-control-regex
const isAscii = /^[\0-\x7F]*$/

/**
 * The terms of a text in order, repeated ones included. Total: any text has terms, perhaps none.
 *
 * @category analysis
 * @since 0.1.0
 */
export const analyze = (text: string): Array<string> => {
  const terms: Array<string> = []
  if (isAscii.test(text)) analyzeAscii(text, terms)
  else {
    for (const [match] of text.matchAll(token)) {
      if (onlyJoiners.test(match)) continue
      if (match.length > maxTokenLength) pushLong(terms, match)
      else push(terms, match)
    }
  }
  return terms
}
