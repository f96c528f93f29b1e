/**
 * Porter's stemmer for English (M. F. Porter, "An algorithm for suffix stripping", 1980) with the two changes that
 * Porter published later (`-bli`, `-logi`), as Lucene's `PorterStemFilter` has it.
 *
 * @since 0.1.0
 */

const isVowelLetter = (code: number): boolean =>
  code === 97 || code === 101 || code === 105 || code === 111 || code === 117

/** Whether the letter at `index` is a consonant: y is one at the start and behind a vowel. */
const isConsonant = (word: string, index: number): boolean => {
  const code = word.charCodeAt(index)
  if (isVowelLetter(code)) return false
  if (code !== 121) return true
  return index === 0 || !isConsonant(word, index - 1)
}

/** Porter's m: the number of vowel-consonant sequences in the first `length` letters. */
const measure = (word: string, length: number): number => {
  let sequences = 0
  let vowelBefore = false
  for (let index = 0; index < length; index++) {
    const consonant = isConsonant(word, index)
    if (consonant && vowelBefore) sequences += 1
    vowelBefore = !consonant
  }
  return sequences
}

const hasVowel = (word: string, length: number): boolean => {
  for (let index = 0; index < length; index++) if (!isConsonant(word, index)) return true
  return false
}

const endsInDoubleConsonant = (word: string): boolean => {
  const last = word.length - 1
  return last >= 1 && word.charCodeAt(last) === word.charCodeAt(last - 1) && isConsonant(word, last)
}

/** Consonant, vowel, consonant other than w, x and y at the end of the first `length` letters. */
const endsInShortSyllable = (word: string, length: number): boolean => {
  const last = length - 1
  if (last < 2 || !isConsonant(word, last) || isConsonant(word, last - 1) || !isConsonant(word, last - 2)) return false
  const code = word.charCodeAt(last)
  return code !== 119 && code !== 120 && code !== 121
}

const step1a = (word: string): string =>
  !word.endsWith("s") || word.endsWith("ss")
    ? word
    : word.endsWith("sses") || word.endsWith("ies")
    ? word.slice(0, -2)
    : word.slice(0, -1)

const step1b = (word: string): string => {
  if (word.endsWith("eed")) return measure(word, word.length - 3) > 0 ? word.slice(0, -1) : word
  const cut = word.endsWith("ed") ? 2 : word.endsWith("ing") ? 3 : 0
  if (cut === 0 || !hasVowel(word, word.length - cut)) return word
  const stem = word.slice(0, -cut)
  if (stem.endsWith("at") || stem.endsWith("bl") || stem.endsWith("iz")) return `${stem}e`
  if (endsInDoubleConsonant(stem)) return /[lsz]$/.test(stem) ? stem : stem.slice(0, -1)
  return measure(stem, stem.length) === 1 && endsInShortSyllable(stem, stem.length) ? `${stem}e` : stem
}

const step1c = (word: string): string =>
  word.endsWith("y") && hasVowel(word, word.length - 1) ? `${word.slice(0, -1)}i` : word

type Rules = ReadonlyArray<readonly [suffix: string, replacement: string]>

const step2Rules: Rules = [
  ["ational", "ate"],
  ["tional", "tion"],
  ["enci", "ence"],
  ["anci", "ance"],
  ["izer", "ize"],
  ["bli", "ble"],
  ["alli", "al"],
  ["entli", "ent"],
  ["eli", "e"],
  ["ousli", "ous"],
  ["ization", "ize"],
  ["ation", "ate"],
  ["ator", "ate"],
  ["alism", "al"],
  ["iveness", "ive"],
  ["fulness", "ful"],
  ["ousness", "ous"],
  ["aliti", "al"],
  ["iviti", "ive"],
  ["biliti", "ble"],
  ["logi", "log"]
]

const step3Rules: Rules = [
  ["icate", "ic"],
  ["ative", ""],
  ["alize", "al"],
  ["iciti", "ic"],
  ["ical", "ic"],
  ["ful", ""],
  ["ness", ""]
]

const step4Suffixes: ReadonlyArray<string> = [
  "al",
  "ance",
  "ence",
  "er",
  "ic",
  "able",
  "ible",
  "ant",
  "ement",
  "ment",
  "ent",
  "ion",
  "ou",
  "ism",
  "ate",
  "iti",
  "ous",
  "ive",
  "ize"
]

/** Replaces the first suffix that fits, if enough is left of the word. */
const replaceSuffix = (word: string, rules: Rules): string => {
  for (const [suffix, replacement] of rules) {
    if (!word.endsWith(suffix)) continue
    const length = word.length - suffix.length
    return measure(word, length) > 0 ? word.slice(0, length) + replacement : word
  }
  return word
}

const step4 = (word: string): string => {
  for (const suffix of step4Suffixes) {
    if (!word.endsWith(suffix)) continue
    const length = word.length - suffix.length
    if (suffix === "ion" && !/[st]$/.test(word.slice(0, length))) continue
    return measure(word, length) > 1 ? word.slice(0, length) : word
  }
  return word
}

const step5 = (word: string): string => {
  let stem = word
  if (stem.endsWith("e")) {
    const length = stem.length - 1
    const sequences = measure(stem, length)
    if (sequences > 1 || (sequences === 1 && !endsInShortSyllable(stem, length))) stem = stem.slice(0, -1)
  }
  return stem.endsWith("ll") && measure(stem, stem.length) > 1 ? stem.slice(0, -1) : stem
}

/**
 * The stem of a lower-case word; words of one or two letters are their own.
 *
 * @category stemming
 * @since 0.1.0
 */
export const stem = (word: string): string =>
  word.length < 3
    ? word
    : step5(step4(replaceSuffix(replaceSuffix(step1c(step1b(step1a(word))), step2Rules), step3Rules)))
