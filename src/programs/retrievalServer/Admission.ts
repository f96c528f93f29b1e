/**
 * How much a server takes on at once.
 *
 * @since 0.2.0
 */

/**
 * Work that was admitted, and how fast it goes: what a refused client is told to wait follows from both.
 *
 * @category models
 * @since 0.2.0
 */
export class Admission {
  pending = 0
  private perSecond = 0
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  /** A request that is larger than the limit gets in when nobody else is there. */
  admit(amount: number): boolean {
    if (this.pending > 0 && this.pending + amount > this.limit) return false
    this.pending += amount
    return true
  }

  release(amount: number, seconds: number): void {
    const concurrent = this.pending
    this.pending -= amount
    const rate = concurrent / Math.max(1e-3, seconds)
    this.perSecond = this.perSecond === 0 ? rate : 0.9 * this.perSecond + 0.1 * rate
  }

  retryAfterSeconds(): number {
    return Math.min(60, Math.max(1, Math.ceil(this.pending / Math.max(1, this.perSecond))))
  }
}
