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
 * Numbers terms in order of appearance.
 *
 * @category constructors
 * @since 0.1.0
 */
export class TermTableBuilder {
  private readonly ids = new Map<string, number>()

  idOf(term: string): number {
    const known = this.ids.get(term)
    if (known !== undefined) return known
    const id = this.ids.size
    this.ids.set(term, id)
    return id
  }

  finish(): TermTable {
    let length = 0
    const ends = new Float64Array(this.ids.size)
    const encoded: Array<Uint8Array> = []
    for (const term of this.ids.keys()) {
      const bytes = encoder.encode(term)
      length += bytes.length
      ends[encoded.length] = length
      encoded.push(bytes)
    }
    const bytes = new Uint8Array(length)
    let size = 16
    while (size < 2 * encoded.length) size *= 2
    const slots = new Int32Array(size)
    for (const [id, term] of encoded.entries()) {
      bytes.set(term, (ends[id] ?? 0) - term.length)
      let slot = hashOf(term, 0, term.length) & (size - 1)
      while (slots[slot] !== 0) slot = (slot + 1) & (size - 1)
      slots[slot] = id + 1
    }
    return new TermTable(bytes, ends, slots)
  }
}
