// Vector helpers. `fma` is one instruction where the build has relaxed SIMD, a product and a sum where not.

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

/**
 * e^x in four lanes: the argument is reduced by powers of two, the remainder goes through the polynomial of Cephes'
 * expf (relative error below 2e-7). 0 below -87.3, Infinity above 88.7; NaN stays NaN.
 */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const clamped = f32x4.min(f32x4.max(x, f32x4.splat(-87.33654)), f32x4.splat(88.3762626647949))
  const n = f32x4.nearest(f32x4.mul(clamped, f32x4.splat(1.44269504088896341)))
  let r = fma(n, f32x4.splat(-0.693359375), clamped)
  r = fma(n, f32x4.splat(2.12194440e-4), r)
  let p = f32x4.splat(1.9875691500e-4)
  p = fma(p, r, f32x4.splat(1.3981999507e-3))
  p = fma(p, r, f32x4.splat(8.3334519073e-3))
  p = fma(p, r, f32x4.splat(4.1665795894e-2))
  p = fma(p, r, f32x4.splat(1.6666665459e-1))
  p = fma(p, r, f32x4.splat(5.0000001201e-1))
  p = fma(f32x4.mul(p, r), r, f32x4.add(r, f32x4.splat(1)))
  const scale = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23)
  const y = f32x4.mul(p, scale)
  const low = v128.andnot(y, f32x4.lt(x, f32x4.splat(-87.33654)))
  return v128.bitselect(f32x4.splat(Infinity), low, f32x4.gt(x, f32x4.splat(88.722839)))
}

/** 1 / (1 + e^-x) in four lanes. */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1)
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))))
}

/** e^x of one number, by the same polynomial as the vectors, so that tails agree with bodies. */
// @ts-ignore: decorator
@inline
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0)
}

/** Natural logarithm of one number, in double precision where it counts little. */
export function log1(x: f32): f32 {
  return <f32> NativeMath.log(<f64> x)
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
