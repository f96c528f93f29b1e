/**
 * What `search-r1 index` says of indexes.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { CliError } from "effect/cli"
import * as EmbedderSpec from "../domain/EmbedderSpec.ts"
import { plural } from "../domain/Plural.ts"
import type { Description } from "../layers/retriever/RetrieverIndex.ts"
import { table } from "./table.ts"
import { userError } from "./userError.ts"

/**
 * Failures as the command line shows them.
 *
 * @category combinators
 * @since 0.1.0
 */
export const friendly = Effect.mapError((error: Error) => CliError.isCliError(error) ? error : userError(error))

/**
 * @category formatting
 * @since 0.1.0
 */
export const count = (value: number): string => Math.round(value).toLocaleString("en-US")

/**
 * @category formatting
 * @since 0.1.0
 */
export const size = (bytes: number): string =>
  bytes < 1e6
    ? `${(bytes / 1e3).toFixed(1)} kB`
    : bytes < 1e9
    ? `${(bytes / 1e6).toFixed(1)} MB`
    : `${(bytes / 1e9).toFixed(2)} GB`

const parts = (heading: string, sizes: ReadonlyArray<readonly [string, number]>): string =>
  table([{ heading }, { heading: "size", align: "right" }], sizes.map(([name, bytes]) => [name, size(bytes)]))

const vectorsLine = (dimensions: number, embedder: EmbedderSpec.EmbedderSpec, index: string): string =>
  `vectors of ${dimensions} dimensions by ${EmbedderSpec.describe(embedder)}, ${index}`

const vectorIndexWords = {
  flat: "compared one by one",
  ivfPq: "clustered and quantized (IVF-PQ)",
  ivfRq: "clustered and quantized to bits (IVF-RQ)",
  hnsw: "in a graph (HNSW-SQ)"
}

const kinds = { bm25: "BM25", dense: "vectors", both: "BM25 and vectors" }

/**
 * The size of an index on disk.
 *
 * @category getters
 * @since 0.1.0
 */
export const bytesOf = (description: Description): number =>
  Object.values(description.kind === "lance" ? description.files : description.sections)
    .reduce((sum, { bytes }) => sum + bytes, 0)

/**
 * An index in words.
 *
 * @category formatting
 * @since 0.1.0
 */
export const describeIndex = (path: string, description: Description): string => {
  const { documents, format, kind } = description
  if (kind === "lance") {
    const { dimensions, fullText, vectors } = description
    const folders = new Map<string, number>()
    for (const [name, { bytes }] of Object.entries(description.files)) {
      const folder = name.split("/")[1] ?? name
      folders.set(folder, (folders.get(folder) ?? 0) + bytes)
    }
    return [
      `${path}: LanceDB, format ${format}`,
      ...(fullText === null ? [] : [`words by BM25 (k1 1.2, b 0.75), title weight ${fullText.titleWeight}`]),
      ...(vectors === null ? [] : [vectorsLine(dimensions, vectors.embedder, vectorIndexWords[vectors.index])]),
      plural(documents, "passage"),
      parts("folder", [...folders])
    ].join("\n")
  }
  const sections = Object.entries(description.sections).map(([name, { bytes }]) => [name, bytes] as const)
  const lines = [`${path}: ${kinds[kind]}, format ${format}`]
  if (kind !== "dense") {
    const { documentsWithTerms, parameters: { analyzer, b, k1, roundLengths, titleWeight }, postings, terms, tokens } =
      description
    lines.push(
      `analyzer ${analyzer}, k1 ${k1}, b ${b}, title weight ${titleWeight}, lengths ${
        roundLengths ? "rounded as Lucene's" : "exact"
      }`,
      `${plural(documents, "passage")}${
        documentsWithTerms < documents ? `, ${count(documents - documentsWithTerms)} without a word, the others` : ""
      } of ${(documentsWithTerms === 0 ? 0 : tokens / documentsWithTerms).toFixed(1)} words, ${
        plural(terms, "term")
      }, ${plural(postings, "posting")}`
    )
  } else lines.push(plural(documents, "passage"))
  if (kind !== "bm25") {
    lines.push(vectorsLine(description.vectors.dimensions, description.vectors.embedder, vectorIndexWords.flat))
  }
  return [...lines, parts("part", sections)].join("\n")
}
