/**
 * Dense retrieval inside this process: every passage is compared with the query (what FAISS calls a flat index).
 *
 * @since 0.1.0
 */
import { Effect, Layer, Stream } from "effect"
import { contents, type Document } from "../../domain/Document.ts"
import * as ProbePassages from "../../domain/ProbePassages.ts"
import { Embedder } from "../../services/Embedder.ts"
import { Retriever, type RetrieverError, RetrieverFailed, RetrieverUnexpectedShape } from "../../services/Retriever.ts"
import { type EmbedderMismatch, IndexCorrupt, type IndexIo } from "./indexfile/errors.ts"
import { openFile, type OpenOptions } from "./indexfile/read.ts"
import { Matrix } from "./matrix.ts"
import * as StoredVectors from "./storedVectors.ts"

export { EmbedderMismatch, IndexCorrupt, IndexIo } from "./indexfile/errors.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Passages embedded in one call. Default 256. */
  readonly batchSize?: number | undefined
  /** Told the number of passages after each batch. */
  readonly onProgress?: ((documents: number) => Effect.Effect<void>) | undefined
}

/**
 * Embeds the passages once and compares each with a query's vector; the score is the cosine. Passages and vectors are
 * held in memory (4 bytes a dimension): for corpora of up to some hundred thousand passages. A query without anything in
 * it finds nothing.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <E, R>(
  documents: Stream.Stream<Document, E, R>,
  options?: Options
): Layer.Layer<Retriever, E | RetrieverError, R | Embedder> =>
  Layer.effect(
    Retriever,
    Effect.gen(function*() {
      const embedder = yield* Embedder
      const name = `RetrieverDense(${embedder.name})`
      const corpus: Array<Document> = []
      const matrix = new Matrix()
      yield* documents.pipe(
        Stream.grouped(options?.batchSize ?? 256),
        Stream.runForEach(Effect.fnUntraced(function*(batch) {
          const vectors = yield* embedder.passages(batch.map(contents))
          for (const [index, document] of batch.entries()) {
            const vector = vectors[index]
            if (vector === undefined || (matrix.rows > 0 && vector.length !== matrix.columns)) {
              return yield* wrongSize(name, vector?.length ?? 0, matrix.columns)
            }
            matrix.add(vector)
            corpus.push(document)
          }
          yield* options?.onProgress?.(corpus.length) ?? Effect.void
        }))
      )

      return make(name, embedder, matrix, (row) => corpus[row])
    })
  )

const make = (
  name: string,
  embedder: Embedder["Service"],
  matrix: Matrix,
  document: (row: number) => Document | undefined
): Retriever["Service"] =>
  Retriever.fromSearchMany(
    name,
    Effect.fn("RetrieverDense.searchMany")(function*(queries, { topK }) {
      if (queries.length === 0 || topK <= 0 || matrix.rows === 0) return queries.map(() => [])
      const vectors = yield* embedder.queries(queries)
      return yield* Effect.forEach(
        queries,
        Effect.fnUntraced(function*(_, index) {
          const vector = vectors[index]
          if (vector?.length !== matrix.columns) return yield* wrongSize(name, vector?.length ?? 0, matrix.columns)
          if (vector.every((value) => value === 0)) return []
          const hits = matrix.nearest(vector, topK).hits()
          yield* Effect.yieldNow
          return yield* Effect.try({
            try: () =>
              hits.flatMap(({ row, score }) => {
                const found = document(row)
                return found === undefined ? [] : [{ ...found, score }]
              }),
            catch: (cause) => new RetrieverFailed({ retriever: name, cause })
          })
        })
      )
    })
  )

const wrongSize = (retriever: string, size: number, expected: number) =>
  new RetrieverUnexpectedShape({ retriever, reason: `a vector of ${size} dimensions among ${expected}` })

/**
 * Searches the vectors of an index file that `search-r1 index build --engine dense` (or `both`) made; they are held in
 * memory. The embedder must be that of the passages: it embeds some of them again on opening, and another one is refused.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerIndex = (
  path: string,
  options?: OpenOptions
): Layer.Layer<Retriever, IndexCorrupt | IndexIo | EmbedderMismatch | RetrieverError, Embedder> =>
  Layer.effect(
    Retriever,
    Effect.gen(function*() {
      const embedder = yield* Embedder
      const { description, documents, load } = yield* openFile(path)
      if (description.kind === "bm25") {
        return yield* new IndexCorrupt({ path, reason: "it holds words and no vectors; build it with an embedder" })
      }
      const values = new Float32Array((yield* load("vectors")).buffer)
      const matrix = Matrix.of(values, description.vectors.dimensions)
      if (matrix.rows !== description.documents) {
        return yield* new IndexCorrupt({
          path,
          reason: `it holds ${matrix.rows} vectors for ${description.documents} passages`
        })
      }
      const document = yield* documents(options)
      const { probes = yield* probesOf(matrix.rows, document), ...recorded } = description.vectors
      yield* StoredVectors.expectEmbedder(
        StoredVectors.recorded(path, description.kind, recorded),
        embedder,
        probes.filter((row) => row < matrix.rows).map((row) => ({
          text: contents(document(row)),
          vector: matrix.row(row)
        }))
      )
      return make(`RetrieverDense(${embedder.name})`, embedder, matrix, document)
    })
  )

/** Passages of an index without probes that are looked at: all of as many as fit in memory. */
const mostLookedAt = 500_000

/** The rows by which the embedder of an index is known again that names none. */
const probesOf = Effect.fnUntraced(function*(rows: number, document: (row: number) => Document) {
  const chooser = new ProbePassages.Chooser()
  const step = Math.max(1, Math.ceil(rows / mostLookedAt))
  for (let row = 0, looked = 0; row < rows; row += step, looked++) {
    chooser.offer(row, contents(document(row)))
    if (looked % 4096 === 4095) yield* Effect.yieldNow
  }
  return chooser.rows()
})
