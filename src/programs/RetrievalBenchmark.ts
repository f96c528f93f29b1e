/**
 * How fast and how well a retriever answers.
 *
 * @since 0.1.0
 */
import { Clock, Effect } from "effect"
import { Retriever, type RetrieverError } from "../services/Retriever.ts"

/**
 * A question with the passages that answer it, where they are known.
 *
 * @category models
 * @since 0.1.0
 */
export interface Query {
  readonly question: string
  readonly goldIds: ReadonlyArray<string>
}

/**
 * What was measured with `concurrency` searches at a time. Latencies are milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Speed {
  readonly concurrency: number
  readonly queriesPerSecond: number
  readonly p50: number
  readonly p99: number
}

/**
 * Of the questions with known gold passages: the mean share of them in the result, and the share of questions that have
 * all of them there.
 *
 * @category models
 * @since 0.1.0
 */
export interface Quality {
  readonly topK: number
  readonly questions: number
  readonly recall: number
  readonly allGold: number
}

const percentile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.floor(share * sorted.length)] ?? 0

/**
 * Searches for each question once, `concurrency` at a time.
 *
 * @category measuring
 * @since 0.1.0
 */
export const speed = Effect.fn("RetrievalBenchmark.speed")(function*(
  queries: ReadonlyArray<Query>,
  options: { readonly concurrency: number; readonly topK: number }
): Effect.fn.Return<Speed, RetrieverError, Retriever> {
  const retriever = yield* Retriever
  const { concurrency, topK } = options
  const started = yield* Clock.currentTimeNanos
  const latencies = yield* Effect.forEach(
    queries,
    Effect.fnUntraced(function*({ question }) {
      const begin = yield* Clock.currentTimeNanos
      yield* retriever.search(question, { topK })
      return Number((yield* Clock.currentTimeNanos) - begin) / 1e6
    }),
    { concurrency }
  )
  const seconds = Number((yield* Clock.currentTimeNanos) - started) / 1e9
  const sorted = latencies.toSorted((a, b) => a - b)
  return {
    concurrency,
    queriesPerSecond: seconds === 0 ? 0 : queries.length / seconds,
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99)
  }
})

/**
 * Searches for each question with known gold passages.
 *
 * @category measuring
 * @since 0.1.0
 */
export const quality = Effect.fn("RetrievalBenchmark.quality")(function*(
  queries: ReadonlyArray<Query>,
  options: { readonly topK: number; readonly concurrency?: number | undefined }
): Effect.fn.Return<Quality, RetrieverError, Retriever> {
  const retriever = yield* Retriever
  const { topK } = options
  const known = queries.filter(({ goldIds }) => goldIds.length > 0)
  const shares = yield* Effect.forEach(
    known,
    ({ goldIds, question }) =>
      Effect.map(retriever.search(question, { topK }), (documents) => {
        const found = new Set(documents.map(({ id }) => id))
        return goldIds.filter((id) => found.has(id)).length / goldIds.length
      }),
    { concurrency: options.concurrency ?? 8 }
  )
  const mean = (values: ReadonlyArray<number>) =>
    values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
  return {
    topK,
    questions: known.length,
    recall: mean(shares),
    allGold: mean(shares.map((share) => share === 1 ? 1 : 0))
  }
})
