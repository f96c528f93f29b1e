/**
 * Book-keeping of the key-value cache's blocks. Block 0 is scratch: padding tokens write there.
 *
 * @since 0.1.0
 */

/**
 * Counts how many sequences use each block. The lowest free block goes first, so that sequences that grow together lie
 * together in memory, however often blocks have changed hands.
 *
 * @category models
 * @since 0.1.0
 */
export class Blocks {
  readonly #users: Array<number>
  #available = 0
  /** No block below is free. */
  #lowest = 1

  constructor(count: number) {
    this.#users = [1]
    this.grow(count)
  }

  get count(): number {
    return this.#users.length
  }

  get available(): number {
    return this.#available
  }

  /** Blocks that sequences hold. */
  get used(): number {
    return this.count - 1 - this.available
  }

  /** Adds blocks until there are `count`. */
  grow(count: number): void {
    this.#available += Math.max(0, count - this.#users.length)
    while (this.#users.length < count) this.#users.push(0)
  }

  /** A free block, held once, or `undefined` where there is none. */
  take(): number | undefined {
    if (this.#available === 0) return undefined
    let block = this.#lowest
    while (this.#users[block] !== 0) block++
    this.#users[block] = 1
    this.#available--
    this.#lowest = block + 1
    return block
  }

  /** Holds a block once more. */
  share(block: number): void {
    this.#users[block] = (this.#users[block] ?? 0) + 1
  }

  release(block: number): void {
    const users = (this.#users[block] ?? 0) - 1
    this.#users[block] = users
    if (users > 0) return
    this.#available++
    this.#lowest = Math.min(this.#lowest, block)
  }
}
