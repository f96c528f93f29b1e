/**
 * How much of a query an engine reads. A policy can write anything into a search, and a client of a server send anything:
 * none of it may cost more than a fixed multiple of a plain question.
 *
 * @since 0.2.0
 */
import { plural } from "./Plural.ts"

/**
 * The characters (UTF-16 units) of a query that are read.
 *
 * @category constants
 * @since 0.2.0
 */
export const mostCharacters = 8192

/**
 * The different terms of a query that are searched, the first ones: as many as Lucene takes (`maxClauseCount`).
 *
 * @category constants
 * @since 0.2.0
 */
export const mostTerms = 1024

const cut = (text: string, length: number): string => text.slice(0, length).replace(/[\uD800-\uDBFF]$/, "")

/** Some characters stand for up to eighteen others, which is how analyzers read them. */
const written = (text: string): number => /^[\0-\x7F]*$/.test(text) ? text.length : text.normalize("NFKC").length

/**
 * The part of a query that is read: so many characters at most, also of the ones that ligatures and their like stand for. No
 * character is cut in two.
 *
 * @category operations
 * @since 0.2.0
 */
export const beginning = (query: string): string => {
  const first = query.length <= mostCharacters ? query : cut(query, mostCharacters)
  // none stands for more
  if (18 * first.length <= mostCharacters || written(first) <= mostCharacters) return first
  let fits = Math.floor(mostCharacters / 18)
  let tooLong = first.length
  while (tooLong - fits > 1) {
    const middle = Math.floor((fits + tooLong) / 2)
    if (written(cut(first, middle)) <= mostCharacters) fits = middle
    else tooLong = middle
  }
  return cut(first, fits)
}

/**
 * The terms of a query that an engine would search, and those of them that it does.
 *
 * @category models
 * @since 0.2.0
 */
export interface Terms {
  readonly all: number
  readonly searched: number
}

/**
 * Counts the terms of a query.
 *
 * @category models
 * @since 0.2.0
 */
export type CountTerms = (query: string) => Terms

/** Shorter queries have no more terms than are searched: the longest that a character stands for is four words. */
const longestShort = mostTerms / 4

const none: Terms = { all: 0, searched: 0 }

/**
 * Counts the different terms that `analyze` makes of what is read of a query and that the index knows.
 *
 * @category constructors
 * @since 0.2.0
 */
export const countTerms =
  (analyze: (text: string) => ReadonlyArray<string>, isKnown: (term: string) => boolean = () => true): CountTerms =>
  (query) => {
    if (query.length <= longestShort) return none
    const terms = new Set(analyze(beginning(query)).filter(isKnown))
    return { all: terms.size, searched: Math.min(mostTerms, terms.size) }
  }

/**
 * The count of the engine that leaves most of a query out, for several that are asked at once.
 *
 * @category combinators
 * @since 0.2.0
 */
export const worstCount = (counts: ReadonlyArray<CountTerms>): CountTerms => (query) =>
  counts.map((count) => count(query)).reduce((a, b) => b.all - b.searched > a.all - a.searched ? b : a, none)

const number = (value: number): string => value.toLocaleString("en-US")

/**
 * What is left out of a query, in words; undefined where all of it is searched.
 *
 * @category formatting
 * @since 0.2.0
 */
export const leftOut = (query: string, count: CountTerms | undefined): string | undefined => {
  const { all, searched } = count?.(query) ?? none
  const read = beginning(query).length
  const parts = [
    ...(read < query.length ? [`of ${plural(query.length, "character")} the first ${number(read)} are read`] : []),
    ...(searched < all ? [`of ${plural(all, "term")} the first ${number(searched)} are searched`] : [])
  ]
  return parts.length === 0 ? undefined : parts.join(", ")
}
