/**
 * Conversions between float32 and the 16-bit formats that weights are stored in, bit for bit.
 *
 * @since 0.1.0
 */

const wordsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length)

/**
 * Widens bfloat16 words into `target`, exactly. Both have the same length.
 *
 * @category conversions
 * @since 0.1.0
 */
export const widenBFloat16 = (words: Uint16Array, target: Float32Array): void => {
  const bits = wordsOf(target)
  for (let i = 0; i < words.length; i++) bits[i] = words[i]! << 16
}

/** The float32 word of a float16 word. */
const widenWord = (half: number): number => {
  const sign = (half & 0x8000) << 16
  const exponent = (half >>> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13)
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  if (fraction === 0) return sign
  // A subnormal, `fraction` · 2⁻²⁴, is a normal number in float32.
  const leading = 31 - Math.clz32(fraction)
  return sign | ((leading + 103) << 23) | ((fraction << (23 - leading)) & 0x7fffff)
}

let widened: Uint32Array | undefined

/**
 * Widens float16 words into `target`, exactly. Both have the same length.
 *
 * @category conversions
 * @since 0.1.0
 */
export const widenFloat16 = (words: Uint16Array, target: Float32Array): void => {
  widened ??= Uint32Array.from({ length: 0x10000 }, (_, half) => widenWord(half))
  const bits = wordsOf(target)
  for (let i = 0; i < words.length; i++) bits[i] = widened[words[i]!]!
}

/**
 * Narrows to bfloat16, to the nearest and to even on a tie; a NaN stays a NaN. Values that were bfloat16 keep their
 * bits. `target` has the same length.
 *
 * @category conversions
 * @since 0.1.0
 */
export const narrowToBFloat16 = (values: Float32Array, target: Uint16Array): void => {
  const bits = wordsOf(values)
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!
    if ((word & 0xffff) === 0) target[i] = word >>> 16
    else if ((word & 0x7fffffff) > 0x7f800000) target[i] = (word >>> 16) | 0x40
    else target[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  }
}

/** The float16 word of a float32 word. */
const narrowWord = (word: number): number => {
  const sign = (word >>> 16) & 0x8000
  const magnitude = word & 0x7fffffff
  if (magnitude > 0x7f800000) {
    // A payload that only the low bits hold must not turn into an infinity.
    const payload = (magnitude >>> 13) & 0x3ff
    return sign | 0x7c00 | (payload === 0 ? 0x200 : payload)
  }
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude >= 0x38800000) {
    const rebased = magnitude - (112 << 23)
    return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13)
  }
  if (magnitude <= 0x33000000) return sign
  const shift = 126 - (magnitude >>> 23)
  const significand = (magnitude & 0x7fffff) | 0x800000
  const quotient = significand >>> shift
  const rest = significand & ((1 << shift) - 1)
  const half = 1 << (shift - 1)
  return sign | (rest > half || (rest === half && (quotient & 1) === 1) ? quotient + 1 : quotient)
}

/**
 * Narrows to float16, to the nearest and to even on a tie; beyond 65,504 to infinity, a NaN stays a NaN. Values that
 * were float16 keep their bits. `target` has the same length.
 *
 * @category conversions
 * @since 0.1.0
 */
export const narrowToFloat16 = (values: Float32Array, target: Uint16Array): void => {
  const bits = wordsOf(values)
  for (let i = 0; i < bits.length; i++) target[i] = narrowWord(bits[i]!)
}
