/**
 * The indexes that LanceDB is asked for.
 *
 * @since 0.1.0
 */
import type { VectorIndex } from "./description.ts"
import type { Lance } from "./library.ts"

/**
 * English words as RetrieverBm25 takes them: lower case, stems, no stop words. Word positions are for phrases, which
 * nobody asks for.
 *
 * @category constructors
 * @since 0.1.0
 */
export const textIndex = ({ Index }: Lance): object =>
  Index.fts({
    withPosition: false,
    baseTokenizer: "simple",
    language: "English",
    lowercase: true,
    stem: true,
    removeStopWords: true,
    asciiFolding: false
  })

/** The largest number of equal parts of at least 8 dimensions. */
const parts = (dimensions: number): number => {
  for (let count = Math.max(1, Math.floor(dimensions / 8)); count > 1; count--) {
    if (dimensions % count === 0) return count
  }
  return 1
}

/**
 * An index over vectors. Cosine throughout: with `dot` LanceDB's graph finds next to nothing, and with `l2` passages
 * without a word are near to everything.
 *
 * @category constructors
 * @since 0.1.0
 */
export const vectorIndex = (
  { Index }: Lance,
  kind: Exclude<VectorIndex, "flat">,
  { dimensions, documents }: { readonly dimensions: number; readonly documents: number }
): object => {
  const distanceType = "cosine"
  switch (kind) {
    case "ivfPq":
      return Index.ivfPq({ distanceType, numSubVectors: parts(dimensions) })
    case "ivfRq":
      return Index.ivfRq({ distanceType })
    case "hnsw":
      return Index.hnswSq({
        distanceType,
        numPartitions: Math.max(1, Math.round(documents / 1_000_000)),
        m: 24,
        efConstruction: 200
      })
  }
}
