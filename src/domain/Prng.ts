/**
 * Pseudo-random numbers from a string seed, for decisions that a run must be able to repeat.
 *
 * A seed names one unit of work (`run/step/what`), so that results do not depend on what else runs at the same time or
 * on what a resumed run has already done.
 *
 * @since 0.1.0
 */

/**
 * A generator: every call advances it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Prng {
  /** A uniform integer in [0, 2^32). */
  readonly uint32: () => number
  /** A uniform number in [0, 1) with 53 random bits. */
  readonly float: () => number
  /** A uniform integer in [0, `bound`), without modulo bias, for `bound` up to 2^32. */
  readonly below: (bound: number) => number
}

/** The 128-bit hash of a string that seeds the generator (cyrb128). */
const hash = (text: string): readonly [number, number, number, number] => {
  let a = 1779033703
  let b = 3144134277
  let c = 1013904242
  let d = 2773480762
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    a = b ^ Math.imul(a ^ unit, 597399067)
    b = c ^ Math.imul(b ^ unit, 2869860233)
    c = d ^ Math.imul(c ^ unit, 951274213)
    d = a ^ Math.imul(d ^ unit, 2716044179)
  }
  a = Math.imul(c ^ (a >>> 18), 597399067)
  b = Math.imul(d ^ (b >>> 22), 2869860233)
  c = Math.imul(a ^ (c >>> 17), 951274213)
  d = Math.imul(b ^ (d >>> 19), 2716044179)
  a ^= b ^ c ^ d
  return [a, b ^ a, c ^ a, d ^ a]
}

/**
 * The generator of a seed: sfc32 (Doty-Humphrey's Small Fast Chaotic generator), period at least 2^32.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (seed: string): Prng => {
  let [a, b, c, d] = hash(seed)
  const uint32 = (): number => {
    const t = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + t) | 0
    return t >>> 0
  }
  for (let round = 0; round < 12; round++) uint32()
  const float = (): number => ((uint32() >>> 5) * 67108864 + (uint32() >>> 6)) / 9007199254740992
  const below = (bound: number): number => {
    const limit = 4294967296 - (4294967296 % bound)
    let draw = uint32()
    while (draw >= limit) draw = uint32()
    return draw % bound
  }
  return { uint32, float, below }
}

/**
 * A copy of `values` in random order (Fisher and Yates); every permutation is equally likely.
 *
 * @category combinators
 * @since 0.1.0
 */
export const shuffle = <A>(prng: Prng, values: ReadonlyArray<A>): Array<A> => {
  const shuffled = values.slice()
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = prng.below(last + 1)
    const [moved, kept] = [shuffled[other], shuffled[last]]
    if (moved !== undefined) shuffled[last] = moved
    if (kept !== undefined) shuffled[other] = kept
  }
  return shuffled
}
