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
  /** Chunks that make a lane, 0 where chunks are no lanes. */
  readonly lane: number
}

/** Commands that need not wait for each other's other tickets. */
export interface Section {
  readonly commands: ReadonlyArray<Command>
  readonly tickets: number
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

  /**
   * A lane is a range of rows of the batch. Where every number of a call's result depends on the same rows of what was
   * computed before, its chunks are lanes: a thread then takes a lane through all such calls, and nobody waits.
   */
  readonly #rows: number
  readonly #laneRows: number
  /** Calls in front of which all lanes must have arrived. */
  readonly #barriers = new Set<number>()
  readonly #blocks: Blocks
  /** Size of each block, and whether it is in use. */
  readonly #own = new Map<number, { readonly size: number; live: boolean; pinned: boolean }>()
  readonly #free = new Map<number, Array<number>>()

  constructor(blocks: Blocks, rows: number, threads: number) {
    this.#blocks = blocks
    this.#rows = rows
    this.#laneRows = Math.ceil(rows / threads)
  }

  /** How many of `units` rows or elements belong to a lane, undefined where they are not those of the batch. */
  lane(units: number): number | undefined {
    if (this.#laneRows >= this.#rows || units % this.#rows !== 0) return undefined
    return units / this.#rows * this.#laneRows
  }

  /** Says that the next call may read what other lanes have written. */
  barrier(): void {
    this.#barriers.add(this.commands.length)
  }

  /** Whether the computation itself made what is at an address: not so its inputs. */
  made(address: number): boolean {
    return this.#own.get(address)?.pinned === false
  }

  /** All calls in their order. */
  get sections(): ReadonlyArray<Section> {
    const lanes = Math.ceil(this.#rows / Math.max(1, this.#laneRows))
    const sections: Array<{ commands: Array<Command>; tickets: number; lanes: boolean }> = []
    this.commands.forEach((command, i) => {
      const last = sections.at(-1)
      if (command.lane > 0 && last?.lanes === true && !this.#barriers.has(i)) last.commands.push(command)
      else {
        const own = command.lane > 0
        sections.push({ commands: [command], tickets: own ? lanes : command.chunks, lanes: own })
      }
    })
    return sections
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
