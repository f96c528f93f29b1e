/**
 * Finds passages that have nothing to do with the query: the control by which an experiment tells what search is worth.
 *
 * @since 0.1.0
 */
import { Effect, type FileSystem, Layer, type Path, Stream } from "effect"
import type { CorpusUnreadable } from "../../domain/Corpus.ts"
import type { Document } from "../../domain/Document.ts"
import * as Prng from "../../domain/Prng.ts"
import { Retriever } from "../../services/Retriever.ts"
import * as CorpusFile from "./CorpusFile.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Another seed finds other passages. Default 0. */
  readonly seed?: string | number | undefined
}

/**
 * Answers every query with passages drawn from all of `documents`, none twice. What is drawn depends on the seed and the
 * query alone, so a run that is resumed is shown the same. Scores are the reciprocals of the ranks.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <E, R>(
  documents: Stream.Stream<Document, E, R>,
  options?: Options
): Layer.Layer<Retriever, E, R> =>
  Layer.effect(
    Retriever,
    Effect.map(Stream.runCollect(documents), (corpus) =>
      Retriever.fromSearch("RetrieverRandom", (query, { topK }) =>
        Effect.sync(() => {
          const prng = Prng.make(`${options?.seed ?? 0}/${query}`)
          const rows = new Set<number>()
          while (rows.size < Math.min(Math.max(0, topK), corpus.length)) {
            rows.add(prng.below(corpus.length))
          }
          return [...rows].flatMap((row, index) => {
            const document = corpus[row]
            return document === undefined ? [] : [{ ...document, score: 1 / (index + 1) }]
          })
        })))
  )

/**
 * Draws from a corpus file, see {@link layer} and the module `CorpusFile`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFile = (
  path: string,
  options?: Options
): Layer.Layer<Retriever, CorpusUnreadable, FileSystem.FileSystem | Path.Path> =>
  layer(CorpusFile.stream(path), options)
