/**
 * A computation written down while it runs: its kernel calls with their addresses, so that they can be repeated without
 * JavaScript between them.
 *
 * @since 0.1.0
 */

/** A kernel call. */
export interface Command {
  readonly kernel: number
  readonly chunks: number
  readonly args: ReadonlyArray<number>
}

/** Indices that must stay below a bound whenever the computation is repeated. */
export interface IndexCheck {
  readonly what: string
  readonly address: number
  readonly length: number
  readonly bound: number
}

/** Memory of the kernels as a recording takes it: blocks by address. */
export interface Blocks {
  readonly allocate: (bytes: number) => number
  readonly release: (address: number) => void
}

const rounded = (bytes: number): number => Math.max(64, Math.ceil(bytes / 64) * 64)

/**
 * What is recorded. The blocks that the computation allocates stay its own: what it gives back serves its later
 * allocations of the same size, and nobody else's.
 *
 * @category models
 * @since 0.1.0
 */
export class Recording {
  readonly commands: Array<Command> = []
  readonly checks = new Map<string, IndexCheck>()
  /** What must hold of the inputs for the kernel calls to be the same again. */
  readonly guards: Array<() => boolean> = []
  /** Why the computation cannot be repeated this way. */
  refusal: string | undefined = undefined
  bytes = 0

  readonly #blocks: Blocks
  /** Size of each block, and whether it is in use. */
  readonly #own = new Map<number, { readonly size: number; live: boolean; pinned: boolean }>()
  readonly #free = new Map<number, Array<number>>()

  constructor(blocks: Blocks) {
    this.#blocks = blocks
  }

  allocate(bytes: number): number {
    const size = rounded(bytes)
    const again = this.#free.get(size)?.pop()
    if (again !== undefined) {
      this.#own.get(again)!.live = true
      return again
    }
    const address = this.#blocks.allocate(size)
    if (address !== 0) {
      this.#own.set(address, { size, live: true, pinned: false })
      this.bytes += size
    }
    return address
  }

  /** Takes a block back; false where it is not the recording's. */
  release(address: number): boolean {
    const block = this.#own.get(address)
    if (block === undefined) return false
    block.live = false
    if (block.pinned) return true
    const same = this.#free.get(block.size)
    if (same === undefined) this.#free.set(block.size, [address])
    else same.push(address)
    return true
  }

  /** Keeps what is in a block for all repetitions: it is never used for anything else. */
  pin(address: number): void {
    const block = this.#own.get(address)
    if (block !== undefined) block.pinned = true
  }

  refuse(reason: string): void {
    this.refusal ??= reason
  }

  check(check: IndexCheck): void {
    this.checks.set(`${check.address} ${check.length} ${check.bound}`, check)
  }

  /** Whether a block is still in use by a tensor that outlives the computation. */
  get escaped(): boolean {
    for (const { live } of this.#own.values()) if (live) return true
    return false
  }

  /** Gives all blocks back that no tensor uses any more; the others are left to whoever disposes of their tensors. */
  abandon(): void {
    for (const [address, { live }] of this.#own) if (!live) this.#blocks.release(address)
    this.#own.clear()
    this.#free.clear()
  }
}
