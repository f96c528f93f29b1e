/**
 * Terms to numbers, in flat arrays that a file can hold as they are.
 *
 * @since 0.1.0
 */

const encoder = new TextEncoder()

/** FNV-1a over bytes. */
const hashOf = (bytes: Uint8Array, start: number, end: number): number => {
  let hash = 0x811c9dc5
  for (let index = start; index < end; index++) hash = Math.imul(hash ^ (bytes[index] ?? 0), 0x01000193)
  return hash >>> 0
}

/**
 * An open-addressing hash table: `slots` holds number + 1 of a term, or 0. The bytes (UTF-8) of term `t` are
 * `ends[t - 1]` to `ends[t]` of `bytes`.
 *
 * @category models
 * @since 0.1.0
 */
export class TermTable {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly ends: Float64Array<ArrayBuffer>
  readonly slots: Int32Array<ArrayBuffer>
  private readonly scratch = new Uint8Array(3 * 256)

  constructor(bytes: Uint8Array<ArrayBuffer>, ends: Float64Array<ArrayBuffer>, slots: Int32Array<ArrayBuffer>) {
    this.bytes = bytes
    this.ends = ends
    this.slots = slots
  }

  get size(): number {
    return this.ends.length
  }

  /** The number of a term, or -1. */
  lookup(term: string): number {
    const { bytes, ends, scratch, slots } = this
    const { read, written } = encoder.encodeInto(term, scratch)
    if (read < term.length) return -1
    const mask = slots.length - 1
    for (let slot = hashOf(scratch, 0, written) & mask;; slot = (slot + 1) & mask) {
      const id = (slots[slot] ?? 0) - 1
      if (id < 0) return -1
      const start = id === 0 ? 0 : ends[id - 1] ?? 0
      if ((ends[id] ?? 0) - start !== written) continue
      let index = 0
      while (index < written && bytes[start + index] === scratch[index]) index += 1
      if (index === written) return id
    }
  }
}

/**
 * Numbers terms in order of appearance. It keeps their bytes and none of the strings, which would keep the texts that they
 * are parts of.
 *
 * @category constructors
 * @since 0.1.0
 */
export class TermTableBuilder {
  private bytes = new Uint8Array(1 << 12)
  private ends = new Float64Array(1 << 8)
  private slots = new Int32Array(16)
  private scratch = new Uint8Array(3 * 256)
  private count = 0
  private used = 0

  get size(): number {
    return this.count
  }

  idOf(term: string): number {
    const written = this.encode(term)
    const { scratch, slots } = this
    const mask = slots.length - 1
    let slot = hashOf(scratch, 0, written) & mask
    for (;; slot = (slot + 1) & mask) {
      const id = (slots[slot] ?? 0) - 1
      if (id < 0) break
      if (this.isTerm(id, written)) return id
    }
    return this.add(slot, written)
  }

  /** Puts the bytes of a term into the scratch and gives their number. */
  private encode(term: string): number {
    if (3 * term.length > this.scratch.length) this.scratch = new Uint8Array(3 * term.length)
    const { scratch } = this
    for (let index = 0; index < term.length; index++) {
      const code = term.charCodeAt(index)
      if (code > 0x7f) return encoder.encodeInto(term, scratch).written
      scratch[index] = code
    }
    return term.length
  }

  private isTerm(id: number, length: number): boolean {
    const { bytes, ends, scratch } = this
    const start = id === 0 ? 0 : ends[id - 1] ?? 0
    if ((ends[id] ?? 0) - start !== length) return false
    let index = 0
    while (index < length && bytes[start + index] === scratch[index]) index += 1
    return index === length
  }

  private add(slot: number, length: number): number {
    const id = this.count++
    while (this.used + length > this.bytes.length) this.bytes = doubled(this.bytes, (size) => new Uint8Array(size))
    if (id === this.ends.length) this.ends = doubled(this.ends, (size) => new Float64Array(size))
    this.bytes.set(this.scratch.subarray(0, length), this.used)
    this.used += length
    this.ends[id] = this.used
    this.slots[slot] = id + 1
    // never more than half full
    if (2 * (this.count + 1) > this.slots.length) this.slots = this.hashed(2 * this.slots.length)
    return id
  }

  private hashed(size: number): Int32Array<ArrayBuffer> {
    const slots = new Int32Array(size)
    let start = 0
    for (let id = 0; id < this.count; id++) {
      const end = this.ends[id] ?? 0
      let slot = hashOf(this.bytes, start, end) & (size - 1)
      while (slots[slot] !== 0) slot = (slot + 1) & (size - 1)
      slots[slot] = id + 1
      start = end
    }
    return slots
  }

  finish(): TermTable {
    return new TermTable(this.bytes.slice(0, this.used), this.ends.slice(0, this.count), this.slots.slice())
  }
}

const doubled = <A extends Uint8Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(
  array: A,
  allocate: (size: number) => A
): A => {
  const larger = allocate(2 * array.length)
  larger.set(array)
  return larger
}
