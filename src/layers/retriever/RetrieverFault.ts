/**
 * Makes a good retriever bad in a repeatable way: for experiments with unreliable search.
 *
 * @since 0.1.0
 */
import { Duration, Effect, type Layer } from "effect"
import type { ScoredDocument } from "../../domain/Document.ts"
import * as Prng from "../../domain/Prng.ts"
import { Retriever, RetrieverUnavailable, type SearchOptions } from "../../services/Retriever.ts"

/**
 * What goes wrong, as shares of all searches between 0 and 1.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly seed: string | number
  /** Searches that fail with `RetrieverUnavailable`. */
  readonly drop?: number | undefined
  /** Searches that are answered late. */
  readonly delay?: number | undefined
  /** Longest delay; delays are uniform below it. Default 1 second. */
  readonly maxDelay?: Duration.Input | undefined
  /** Searches that find nothing. */
  readonly empty?: number | undefined
  /** Searches whose passages have their words in random order: present, and of no use. */
  readonly corrupt?: number | undefined
}

const scramble = (prng: Prng.Prng, documents: ReadonlyArray<ScoredDocument>): ReadonlyArray<ScoredDocument> =>
  documents.map((document) => ({ ...document, text: Prng.shuffle(prng, document.text.split(/\s+/)).join(" ") }))

/**
 * Drops, delays, empties and corrupts searches. What happens to a search depends on the seed, on its query and on how
 * often that was asked before, not on what else runs at the same time; so another attempt may succeed.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Retriever, never, Retriever> =>
  Retriever.decorate((inner) =>
    Effect.sync(() => {
      const maxDelay = Duration.toMillis(Duration.fromInputUnsafe(options.maxDelay ?? "1 second"))
      const asked = new Map<string, number>()
      const fate = (query: string, topK: number) => {
        const key = `${topK} ${query}`
        const times = asked.get(key) ?? 0
        asked.set(key, times + 1)
        const prng = Prng.make(`${options.seed}/${times}/${key}`)
        return {
          prng,
          delayed: prng.float() < (options.delay ?? 0),
          delay: prng.float() * maxDelay,
          dropped: prng.float() < (options.drop ?? 0),
          empty: prng.float() < (options.empty ?? 0),
          corrupt: prng.float() < (options.corrupt ?? 0)
        }
      }
      const search = Effect.fnUntraced(function*(query: string, searchOptions: SearchOptions) {
        const { corrupt, delay, delayed, dropped, empty, prng } = fate(query, searchOptions.topK)
        if (delayed) yield* Effect.sleep(delay)
        if (dropped) return yield* new RetrieverUnavailable({ retriever: inner.name, reason: "dropped on purpose" })
        const documents = yield* inner.search(query, searchOptions)
        return empty ? [] : corrupt ? scramble(prng, documents) : documents
      })
      return Retriever.fromSearch(inner.name, search, { concurrency: "unbounded" })
    })
  )
