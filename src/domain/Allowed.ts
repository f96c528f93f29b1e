/**
 * What may be given, in words: ranges, choices, and what was likely meant instead.
 *
 * @since 0.2.0
 */
import { nearest } from "./Suggestion.ts"

/**
 * The numbers from `least` to `most`; an open end is not one of them.
 *
 * @category models
 * @since 0.2.0
 */
export interface Range {
  readonly least: number
  readonly most: number
  readonly openLeast?: boolean | undefined
  readonly openMost?: boolean | undefined
}

/** A range of whole numbers has no open ends. */
const closed = (whole: boolean, range: Range): Range =>
  whole
    ? {
      least: range.openLeast === true ? range.least + 1 : range.least,
      most: range.openMost === true ? range.most - 1 : range.most
    }
    : range

/**
 * `a whole number from 0 to 65535`.
 *
 * @category formatting
 * @since 0.2.0
 */
export const numberWords = (whole: boolean, range: Range): string => {
  const { least, most, openLeast, openMost } = closed(whole, range)
  const what = whole ? "a whole number" : "a number"
  const above = `${openLeast === true ? "above" : "of at least"} ${least}`
  const below = `${openMost === true ? "below" : "of at most"} ${most}`
  return !Number.isFinite(least) && !Number.isFinite(most)
    ? what
    : !Number.isFinite(most)
    ? `${what} ${above}`
    : !Number.isFinite(least)
    ? `${what} ${below}`
    : openLeast === true || openMost === true
    ? `${what} ${above} and ${below}`
    : `${what} from ${least} to ${most}`
}

/**
 * The allowed number next to `given`; undefined where it would be an open end, which has no neighbour.
 *
 * @category getters
 * @since 0.2.0
 */
export const nearestNumber = (given: number, whole: boolean, range: Range): number | undefined => {
  if (!Number.isFinite(given)) return undefined
  const { least, most, openLeast, openMost } = closed(whole, range)
  const clamped = Math.min(most, Math.max(least, whole ? Math.round(given) : given))
  return (openLeast === true && clamped <= least) || (openMost === true && clamped >= most) ? undefined : clamped
}

/**
 * `a, b or c`.
 *
 * @category formatting
 * @since 0.2.0
 */
export const either = (choices: ReadonlyArray<string>): string =>
  choices.length < 2 ? choices.join("") : `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`

/**
 * `; did you mean a?`, or nothing.
 *
 * @category formatting
 * @since 0.2.0
 */
export const meant = (candidate: string | undefined): string =>
  candidate === undefined ? "" : `; did you mean ${candidate}?`

/**
 * The choice that a word was likely meant to be.
 *
 * @category getters
 * @since 0.2.0
 */
export const nearestChoice = (word: string, choices: ReadonlyArray<string>): string | undefined => {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[^a-z0-9+]/g, "")
  return choices.find((choice) => plain(choice) === plain(word)) ??
    (word.length > 1 ? nearest(word, choices) : undefined) ??
    // a word of several, such as "paper"
    choices.find((choice) => word.length > 2 && choice.toLowerCase().startsWith(word.toLowerCase()))
}
