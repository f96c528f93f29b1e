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

/**
 * The part of a query that is read; no character is cut in two.
 *
 * @category operations
 * @since 0.2.0
 */
export const beginning = (query: string): string =>
  query.length <= mostCharacters ? query : query.slice(0, mostCharacters).replace(/[\uD800-\uDBFF]$/, "")

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
  const parts = [
    ...(query.length > mostCharacters
      ? [`of ${plural(query.length, "character")} the first ${number(mostCharacters)} are read`]
      : []),
    ...(searched < all ? [`of ${plural(all, "term")} the first ${number(searched)} are searched`] : [])
  ]
  return parts.length === 0 ? undefined : parts.join(", ")
}
