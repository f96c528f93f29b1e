/**
 * The allocator of a device's memory: two-level segregated fit (Masmano, Ripoll, Crespo and Real 2004). Constant time,
 * neighbours merge at once, and a request takes the smallest fitting class, so that little is lost to fragmentation.
 * Its books are kept outside the memory that it hands out.
 *
 * @since 0.1.0
 */

const alignment = 64
const secondLevelBits = 4
const secondLevel = 1 << secondLevelBits
const classes = 32 * secondLevel

interface Block {
  address: number
  size: number
  free: boolean
  /** Neighbours in memory. */
  before: Block | undefined
  after: Block | undefined
  /** Neighbours in the free list of its class. */
  previous: Block | undefined
  next: Block | undefined
}

/** Units of 64 bytes a size takes. */
const units = (bytes: number): number => Math.max(1, Math.ceil(bytes / alignment))

/** The class of a free block: all blocks in it are at least as large as its lower bound. */
const classOf = (size: number): number => {
  if (size < secondLevel) return size
  const first = 31 - Math.clz32(size)
  return (first - secondLevelBits + 1) * secondLevel + ((size >>> (first - secondLevelBits)) & (secondLevel - 1))
}

/** The first class whose every block can hold `size`. */
const classFor = (size: number): number => {
  if (size < secondLevel) return size
  const first = 31 - Math.clz32(size)
  return classOf(size + (1 << (first - secondLevelBits)) - 1)
}

/**
 * Memory from `begin` on. `grow` is asked for more bytes at the end and says how many it gave (0: none).
 *
 * @category models
 * @since 0.1.0
 */
export class Heap {
  /** Bytes handed out, rounded up to 64 a block. */
  liveBytes = 0
  /** The most that `liveBytes` has been. */
  peakBytes = 0
  /** Blocks handed out. */
  liveBlocks = 0
  /** First address behind the memory that the heap manages. */
  end: number

  readonly #grow: (bytes: number) => number
  readonly #used = new Map<number, Block>()
  readonly #free: Array<Block | undefined> = Array.from({ length: classes }, () => undefined)
  /** Bit i of word w: class 32 w + i has a free block. */
  readonly #occupied = new Uint32Array(classes / 32)
  #last: Block | undefined = undefined

  constructor(begin: number, end: number, grow: (bytes: number) => number) {
    this.end = begin
    this.#grow = grow
    if (end > begin) this.#extend(end - begin)
  }

  /** The address of a block of at least `bytes`, aligned to 64, or 0 where there is no more memory. */
  allocate(bytes: number): number {
    const size = units(bytes)
    let block = this.#take(size)
    if (block === undefined) {
      const tail = this.#last?.free === true ? this.#last.size : 0
      const given = this.#grow((size - tail) * alignment)
      if (given === 0) return 0
      this.#extend(given)
      block = this.#take(size)
      if (block === undefined) return 0
    }
    this.#used.set(block.address, block)
    this.liveBytes += block.size * alignment
    this.liveBlocks++
    if (this.liveBytes > this.peakBytes) this.peakBytes = this.liveBytes
    return block.address
  }

  /** Gives a block back. */
  release(address: number): void {
    let block = this.#used.get(address)
    if (block === undefined) throw new RangeError(`no block is allocated at address ${address}`)
    this.#used.delete(address)
    this.liveBytes -= block.size * alignment
    this.liveBlocks--
    const { after, before } = block
    if (after?.free === true) {
      this.#unlink(after)
      this.#absorb(block, after)
    }
    if (before?.free === true) {
      this.#unlink(before)
      this.#absorb(before, block)
      block = before
    }
    this.#link(block)
  }

  /** The largest block that can be had without growing, in bytes. */
  largestFree(): number {
    let largest = 0
    for (let block = this.#last; block !== undefined; block = block.before) {
      if (block.free && block.size > largest) largest = block.size
    }
    return largest * alignment
  }

  #absorb(block: Block, after: Block): void {
    block.size += after.size
    block.after = after.after
    if (after.after === undefined) this.#last = block
    else after.after.before = block
  }

  #extend(bytes: number): void {
    const size = Math.floor(bytes / alignment)
    const last = this.#last
    if (last?.free === true) {
      this.#unlink(last)
      last.size += size
      this.#link(last)
    } else {
      const block: Block = {
        address: this.end,
        size,
        free: true,
        before: last,
        after: undefined,
        previous: undefined,
        next: undefined
      }
      if (last !== undefined) last.after = block
      this.#last = block
      this.#link(block)
    }
    this.end += size * alignment
  }

  #link(block: Block): void {
    const index = classOf(block.size)
    const head = this.#free[index]
    block.free = true
    block.previous = undefined
    block.next = head
    if (head !== undefined) head.previous = block
    this.#free[index] = block
    this.#occupied[index >>> 5]! |= 1 << (index & 31)
  }

  #unlink(block: Block): void {
    const { next, previous } = block
    if (next !== undefined) next.previous = previous
    if (previous !== undefined) previous.next = next
    else {
      const index = classOf(block.size)
      this.#free[index] = next
      if (next === undefined) this.#occupied[index >>> 5]! &= ~(1 << (index & 31))
    }
    block.free = false
  }

  /** The first free block of class `from` or above. */
  #find(from: number): Block | undefined {
    let word = from >>> 5
    let bits = (this.#occupied[word] ?? 0) & (-1 << (from & 31))
    while (bits === 0) {
      word++
      if (word >= this.#occupied.length) return undefined
      bits = this.#occupied[word] ?? 0
    }
    return this.#free[word * 32 + 31 - Math.clz32(bits & -bits)]
  }

  #take(size: number): Block | undefined {
    // The block's own class may hold an exact fit, the common case of a training loop that repeats its shapes.
    const own = this.#free[classOf(size)]
    const block = own !== undefined && own.size >= size ? own : this.#find(classFor(size))
    if (block === undefined) return undefined
    this.#unlink(block)
    if (block.size > size) {
      const rest: Block = {
        address: block.address + size * alignment,
        size: block.size - size,
        free: true,
        before: block,
        after: block.after,
        previous: undefined,
        next: undefined
      }
      if (block.after === undefined) this.#last = rest
      else block.after.before = rest
      block.after = rest
      block.size = size
      this.#link(rest)
    }
    return block
  }
}
