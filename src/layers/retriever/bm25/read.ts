/**
 * Opens the words of an index file: its arrays into memory, its passages too or from disk as they are needed.
 *
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import type { Document } from "../../../domain/Document.ts"
import { IndexCorrupt, type IndexIo } from "../indexfile/errors.ts"
import type { WordsDescription } from "../indexfile/format.ts"
import { openFile, type OpenOptions } from "../indexfile/read.ts"
import type { Postings } from "./postings.ts"
import { TermTable } from "./terms.ts"

/**
 * An open index.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenIndex {
  readonly description: WordsDescription
  readonly postings: Postings
  /** The passage of a row. It throws when the file has changed behind our back. */
  readonly document: (row: number) => Document
  /** Reads everything once more and compares the checksums, that of the passages included. */
  readonly verify: Effect.Effect<void, IndexCorrupt | IndexIo>
}

/**
 * Opens an index and checks the arrays that it reads. The file stays open until the end of the scope.
 *
 * @category reading
 * @since 0.1.0
 */
export const open = Effect.fn("Bm25Index.open")(function*(
  path: string,
  options?: OpenOptions
): Effect.fn.Return<OpenIndex, IndexCorrupt | IndexIo, Scope.Scope> {
  const { description, documents, load, verify } = yield* openFile(path)
  if (description.kind === "dense") {
    return yield* new IndexCorrupt({ path, reason: "it holds vectors and no words; search it with RetrieverDense" })
  }
  const ints = (name: string) => Effect.map(load(name), (bytes) => new Int32Array(bytes.buffer))
  const floats = (name: string) => Effect.map(load(name), (bytes) => new Float32Array(bytes.buffer))
  const doubles = (name: string) => Effect.map(load(name), (bytes) => new Float64Array(bytes.buffer))
  const postings: Postings = {
    parameters: description.parameters,
    documents: description.documents,
    documentsWithTerms: description.documentsWithTerms,
    tokens: description.tokens,
    terms: new TermTable(yield* load("termBytes"), yield* doubles("termEnds"), yield* ints("termSlots")),
    starts: yield* doubles("starts"),
    rows: yield* ints("rows"),
    frequencies: yield* load("frequencies"),
    large: new Map(zip(yield* doubles("largeAt"), yield* ints("largeFrequencies"))),
    norms: yield* floats("norms"),
    blockStarts: yield* doubles("blockStarts"),
    blockBounds: yield* floats("blockBounds"),
    topBounds: yield* floats("topBounds")
  }
  return { description, postings, document: yield* documents(options), verify }
})

function* zip(keys: Float64Array, values: Int32Array): IterableIterator<readonly [number, number]> {
  for (const [index, key] of keys.entries()) yield [key, values[index] ?? 0]
}
