/**
 * Vectors of equal length, and the nearest of them.
 *
 * @since 0.1.0
 */
import { Best } from "./best.ts"

/** Rows that are compared before others may have a turn, and that grow at a time. */
const rowsPerPiece = 4096

const isZero = (values: Float32Array, start: number, end: number): boolean => {
  for (let at = start; at < end; at++) if (values[at] !== 0) return false
  return true
}

/**
 * Rows of equal length in pieces, so that growing never copies.
 *
 * @category models
 * @since 0.1.0
 */
export class Matrix {
  private readonly pieces: Array<Float32Array> = []
  rows = 0
  columns = 0

  /** The rows of one array, which is not copied. */
  static of(values: Float32Array, columns: number): Matrix {
    const matrix = new Matrix()
    matrix.columns = columns
    matrix.rows = columns === 0 ? 0 : values.length / columns
    const step = rowsPerPiece * columns
    for (let start = 0; start < values.length; start += step) matrix.pieces.push(values.subarray(start, start + step))
    return matrix
  }

  add(vector: Float32Array): void {
    if (this.rows === 0) this.columns = vector.length
    const row = this.rows % rowsPerPiece
    if (row === 0) this.pieces.push(new Float32Array(rowsPerPiece * this.columns))
    this.pieces.at(-1)?.set(vector, row * this.columns)
    this.rows += 1
  }

  row(row: number): Float32Array {
    const start = row % rowsPerPiece * this.columns
    return this.pieces[Math.floor(row / rowsPerPiece)]?.subarray(start, start + this.columns) ?? new Float32Array()
  }

  /** The rows with the largest dot products; equal ones in row order. Rows of zeros are near to nothing. */
  nearest(query: Float32Array, topK: number): Best {
    const best = new Best(Math.min(topK, this.rows))
    const { columns } = this
    let row = 0
    for (const piece of this.pieces) {
      const end = Math.min(this.rows, row + rowsPerPiece)
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
        const product = even + odd
        if (product === 0 && isZero(piece, offset, offset + columns)) continue
        best.offer(row, Math.fround(product))
      }
    }
    return best
  }
}
