/**
 * Random numbers by position: number `index` of a stream is a function of the seed and the index alone, so what else is
 * drawn at the same time cannot change it (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
 *
 * @since 0.1.0
 */

/**
 * The key of a stream.
 *
 * @category models
 * @since 0.1.0
 */
export type Key = readonly [number, number]

/**
 * Hashes a seed into a key (MurmurHash3's mixing over two lanes).
 *
 * @category constructors
 * @since 0.1.0
 */
export const key = (seed: string): Key => {
  let a = 0x9e3779b9
  let b = 0x85ebca6b
  for (let i = 0; i < seed.length; i++) {
    const unit = seed.charCodeAt(i)
    a = Math.imul(a ^ unit, 0xcc9e2d51)
    a = (a << 15) | (a >>> 17)
    b = Math.imul(b ^ a ^ unit, 0x1b873593)
    b = (b << 13) | (b >>> 19)
  }
  a = Math.imul(a ^ seed.length ^ (b >>> 16), 0x85ebca6b)
  b = Math.imul(b ^ (a >>> 13), 0xc2b2ae35)
  return [(a ^ (b >>> 15)) >>> 0, (b ^ (a >>> 16)) >>> 0]
}

/** Upper 32 bits of the product of two 32-bit integers. */
const multiplyHigh = (x: number, y: number): number => {
  const x0 = x & 0xffff
  const x1 = x >>> 16
  const y0 = y & 0xffff
  const y1 = y >>> 16
  // All sums are below 2³², where `>>> 0` makes unsigned integers of them again.
  const low = Math.imul(x0, y0) >>> 0
  const middle = (Math.imul(x1, y0) + (low >>> 16)) >>> 0
  const carry = (Math.imul(x0, y1) + (middle & 0xffff)) >>> 0
  return (Math.imul(x1, y1) + (middle >>> 16) + (carry >>> 16)) >>> 0
}

/**
 * A uniform number in [0, 1) with 24 random bits, exact in float32 (Philox-2x32, 10 rounds).
 *
 * @category getters
 * @since 0.1.0
 */
export const uniform = ([key0, key1]: Key, index: number): number => {
  let left = index >>> 0
  let right = key1
  let round = key0
  for (let i = 0; i < 10; i++) {
    const high = multiplyHigh(0xd256d193, left)
    const low = Math.imul(0xd256d193, left)
    left = (high ^ round ^ right) >>> 0
    right = low >>> 0
    round = (round + 0x9e3779b9) >>> 0
  }
  return (left >>> 8) / 0x1000000
}
