/**
 * Engines that search in this process take turns with everything else that runs in it.
 *
 * @since 0.2.0
 */
import { Effect } from "effect"
import type { Document, ScoredDocument } from "../../domain/Document.ts"
import type { CountTerms } from "../../domain/SearchQuery.ts"
import { Retriever, RetrieverFailed } from "../../services/Retriever.ts"
import type { Best } from "./best.ts"

/**
 * An engine whose searches are taken step by step. Any number of searches may be under way.
 *
 * @category models
 * @since 0.2.0
 */
export interface Engine<S extends { readonly best: Best }> {
  readonly begin: (query: string, topK: number) => S
  /** Goes on for some thousand postings; true when the search is done. */
  readonly step: (search: S) => boolean
  readonly countTerms?: CountTerms | undefined
}

/** Other fibers run after this long. */
const turnMillis = 4

/**
 * The retriever over an engine and the passages of its rows.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = <S extends { readonly best: Best }>(
  name: string,
  engine: Engine<S>,
  document: (row: number) => Document
): Retriever["Service"] => {
  const found = ({ best }: S): ReadonlyArray<ScoredDocument> =>
    best.hits().map(({ row, score }) => ({ ...document(row), score }))
  return Retriever.fromSearchMany(
    name,
    Effect.fn(`${name}.searchMany`)(function*(queries, { topK }) {
      const results: Array<ReadonlyArray<ScoredDocument>> = []
      let search: S | undefined
      const turn = Effect.try({
        try: () => {
          const end = performance.now() + turnMillis
          do {
            search ??= engine.begin(queries[results.length] ?? "", topK)
            if (!engine.step(search)) continue
            results.push(found(search))
            search = undefined
          } while (results.length < queries.length && performance.now() < end)
        },
        catch: (cause) => new RetrieverFailed({ retriever: name, cause })
      })
      while (results.length < queries.length) {
        if (results.length > 0 || search !== undefined) yield* Effect.yieldNow
        yield* turn
      }
      return results
    }),
    { countTerms: engine.countTerms }
  )
}
