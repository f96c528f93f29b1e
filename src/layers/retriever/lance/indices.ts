/**
 * The indexes that LanceDB is asked for.
 *
 * @since 0.1.0
 */
import { analyze } from "../../../domain/MultilingualAnalyzer.ts"
import * as SearchQuery from "../../../domain/SearchQuery.ts"
import type { VectorIndex } from "./description.ts"
import type { Lance } from "./library.ts"

/**
 * The terms of a text as the index of words is given them: taken apart here, for passages and queries alike.
 *
 * @category analysis
 * @since 0.2.0
 */
export const indexedText = (terms: ReadonlyArray<string>): string => terms.join(" ")

/**
 * What is asked of the index of words for a query. LanceDB reads no operators in it, and no more terms than other engines.
 *
 * @category analysis
 * @since 0.2.0
 */
export const searchedText = (query: string): string => {
  const terms = new Set<string>()
  const kept: Array<string> = []
  for (const term of analyze(query)) {
    if (terms.size >= SearchQuery.mostTerms && !terms.has(term)) continue
    terms.add(term)
    kept.push(term)
  }
  return indexedText(kept)
}

/**
 * Terms that stand between spaces, see {@link indexedText}. Their positions are for phrases, which nobody asks for.
 *
 * @category constructors
 * @since 0.1.0
 */
export const textIndex = ({ Index }: Lance): object =>
  Index.fts({
    withPosition: false,
    baseTokenizer: "whitespace",
    // bytes: a term of 255 characters is 765 at most
    maxTokenLength: 1024,
    lowercase: false,
    stem: false,
    removeStopWords: false,
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
