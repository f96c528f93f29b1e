// Vector helpers. `fma` is one instruction where the build has relaxed SIMD, a product and a sum where not.

/**
 * Where the constants of `exp4` lie. As vector constants the compiler would build each anew in every iteration; a
 * broadcast load is one cheap instruction.
 */
const CONSTANTS: usize = 640

/** Writes the constants; every instance does so once, with the same values. */
export function initConstants(): void {
  store<f32>(CONSTANTS, -87.33654)
  store<f32>(CONSTANTS, 88.7228317, 4)
  store<f32>(CONSTANTS, 12582912, 8)
  store<f32>(CONSTANTS, 1.44269504088896341, 12)
  store<f32>(CONSTANTS, -0.693359375, 16)
  store<f32>(CONSTANTS, 2.12194440e-4, 20)
  store<f32>(CONSTANTS, 1.9875691500e-4, 24)
  store<f32>(CONSTANTS, 1.3981999507e-3, 28)
  store<f32>(CONSTANTS, 8.3334519073e-3, 32)
  store<f32>(CONSTANTS, 4.1665795894e-2, 36)
  store<f32>(CONSTANTS, 1.6666665459e-1, 40)
  store<f32>(CONSTANTS, 5.0000001201e-1, 44)
  store<f32>(CONSTANTS, 1, 48)
  store<f32>(CONSTANTS, Infinity, 52)
}

// @ts-ignore: decorator
@inline
function constant(index: usize): v128 {
  return v128.load_splat<f32>(CONSTANTS + index * 4)
}

// @ts-ignore: decorator
@inline
export function fma(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c)
  return f32x4.add(f32x4.mul(a, b), c)
}

/** Sum of the four lanes, pairwise. */
// @ts-ignore: decorator
@inline
export function hsum(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
}

// @ts-ignore: decorator
@inline
export function hmax(v: v128): f32 {
  return max<f32>(
    max<f32>(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    max<f32>(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3))
  )
}

// Pairs of vectors side by side become one 256-bit instruction where V8's revectorizer is on, provided that no store
// comes between them: loops compute both halves first and store both last.

/**
 * e^x in four lanes for x in [-87.3, 88.7]: the argument is reduced by powers of two, the remainder goes through the
 * polynomial of Cephes' expf (relative error below 2e-7).
 */
// @ts-ignore: decorator
@inline
function expWithin(x: v128): v128 {
  const magic = constant(2)
  // Adding 1.5 * 2^23 rounds to an integer n, which then stands in the low bits.
  const shifted = fma(x, constant(3), magic)
  const n = f32x4.sub(shifted, magic)
  let r = fma(n, constant(4), x)
  r = fma(n, constant(5), r)
  let p = constant(6)
  p = fma(p, r, constant(7))
  p = fma(p, r, constant(8))
  p = fma(p, r, constant(9))
  p = fma(p, r, constant(10))
  p = fma(p, r, constant(11))
  p = fma(f32x4.mul(p, r), r, f32x4.add(r, constant(12)))
  // p is in [0.7, 1.42]: adding n to its exponent multiplies by 2^n.
  return i32x4.add(p, i32x4.shl(shifted, 23))
}

/** e^x in four lanes: 0 below -87.3, Infinity above 88.7; NaN stays NaN. */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  // pmin and pmax are one instruction each and let NaN in `x` through.
  const low = constant(0), high = constant(1)
  const y = expWithin(f32x4.pmax(f32x4.pmin(x, high), low))
  return v128.bitselect(constant(13), v128.andnot(y, f32x4.lt(x, low)), f32x4.gt(x, high))
}

/** e^x in four lanes for x up to 0, such as a logit less the largest one: 0 below -87.3. */
// @ts-ignore: decorator
@inline
export function expDown4(x: v128): v128 {
  const low = constant(0)
  return v128.andnot(expWithin(f32x4.pmax(x, low)), f32x4.lt(x, low))
}

/** 1 / (1 + e^-x) in four lanes. */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const one = constant(12)
  const e = expWithin(f32x4.pmax(f32x4.pmin(f32x4.neg(x), constant(1)), constant(0)))
  return f32x4.div(one, f32x4.add(one, e))
}

/** e^x of one number, by the same polynomial as the vectors, so that tails agree with bodies. */
// @ts-ignore: decorator
@inline
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0)
}

/** Natural logarithm of one number, in double precision where it counts little. */
export function log1(x: f32): f32 {
  return <f32>NativeMath.log(<f64>x)
}

/** Loads the first `n` (1..3) floats of an address into the low lanes; the others get `fill`. */
// @ts-ignore: decorator
@inline
export function loadTail(p: usize, n: i32, fill: f32): v128 {
  let v = f32x4.splat(fill)
  v = f32x4.replace_lane(v, 0, load<f32>(p))
  if (n > 1) v = f32x4.replace_lane(v, 1, load<f32>(p, 4))
  if (n > 2) v = f32x4.replace_lane(v, 2, load<f32>(p, 8))
  return v
}

/** Stores the first `n` (1..3) lanes. */
// @ts-ignore: decorator
@inline
export function storeTail(p: usize, v: v128, n: i32): void {
  store<f32>(p, f32x4.extract_lane(v, 0))
  if (n > 1) store<f32>(p, f32x4.extract_lane(v, 1), 4)
  if (n > 2) store<f32>(p, f32x4.extract_lane(v, 2), 8)
}
