/**
 * The best rows of an index, as they are found.
 *
 * @since 0.1.0
 */

/**
 * A row of the index with its score.
 *
 * @category models
 * @since 0.1.0
 */
export interface Hit {
  readonly row: number
  readonly score: number
}

/**
 * The best hits so far, in a heap with the worst of them on top: lowest score, and of equal ones the highest row.
 *
 * @category models
 * @since 0.1.0
 */
export class Best {
  private readonly rows: Int32Array
  private readonly scores: Float32Array
  private size = 0
  /** No passage below this score can be among the best. */
  threshold: number

  constructor(capacity: number, guaranteed = Number.NEGATIVE_INFINITY) {
    this.rows = new Int32Array(capacity)
    this.scores = new Float32Array(capacity)
    this.threshold = guaranteed
  }

  private worse(a: number, b: number): boolean {
    const scoreA = this.scores[a] ?? 0
    const scoreB = this.scores[b] ?? 0
    return scoreA < scoreB || (scoreA === scoreB && (this.rows[a] ?? 0) > (this.rows[b] ?? 0))
  }

  private swap(a: number, b: number): void {
    const row = this.rows[a] ?? 0
    const score = this.scores[a] ?? 0
    this.rows[a] = this.rows[b] ?? 0
    this.scores[a] = this.scores[b] ?? 0
    this.rows[b] = row
    this.scores[b] = score
  }

  offer(row: number, score: number): void {
    const capacity = this.rows.length
    if (this.size < capacity) {
      let child = this.size++
      this.rows[child] = row
      this.scores[child] = score
      while (child > 0) {
        const parent = (child - 1) >> 1
        if (!this.worse(child, parent)) break
        this.swap(child, parent)
        child = parent
      }
    } else {
      const worst = this.scores[0] ?? 0
      if (score < worst || (score === worst && row > (this.rows[0] ?? 0))) return
      this.rows[0] = row
      this.scores[0] = score
      this.sink()
    }
    if (this.size === capacity) this.threshold = Math.max(this.threshold, this.scores[0] ?? 0)
  }

  private sink(): void {
    let parent = 0
    while (true) {
      let child = 2 * parent + 1
      if (child >= this.size) return
      if (child + 1 < this.size && this.worse(child + 1, child)) child += 1
      if (!this.worse(child, parent)) return
      this.swap(child, parent)
      parent = child
    }
  }

  hits(): ReadonlyArray<Hit> {
    const hits: Array<Hit> = []
    for (let index = 0; index < this.size; index++) {
      hits.push({ row: this.rows[index] ?? 0, score: this.scores[index] ?? 0 })
    }
    return hits.sort((a, b) => b.score - a.score || a.row - b.row)
  }
}
