/**
 * Builds an index file of words from a stream of passages.
 *
 * @since 0.1.0
 */
import { Effect, type FileSystem, type Path, type Stream } from "effect"
import type { Document } from "../../../domain/Document.ts"
import type { IndexIo } from "../indexfile/errors.ts"
import type { Description } from "../indexfile/format.ts"
import { writeIndex } from "../indexfile/write.ts"
import { type Bm25Parameters, defaultParameters } from "./postings.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface BuildOptions {
  readonly parameters?: Bm25Parameters | undefined
  /** Postings that are held in memory. Default 16 million: 80 MB, and as much again while they are sorted. */
  readonly pieceSize?: number | undefined
  /** Told the number of passages after each batch. */
  readonly onProgress?: ((documents: number) => Effect.Effect<void>) | undefined
}

/**
 * Builds an index from batches of passages and writes it to `path`, which appears whole or not at all. Passages are
 * written as they come, postings in pieces that are merged at the end.
 *
 * @category writing
 * @since 0.1.0
 */
export const build = Effect.fn("Bm25Index.build")(<E, R>(
  batches: Stream.Stream<ReadonlyArray<Document>, E, R>,
  path: string,
  options?: BuildOptions
): Effect.Effect<Description, E | IndexIo, R | FileSystem.FileSystem | Path.Path> =>
  writeIndex(batches, path, {
    words: options?.parameters ?? defaultParameters,
    vectors: null,
    pieceSize: options?.pieceSize,
    onProgress: options?.onProgress
  })
)
