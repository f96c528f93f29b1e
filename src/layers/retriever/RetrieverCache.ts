/**
 * Remembers answers in memory.
 *
 * @since 0.1.0
 */
import { Clock, Duration, Effect, type Layer } from "effect"
import type { ScoredDocument } from "../../domain/Document.ts"
import { Retriever } from "../../services/Retriever.ts"
import * as Flights from "./flights.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Answers to remember; the one used longest ago makes room. Default 16,384. */
  readonly capacity?: number | undefined
  /** Bytes that the answers hold at most, roughly; the one used longest ago makes room. Default 256 MiB. */
  readonly maxBytes?: number | undefined
  /** How long an answer holds. Default for ever. */
  readonly timeToLive?: Duration.Input | undefined
}

interface Entry {
  readonly documents: ReadonlyArray<ScoredDocument>
  readonly expires: number
  readonly bytes: number
}

/** What an answer takes in memory: two bytes a character, and some for each object. */
const bytesOf = (key: string, documents: ReadonlyArray<ScoredDocument>): number => {
  let characters = key.length
  for (const { id, text, title } of documents) characters += id.length + title.length + text.length
  return 2 * characters + 200 * (documents.length + 1)
}

/**
 * Answers a search that was answered before without asking again, and asks only once for equal searches at the same
 * time. Failures are not remembered.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Retriever, never, Retriever> =>
  Retriever.decorate(
    Effect.fnUntraced(function*(inner) {
      const clock = yield* Clock.Clock
      const capacity = Math.max(1, options?.capacity ?? 16_384)
      const timeToLive = options?.timeToLive === undefined
        ? Number.POSITIVE_INFINITY
        : Duration.toMillis(Duration.fromInputUnsafe(options.timeToLive))
      // a Map iterates in insertion order: the first key is the one used longest ago
      const entries = new Map<string, Entry>()
      const maxBytes = options?.maxBytes ?? 2 ** 28
      let bytes = 0
      const keyOf = (query: string, topK: number) => `${topK} ${query}`

      const forget = (key: string): Entry | undefined => {
        const entry = entries.get(key)
        if (entry === undefined) return undefined
        entries.delete(key)
        bytes -= entry.bytes
        return entry
      }
      const remember = (key: string, entry: Entry): void => {
        entries.set(key, entry)
        bytes += entry.bytes
      }

      const remembered = (query: string, topK: number): ReadonlyArray<ScoredDocument> | undefined => {
        const key = keyOf(query, topK)
        const entry = forget(key)
        if (entry === undefined || entry.expires <= clock.currentTimeMillisUnsafe()) return undefined
        remember(key, entry)
        return entry.documents
      }

      const ask = Flights.make({
        inner,
        scope: yield* Effect.scope,
        maxBatch: Number.POSITIVE_INFINITY,
        onSuccess: (query, topK, documents) => {
          const key = keyOf(query, topK)
          forget(key)
          remember(key, {
            documents,
            expires: clock.currentTimeMillisUnsafe() + timeToLive,
            bytes: bytesOf(key, documents)
          })
          for (const oldest of entries.keys()) {
            if (entries.size <= capacity && bytes <= maxBytes) break
            forget(oldest)
          }
        }
      })

      return Retriever.fromSearchMany(inner.name, (queries, searchOptions) =>
        Effect.suspend(() => {
          const known = queries.map((query) => remembered(query, searchOptions.topK))
          const missing = queries.filter((_, index) => known[index] === undefined)
          if (missing.length === 0) return Effect.succeed(known.map((documents) => documents ?? []))
          return Effect.map(ask(missing, searchOptions), (answers) => {
            let next = 0
            return known.map((documents) => documents ?? answers[next++] ?? [])
          })
        }))
    })
  )
