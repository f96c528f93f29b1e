// Sums, extrema and softmax along one axis of [outer, axis, inner].
import { argF, argI, argP } from "./runtime"
import { exp1, expDown4, hmax, hsum, log1 } from "./simd"

// @ts-ignore: decorator
@inline
function combine(op: i32, a: v128, b: v128): v128 {
  if (op == 0) return f32x4.add(a, b)
  if (op == 1) return f32x4.max(a, b)
  return f32x4.min(a, b)
}

// @ts-ignore: decorator
@inline
function combine1(op: i32, a: f32, b: f32): f32 {
  if (op == 0) return a + b
  if (op == 1) return max<f32>(a, b)
  return min<f32>(a, b)
}

/** One row to one number; sums in double precision every 256 numbers. */
// @ts-ignore: decorator
@inline
function row(op: i32, p: usize, n: i32, start: f32): f32 {
  let total: f64 = <f64>start
  let i = 0
  while (i < n) {
    const stop = min(n, i + 256)
    let s = f32x4.splat(start)
    for (; i + 4 <= stop; i += 4) {
      s = combine(op, s, v128.load(p))
      p += 16
    }
    let part = op == 0
      ? hsum(s)
      : combine1(
        op,
        combine1(op, f32x4.extract_lane(s, 0), f32x4.extract_lane(s, 1)),
        combine1(op, f32x4.extract_lane(s, 2), f32x4.extract_lane(s, 3))
      )
    for (; i < stop; i++) {
      part = combine1(op, part, load<f32>(p))
      p += 4
    }
    total = op == 0 ? total + <f64>part : <f64>combine1(op, <f32>total, part)
  }
  return <f32>total
}

// @ts-ignore: decorator
@inline
function reduce(op: i32, index: i32, start: f32): void {
  const n = argI(3), inner = argI(4), factor = argF(7)
  if (inner == 1) {
    const begin = index * argI(5), end = min(begin + argI(5), argI(2))
    for (let o = begin; o < end; o++) {
      store<f32>(argP(1) + <usize>o * 4, row(op, argP(0) + (<usize>o * <usize>n) * 4, n, start) * factor)
    }
    return
  }
  // A chunk is a range of columns of one outer index; every column is summed in the order of the axis.
  const across = (inner + argI(5) - 1) / argI(5)
  const o = index / across
  const from = (index - o * across) * argI(5), to = min(from + argI(5), inner)
  const step = <usize>inner * 4
  const x = argP(0) + (<usize>o * <usize>n * <usize>inner) * 4
  const out = argP(1) + (<usize>o * <usize>inner) * 4
  let i = from
  for (; i + 8 <= to; i += 8) {
    let p = x + <usize>i * 4
    let a = f32x4.splat(start), b = a
    for (let r = 0; r < n; r++) {
      a = combine(op, a, v128.load(p))
      b = combine(op, b, v128.load(p, 16))
      p += step
    }
    v128.store(out + <usize>i * 4, f32x4.mul(a, f32x4.splat(factor)))
    v128.store(out + <usize>i * 4, f32x4.mul(b, f32x4.splat(factor)), 16)
  }
  for (; i < to; i++) {
    let p = x + <usize>i * 4
    let a = start
    for (let r = 0; r < n; r++) {
      a = combine1(op, a, load<f32>(p))
      p += step
    }
    store<f32>(out + <usize>i * 4, a * factor)
  }
}

/**
 * Arguments: 0 x, 1 out, 2 outer, 3 axis, 4 inner, 5 rows (inner = 1) or columns a chunk, 6 operation: sum, max, min, 7 factor
 * of the result.
 */
export function reduceChunk(index: i32): void {
  switch (argI(6)) {
    case 0:
      reduce(0, index, 0)
      break
    case 1:
      reduce(1, index, -Infinity)
      break
    default:
      reduce(2, index, Infinity)
  }
}

/** Arguments: 0 x, 1 out, 2 rows, 3 columns, 4 rows a chunk, 5 whether the logarithm is wanted. */
export function softmaxChunk(index: i32): void {
  const n = argI(3)
  const begin = index * argI(4), end = min(begin + argI(4), argI(2))
  const width = <usize>n * 4
  const body = width & ~15
  for (let r = begin; r < end; r++) {
    const x = argP(0) + <usize>r * width
    const y = argP(1) + <usize>r * width
    let top = f32x4.splat(-Infinity)
    let o: usize = 0
    for (; o < body; o += 16) top = f32x4.max(top, v128.load(x + o))
    let m = hmax(top)
    for (; o < width; o += 4) m = max<f32>(m, load<f32>(x + o))
    const shift = f32x4.splat(m)
    let s = f32x4.splat(0)
    for (o = 0; o + 32 <= body; o += 32) {
      const e0 = expDown4(f32x4.sub(v128.load(x + o), shift))
      const e1 = expDown4(f32x4.sub(v128.load(x + o, 16), shift))
      v128.store(y + o, e0)
      v128.store(y + o, e1, 16)
      s = f32x4.add(f32x4.add(s, e0), e1)
    }
    for (; o < body; o += 16) {
      const e = expDown4(f32x4.sub(v128.load(x + o), shift))
      v128.store(y + o, e)
      s = f32x4.add(s, e)
    }
    let sum = hsum(s)
    for (; o < width; o += 4) {
      const e = exp1(load<f32>(x + o) - m)
      store<f32>(y + o, e)
      sum += e
    }
    if (argI(5) != 0) {
      const lse = m + log1(sum)
      const by = f32x4.splat(lse)
      for (o = 0; o < body; o += 16) v128.store(y + o, f32x4.sub(v128.load(x + o), by))
      for (; o < width; o += 4) store<f32>(y + o, load<f32>(x + o) - lse)
    } else {
      const by = f32x4.splat(<f32>1 / sum)
      for (o = 0; o < body; o += 16) v128.store(y + o, f32x4.mul(v128.load(y + o), by))
      for (; o < width; o += 4) store<f32>(y + o, load<f32>(y + o) * (<f32>1 / sum))
    }
  }
}
