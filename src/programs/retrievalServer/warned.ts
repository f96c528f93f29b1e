/**
 * Tells a client what of its queries was not searched: its answer has no place for that, a header has.
 *
 * @since 0.2.0
 */
import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import * as SearchQuery from "../../domain/SearchQuery.ts"

/** Queries that are told of: a header has to stay short. */
const mostTold = 8

/** Shorter queries are searched whole by every engine. */
const longestShort = 128

/**
 * Adds a `Warning` (code 199) for each query of which something was left out, the first ones of them.
 *
 * @category combinators
 * @since 0.2.0
 */
export const warned = (queries: ReadonlyArray<string>, count: SearchQuery.CountTerms | undefined) =>
  Effect.fnUntraced(function*(response: HttpServerResponse.HttpServerResponse) {
    if (response.status !== 200 || queries.every(({ length }) => length <= longestShort)) return response
    const told: Array<string> = []
    for (const [at, query] of queries.entries()) {
      if (told.length === mostTold) break
      // other requests have their turn between two queries
      const leftOut = query.length <= longestShort
        ? undefined
        : yield* Effect.sync(() => SearchQuery.leftOut(query, count))
      if (leftOut !== undefined) told.push(`199 search-r1 "query ${at + 1} of ${queries.length}: ${leftOut}"`)
    }
    return told.length === 0 ? response : HttpServerResponse.setHeader(response, "warning", told.join(", "))
  })
