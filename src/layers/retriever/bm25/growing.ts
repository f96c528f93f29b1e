/**
 * Typed arrays that grow by pieces, so that growing never copies.
 *
 * @since 0.1.0
 */

/**
 * Numbers in a piece.
 *
 * @category constants
 * @since 0.1.0
 */
export const pieceSize: number = 1 << 16

/**
 * @category models
 * @since 0.1.0
 */
export class Growing<A extends Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer> | Float64Array<ArrayBuffer>> {
  readonly pieces: Array<A> = []
  private readonly allocate: (size: number) => A
  private current: A | undefined
  /** Pieces before the current one. */
  private full = 0
  private filled = pieceSize

  constructor(allocate: (size: number) => A) {
    this.allocate = allocate
  }

  get length(): number {
    return this.current === undefined ? 0 : this.full * pieceSize + this.filled
  }

  push(value: number): void {
    if (this.current === undefined || this.filled === pieceSize) this.begin()
    if (this.current !== undefined) this.current[this.filled++] = value
  }

  private begin(): void {
    if (this.current !== undefined) this.full += 1
    let next = this.pieces[this.full]
    if (next === undefined) {
      next = this.allocate(pieceSize)
      this.pieces.push(next)
    }
    this.current = next
    this.filled = 0
  }

  /** Forgets the numbers and keeps the memory. */
  clear(): void {
    this.current = undefined
    this.full = 0
    this.filled = pieceSize
  }

  get(index: number): number {
    return this.pieces[Math.floor(index / pieceSize)]?.[index % pieceSize] ?? 0
  }

  /** How many numbers a piece holds. */
  lengthOf(piece: number): number {
    return Math.max(0, Math.min(pieceSize, this.length - piece * pieceSize))
  }

  forEach(visit: (value: number, index: number) => void): void {
    let index = 0
    for (const [at, piece] of this.pieces.entries()) {
      const length = this.lengthOf(at)
      for (let offset = 0; offset < length; offset++) visit(piece[offset] ?? 0, index++)
    }
  }
}
