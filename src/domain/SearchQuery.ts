/**
 * How much of a query an engine reads. A policy can write anything into a search, and a client of a server send anything:
 * none of it may cost more than a fixed multiple of a plain question.
 *
 * @since 0.2.0
 */

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
