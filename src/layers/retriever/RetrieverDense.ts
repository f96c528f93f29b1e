/**
 * Dense retrieval inside this process: every passage is compared with the query (what FAISS calls a flat index).
 *
 * @since 0.1.0
 */
import { Effect, Layer, Stream } from "effect"
import { contents, type Document } from "../../domain/Document.ts"
import { Embedder } from "../../services/Embedder.ts"
import { Retriever, type RetrieverError, RetrieverUnexpectedShape } from "../../services/Retriever.ts"
import { Best } from "./best.ts"

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

/** Rows of equal length in pieces, so that growing never copies. */
class Matrix {
  private readonly pieces: Array<Float32Array> = []
  private readonly rowsPerPiece = 4096
  rows = 0
  columns = 0

  add(vector: Float32Array): void {
    if (this.rows === 0) this.columns = vector.length
    const row = this.rows % this.rowsPerPiece
    if (row === 0) this.pieces.push(new Float32Array(this.rowsPerPiece * this.columns))
    this.pieces.at(-1)?.set(vector, row * this.columns)
    this.rows += 1
  }

  /** The rows with the largest dot products; equal ones in row order. */
  nearest(query: Float32Array, topK: number): Best {
    const best = new Best(Math.min(topK, this.rows))
    const { columns } = this
    let row = 0
    for (const piece of this.pieces) {
      const end = Math.min(this.rows, row + this.rowsPerPiece)
      for (let offset = 0; row < end; row++, offset += columns) {
        let even = 0
        let odd = 0
        let column = 0
        // two sums run at once: one would wait for itself at every addition
        for (; column + 1 < columns; column += 2) {
          even += (piece[offset + column] ?? 0) * (query[column] ?? 0)
          odd += (piece[offset + column + 1] ?? 0) * (query[column + 1] ?? 0)
        }
        if (column < columns) even += (piece[offset + column] ?? 0) * (query[column] ?? 0)
        best.offer(row, Math.fround(even + odd))
      }
    }
    return best
  }
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
      const wrongSize = (size: number) =>
        new RetrieverUnexpectedShape({
          retriever: name,
          reason: `a vector of ${size} dimensions among ${matrix.columns}`
        })

      yield* documents.pipe(
        Stream.grouped(options?.batchSize ?? 256),
        Stream.runForEach(Effect.fnUntraced(function*(batch) {
          const vectors = yield* embedder.passages(batch.map(contents))
          for (const [index, document] of batch.entries()) {
            const vector = vectors[index]
            if (vector === undefined || (matrix.rows > 0 && vector.length !== matrix.columns)) {
              return yield* wrongSize(vector?.length ?? 0)
            }
            matrix.add(vector)
            corpus.push(document)
          }
          yield* options?.onProgress?.(corpus.length) ?? Effect.void
        }))
      )

      return Retriever.fromSearchMany(
        name,
        Effect.fn("RetrieverDense.searchMany")(function*(queries, { topK }) {
          if (queries.length === 0 || topK <= 0 || matrix.rows === 0) return queries.map(() => [])
          const vectors = yield* embedder.queries(queries)
          return yield* Effect.forEach(
            queries,
            Effect.fnUntraced(function*(_, index) {
              const vector = vectors[index]
              if (vector?.length !== matrix.columns) return yield* wrongSize(vector?.length ?? 0)
              if (vector.every((value) => value === 0)) return []
              const hits = matrix.nearest(vector, topK).hits()
              yield* Effect.yieldNow
              return hits.flatMap(({ row, score }) => {
                const document = corpus[row]
                return document === undefined ? [] : [{ ...document, score }]
              })
            })
          )
        })
      )
    })
  )
