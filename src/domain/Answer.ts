/**
 * Answers: extraction from text, normalisation, exact match, sub-exact match and F1.
 *
 * All of it reproduces Python's string semantics (Unicode word boundaries, `str.isspace`, `string.punctuation`), so that
 * scores equal those of the reference and of the evaluation harnesses built on it, character for character.
 *
 * @since 0.1.0
 */
import { split, strip } from "./PythonString.ts"

/** Python's `string.punctuation`: printable ASCII that is neither alphanumeric nor a space. */
const punctuation = /[!-/:-@[-`{-~]/g

/** Whole-word articles; `\w` of Python's `re` is exactly `[\p{L}\p{N}_]`, JavaScript's `\b` is ASCII only. */
const articles = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu

/**
 * Normalises an answer for comparison: lower case, no ASCII punctuation, no articles, single spaces
 * (`qa_em.normalize_answer`, spec §3.2).
 *
 * @category normalisation
 * @since 0.1.0
 */
export const normalize = (text: string): string =>
  split(text.toLowerCase().replace(punctuation, "").replace(articles, " ")).join(" ")

/**
 * Whether the normalised prediction equals a normalised golden answer (`qa_em.em_check`).
 *
 * @category scores
 * @since 0.1.0
 */
export const exactMatch = (prediction: string, goldenAnswers: ReadonlyArray<string>): boolean => {
  const normalized = normalize(prediction)
  return goldenAnswers.some((golden) => normalize(golden) === normalized)
}

/**
 * Whether a normalised golden answer is a substring of the normalised prediction (`qa_em.subem_check`; "acc" in FlashRAG's
 * logs). A golden answer that normalises to nothing matches everything, as in the reference.
 *
 * @category scores
 * @since 0.1.0
 */
export const subExactMatch = (prediction: string, goldenAnswers: ReadonlyArray<string>): boolean => {
  const normalized = normalize(prediction)
  return goldenAnswers.some((golden) => normalized.includes(normalize(golden)))
}

const isVerdict = (normalized: string): boolean =>
  normalized === "yes" || normalized === "no" || normalized === "noanswer"

const f1Normalized = (prediction: string, golden: string): number => {
  if (prediction !== golden && (isVerdict(prediction) || isVerdict(golden))) return 0
  const predicted = split(prediction)
  const wanted = split(golden)
  const counts = new Map<string, number>()
  for (const word of wanted) counts.set(word, (counts.get(word) ?? 0) + 1)
  let common = 0
  for (const word of predicted) {
    const left = counts.get(word) ?? 0
    if (left > 0) {
      common++
      counts.set(word, left - 1)
    }
  }
  if (common === 0) return 0
  const precision = common / predicted.length
  const recall = common / wanted.length
  return (2 * precision * recall) / (precision + recall)
}

/**
 * The best F1 over the golden answers, of the words of the normalised strings as multisets, in [0, 1]. "yes", "no" and
 * "noanswer" score only against themselves (HotpotQA's evaluation script, FlashRAG's `F1_Score`).
 *
 * @category scores
 * @since 0.1.0
 */
export const f1 = (prediction: string, goldenAnswers: ReadonlyArray<string>): number => {
  const normalized = normalize(prediction)
  let best = 0
  for (const golden of goldenAnswers) best = Math.max(best, f1Normalized(normalized, normalize(golden)))
  return best
}

/**
 * The three scores of one prediction. No prediction scores 0.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scores {
  readonly em: 0 | 1
  readonly subEm: 0 | 1
  readonly f1: number
}

const noScores: Scores = { em: 0, subEm: 0, f1: 0 }

/**
 * Scores a prediction against the golden answers, normalising each string once. `null` (no answer was given) scores 0
 * even where a golden answer normalises to nothing.
 *
 * @category scores
 * @since 0.1.0
 */
export const scores = (prediction: string | null, goldenAnswers: ReadonlyArray<string>): Scores => {
  if (prediction === null) return noScores
  const normalized = normalize(prediction)
  let em: 0 | 1 = 0
  let subEm: 0 | 1 = 0
  let best = 0
  for (const answer of goldenAnswers) {
    const golden = normalize(answer)
    if (golden === normalized) em = 1
    if (normalized.includes(golden)) subEm = 1
    best = Math.max(best, f1Normalized(normalized, golden))
  }
  return { em, subEm, f1: best }
}

const open = "<answer>"
const close = "</answer>"

/**
 * Contents of all non-overlapping `<answer>…</answer>` pairs from left to right, stripped: the matches of
 * `<answer>(.*?)</answer>` with dot-all. An `<answer>` that is never closed takes part in no pair.
 *
 * @category extraction
 * @since 0.1.0
 */
export const pairs = (text: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  let from = text.indexOf(open)
  while (from !== -1) {
    const end = text.indexOf(close, from + open.length)
    if (end === -1) break
    found.push(strip(text.slice(from + open.length, end)))
    from = text.indexOf(open, end + close.length)
  }
  return found
}

/**
 * The last complete pair, or `null`. The rule for text that the policy alone wrote.
 *
 * @category extraction
 * @since 0.1.0
 */
export const last = (text: string): string | null => pairs(text).at(-1) ?? null

/**
 * The reference's rule on prompt and response together: the last pair when there are at least two, else `null`
 * (`qa_em.extract_solution`, quirk Q20: both pairs of the search template's instruction count, so a response without an
 * answer is graded as "Beijing").
 *
 * @category extraction
 * @since 0.1.0
 */
export const lastOfTwo = (fullText: string): string | null => {
  const found = pairs(fullText)
  return found.length < 2 ? null : found.at(-1) ?? null
}
