/**
 * Book-keeping of the key-value cache's blocks. Block 0 is scratch: padding tokens write there.
 *
 * @since 0.1.0
 */

/**
 * Counts how many sequences use each block.
 *
 * @category models
 * @since 0.1.0
 */
export class Blocks {
  readonly #users: Array<number>
  readonly #free: Array<number> = []

  constructor(count: number) {
    this.#users = [1]
    this.grow(count)
  }

  get count(): number {
    return this.#users.length
  }

  get available(): number {
    return this.#free.length
  }

  /** Blocks that sequences hold. */
  get used(): number {
    return this.count - 1 - this.available
  }

  /** Adds blocks until there are `count`. */
  grow(count: number): void {
    for (let block = count - 1; block >= this.#users.length; block--) this.#free.push(block)
    while (this.#users.length < count) this.#users.push(0)
  }

  /** A free block, held once, or `undefined` where there is none. */
  take(): number | undefined {
    const block = this.#free.pop()
    if (block !== undefined) this.#users[block] = 1
    return block
  }

  /** Holds a block once more. */
  share(block: number): void {
    this.#users[block] = (this.#users[block] ?? 0) + 1
  }

  release(block: number): void {
    const users = (this.#users[block] ?? 0) - 1
    this.#users[block] = users
    if (users === 0) this.#free.push(block)
  }
}
