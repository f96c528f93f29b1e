/**
 * Pseudo-random permutations of the integers below a bound that need no memory: how a world of a million names has no
 * name twice and can still tell the name of any entity at once.
 *
 * @since 0.1.0
 */
import type { Prng } from "../Prng.ts"

/**
 * A permutation of the integers in [0, `size`).
 *
 * @category models
 * @since 0.1.0
 */
export interface Permutation {
  readonly size: number
  readonly at: (index: number) => number
  /** The index that {@link Permutation.at} maps to `value`. */
  readonly indexOf: (value: number) => number
}

const rounds = 4

/** The finalizer of MurmurHash3: every bit of the input changes half the bits of the result. */
const mix = (value: number): number => {
  let hash = value ^ (value >>> 16)
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/**
 * A Feistel network of four rounds over the next power of four, walked until it lands below `size` (Black and Rogaway,
 * "Ciphers with arbitrary finite domains", 2002: at most four steps on average). `size` is at most 2^32.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (prng: Prng, size: number): Permutation => {
  let bits = 1
  while (4 ** bits < size) bits++
  const mask = 2 ** bits - 1
  const keys = Array.from({ length: rounds }, () => prng.uint32())
  const walk = (order: ReadonlyArray<number>, start: number): number => {
    let value = start
    do {
      let left = value >>> bits
      let right = value & mask
      for (let round = 0; round < rounds; round++) {
        const next = left ^ (mix(right ^ (order[round] ?? 0)) & mask)
        left = right
        right = next
      }
      // the halves change places once more, so that the keys in reverse undo the network
      value = ((right << bits) | left) >>> 0
    } while (value >= size)
    return value
  }
  const backwards = keys.toReversed()
  return { size, at: (index) => walk(keys, index), indexOf: (value) => walk(backwards, value) }
}
