/**
 * A retriever under the control of a test: it records its calls and answers as told.
 */
import { Effect, Layer } from "effect"
import type { ScoredDocument } from "../../src/domain/Document.ts"
import { Retriever, type RetrieverError } from "../../src/services/Retriever.ts"

export interface Call {
  readonly queries: ReadonlyArray<string>
  readonly topK: number
}

export interface Controlled {
  readonly layer: Layer.Layer<Retriever>
  readonly calls: Array<Call>
  /** Calls that run now, the most that ever ran at once, and those that were interrupted. */
  readonly running: { now: number; most: number; interrupted: number }
}

export const hits = (query: string, topK: number): ReadonlyArray<ScoredDocument> =>
  Array.from({ length: topK }, (_, rank) => ({
    id: `${query}-${rank}`,
    title: query,
    text: String(rank),
    score: topK - rank
  }))

export const controlled = (
  respond: (call: Call, number: number) => Effect.Effect<void, RetrieverError> = () => Effect.void
): Controlled => {
  const calls: Array<Call> = []
  const running = { now: 0, most: 0, interrupted: 0 }
  const retriever = Retriever.fromSearchMany("Controlled", (queries, { topK }) =>
    Effect.suspend(() => {
      const call = { queries, topK }
      calls.push(call)
      running.now += 1
      running.most = Math.max(running.most, running.now)
      return respond(call, calls.length)
    }).pipe(
      Effect.onInterrupt(() =>
        Effect.sync(() => {
          running.interrupted += 1
        })
      ),
      Effect.ensuring(Effect.sync(() => {
        running.now -= 1
      })),
      Effect.map(() => queries.map((query) => hits(query, topK)))
    ))
  return { layer: Layer.succeed(Retriever, retriever), calls, running }
}
