/**
 * Text to index terms for any language: those of `EnglishAnalyzer` where text is English, and for the others what lets a
 * phrase be found that stands in a longer run of letters, or is written with other characters for the same letters.
 *
 * @since 0.2.0
 */
import * as EnglishAnalyzer from "./EnglishAnalyzer.ts"
import * as WordBreaks from "./WordBreaks.ts"

// letters of scripts that put no space between words, and their signs
const complex =
  String.raw`[\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}\p{sc=New_Tai_Lue}\p{sc=Tai_Le}\p{sc=Tai_Tham}` +
  String.raw`\p{sc=Tai_Viet}\p{sc=Ahom}]&&[\p{L}\p{M}]`
const katakana = String.raw`\p{sc=Katakana}\u3031-\u3035\u309B\u309C\u30A0\u30FC\uFF70`
const ideograph = String.raw`\p{Ideographic}\p{sc=Han}\p{sc=Hiragana}`
// letters besides the alphabetic characters: modifier signs, Armenian and Hebrew punctuation inside words
const letterLike =
  String.raw`\u02C2-\u02C5\u02D2-\u02D7\u02DE\u02DF\u02E5-\u02EB\u02ED\u02EF-\u02FF\u055A-\u055C\u055E\u058A\u05F3` +
  String.raw`\u070F\uA708-\uA716\uA720\uA721\uA789\uA78A\uAB5B`

/** Unicode's own properties, so that scripts count that Lucene does not know yet. */
const characters: WordBreaks.Characters = {
  letter: `[\\p{Alphabetic}${letterLike}]--[${ideograph}]--[${katakana}]--\\p{M}--[${complex}]`,
  hebrew: String.raw`\p{sc=Hebrew}&&\p{L}`,
  digit: String.raw`\p{Nd}\u066B`,
  katakana,
  ideograph: `[${ideograph}]--\\p{M}--[${katakana}]`,
  complex,
  extend: String.raw`[\p{M}\p{Cf}\p{EMod}]--\u200B`,
  joiner: String.raw`\p{Pc}`,
  midLetter: String.raw`:\xB7\u0387\u055F\u05F4\u2027\uFE13\uFE55\uFF1A.'\u2018\u2019\u2024\uFE52\uFF07\uFF0E`,
  midNumber:
    String.raw`,;\u037E\u0589\u060C\u060D\u066C\u07F8\u2044\uFE10\uFE14\uFE50\uFE54\uFF0C\uFF1B.'\u2018\u2019` +
    String.raw`\u2024\uFE52\uFF07\uFF0E`,
  pictograph: String.raw`[\p{Extended_Pictographic}\p{Emoji_Presentation}\p{EMod}]--\p{RI}`
}

const words = WordBreaks.make(characters)

/** A zero-width space separates words; other characters that nothing shows of only choose among forms of letters. */
const ignorable = new RegExp(String.raw`[\p{Default_Ignorable_Code_Point}--\u200B]+`, "gv")

// what people write for an apostrophe, for the Hawaiian ʻokina and for the Hebrew geresh
const apostrophes = /[\u2018\u2019\u02BB\u02BC\u05F3]/g
const gershayim = "\u05F4"

const unified = (text: string): string =>
  text.normalize("NFKC").replaceAll(ignorable, "").replaceAll(apostrophes, "'").replaceAll(gershayim, "\"")

/** Letters that follow each other, of scripts that write words together, or endings to words. */
const runs = new RegExp(String.raw`[${complex}]+|[${katakana}]+|\p{sc=Hangul}+`, "gv")
const isComplex = new RegExp(`^[${complex}]`, "v")

/** Whatever two letters or signs follow each other in a run: a phrase inside it has the same pairs. */
const addPairs = (terms: Array<string>, run: string): void => {
  let before: string | undefined
  for (const letter of run) {
    if (before !== undefined) terms.push(before + letter)
    before = letter
  }
  if (before === run) terms.push(run)
}

const addWord = (terms: Array<string>, word: string): void => {
  if (isComplex.test(word)) return addPairs(terms, word)
  EnglishAnalyzer.addTerm(terms, word)
  for (const run of word.match(runs) ?? []) if (run !== word || run.length > 2) addPairs(terms, run)
}

/**
 * The terms of a text in order, repeated ones included. What `EnglishAnalyzer` makes, and besides:
 *
 * - characters for the same letters are one: full-width forms, ligatures, composed and combining accents (NFKC), straight
 *   and curly apostrophes;
 * - characters that nothing is shown of (soft hyphen, joiners, directions) are left out of words;
 * - Thai, Lao, Khmer, Myanmar and their kin come as pairs of neighbouring letters and signs, and words of Katakana and Hangul as
 *   words and as pairs: there are no spaces between words, or endings are written behind them.
 *
 * @category analysis
 * @since 0.2.0
 */
export const analyze: (text: string) => Array<string> = EnglishAnalyzer.make((text, terms) =>
  words(unified(text), (word) => addWord(terms, word))
)
