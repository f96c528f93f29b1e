// AdamW and the sum of squares that clips a gradient.
import { argF, argI, argP } from "./runtime"
import { fma, hsum, loadTail, storeTail } from "./simd"

/**
 * Decoupled weight decay (Loshchilov and Hutter 2019), in place. Arguments: 0 param, 1 m, 2 v, 3 grad, 4 elements, 5
 * elements a chunk (a multiple of 4), 6 gradient scale, 7 beta1, 8 1 - beta1, 9 beta2, 10 1 - beta2, 11
 * 1 / sqrt(1 - beta2^step), 12 eps, 13 lr / (1 - beta1^step), 14 1 - lr * decay.
 */
export function adamWChunk(index: i32): void {
  const begin = index * argI(5), end = min(begin + argI(5), argI(4))
  const scale = f32x4.splat(argF(6)), b1 = f32x4.splat(argF(7)), c1 = f32x4.splat(argF(8))
  const b2 = f32x4.splat(argF(9)), c2 = f32x4.splat(argF(10)), root = f32x4.splat(argF(11))
  const eps = f32x4.splat(argF(12)), rate = f32x4.splat(argF(13)), keep = f32x4.splat(argF(14))
  const offset = <usize>begin * 4
  let p = argP(0) + offset, m = argP(1) + offset, v = argP(2) + offset, g = argP(3) + offset
  for (let i = begin; i < end; i += 4) {
    const n = end - i
    const whole = n >= 4
    const grad = f32x4.mul(whole ? v128.load(g) : loadTail(g, n, 0), scale)
    const m1 = fma(whole ? v128.load(m) : loadTail(m, n, 0), b1, f32x4.mul(grad, c1))
    const v1 = fma(whole ? v128.load(v) : loadTail(v, n, 0), b2, f32x4.mul(f32x4.mul(grad, grad), c2))
    const denominator = fma(f32x4.sqrt(v1), root, eps)
    const decayed = f32x4.mul(whole ? v128.load(p) : loadTail(p, n, 0), keep)
    const next = f32x4.sub(decayed, f32x4.mul(f32x4.div(m1, denominator), rate))
    if (whole) {
      v128.store(p, next)
      v128.store(m, m1)
      v128.store(v, v1)
    } else {
      storeTail(p, next, n)
      storeTail(m, m1, n)
      storeTail(v, v1, n)
    }
    p += 16
    m += 16
    v += 16
    g += 16
  }
}

/**
 * Sum of squares of one chunk, in double precision every 256 numbers. Arguments: 0 x, 1 elements, 2 elements a chunk (a
 * multiple of 4), 3 partial sums, one f64 a chunk.
 */
export function sumSquaresChunk(index: i32): void {
  const begin = index * argI(2), end = min(begin + argI(2), argI(1))
  let p = argP(0) + <usize>begin * 4
  let total: f64 = 0
  let i = begin
  while (i < end) {
    const stop = min(end, i + 256)
    let s = f32x4.splat(0)
    for (; i + 4 <= stop; i += 4) {
      const x = v128.load(p)
      s = fma(x, x, s)
      p += 16
    }
    let sum = hsum(s)
    for (; i < stop; i++) {
      const x = load<f32>(p)
      sum += x * x
      p += 4
    }
    total += <f64>sum
  }
  store<f64>(argP(3) + <usize>index * 8, total)
}
