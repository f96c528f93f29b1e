// Element-wise operations on float32, with the broadcasts that reduce to rows and columns.
import { argF, argI, argP } from "./runtime"
import { exp4, fma, loadTail, log1, sigmoid4, storeTail } from "./simd"

// @ts-ignore: decorator
@inline
function binary4(op: i32, x: v128, y: v128): v128 {
  if (op == 0) return f32x4.add(x, y)
  if (op == 1) return f32x4.sub(x, y)
  if (op == 2) return f32x4.mul(x, y)
  if (op == 3) return f32x4.div(x, y)
  if (op == 4) return f32x4.max(x, y)
  if (op == 5) return f32x4.min(x, y)
  const d = f32x4.sub(x, y)
  return f32x4.mul(d, d)
}

// @ts-ignore: decorator
@inline
function rows(op: i32, begin: i32, end: i32, from: i32, to: i32): void {
  const xo = argP(3), xi = argI(4), yo = argP(5), yi = argI(6), inner = argI(8)
  for (let r = begin; r < end; r++) {
    let x = argP(0) + <usize>r * xo + <usize>(from * xi) * 4
    let y = argP(1) + <usize>r * yo + <usize>(from * yi) * 4
    let out = argP(2) + (<usize>r * <usize>inner + <usize>from) * 4
    let i = from
    if (xi != 0 && yi != 0) {
      for (; i + 8 <= to; i += 8) {
        const r0 = binary4(op, v128.load(x), v128.load(y))
        const r1 = binary4(op, v128.load(x, 16), v128.load(y, 16))
        v128.store(out, r0)
        v128.store(out, r1, 16)
        x += 32
        y += 32
        out += 32
      }
    } else if (xi != 0) {
      const b = v128.load_splat<f32>(y)
      for (; i + 8 <= to; i += 8) {
        const r0 = binary4(op, v128.load(x), b)
        const r1 = binary4(op, v128.load(x, 16), b)
        v128.store(out, r0)
        v128.store(out, r1, 16)
        x += 32
        out += 32
      }
    } else {
      const a = v128.load_splat<f32>(x)
      for (; i + 4 <= to; i += 4) {
        v128.store(out, binary4(op, a, yi != 0 ? v128.load(y) : v128.load_splat<f32>(y)))
        y += <usize>yi * 16
        out += 16
      }
    }
    for (; i < to; i++) {
      const a = v128.load_splat<f32>(x), b = v128.load_splat<f32>(y)
      store<f32>(out, f32x4.extract_lane(binary4(op, a, b), 0))
      x += <usize>xi * 4
      y += <usize>yi * 4
      out += 4
    }
  }
}

/**
 * out[r, i] = op(x[r, i], y[r, i]). Arguments: 0 x, 1 y, 2 out, 3 x's row stride (bytes), 4 its inner stride (0 or 1), 5-6 the
 * same of y, 7 rows, 8 inner, 9 rows and 10 inner elements a chunk, 11 operation: add, sub, mul, div, max, min, (x-y)^2.
 */
export function binaryChunk(index: i32): void {
  const across = (argI(8) + argI(10) - 1) / argI(10)
  const down = index / across
  const begin = down * argI(9), end = min(begin + argI(9), argI(7))
  const from = (index - down * across) * argI(10), to = min(from + argI(10), argI(8))
  switch (argI(11)) {
    case 0:
      rows(0, begin, end, from, to)
      break
    case 1:
      rows(1, begin, end, from, to)
      break
    case 2:
      rows(2, begin, end, from, to)
      break
    case 3:
      rows(3, begin, end, from, to)
      break
    case 4:
      rows(4, begin, end, from, to)
      break
    case 5:
      rows(5, begin, end, from, to)
      break
    default:
      rows(6, begin, end, from, to)
  }
}

// @ts-ignore: decorator
@inline
function unary4(op: i32, x: v128, a: v128, b: v128): v128 {
  if (op == 0) return f32x4.neg(x)
  if (op == 1) return f32x4.abs(x)
  if (op == 2) return exp4(x)
  if (op == 3) return f32x4.sqrt(x)
  if (op == 4) return f32x4.div(f32x4.splat(1), f32x4.sqrt(x))
  if (op == 5) return f32x4.mul(x, x)
  if (op == 6) return f32x4.div(f32x4.splat(1), x)
  if (op == 7) return f32x4.max(x, f32x4.splat(0))
  if (op == 8) return sigmoid4(x)
  if (op == 9) return f32x4.min(f32x4.max(x, a), b)
  if (op == 10) return fma(x, a, b)
  let y = f32x4.splat(log1(f32x4.extract_lane(x, 0)))
  y = f32x4.replace_lane(y, 1, log1(f32x4.extract_lane(x, 1)))
  y = f32x4.replace_lane(y, 2, log1(f32x4.extract_lane(x, 2)))
  return f32x4.replace_lane(y, 3, log1(f32x4.extract_lane(x, 3)))
}

// @ts-ignore: decorator
@inline
function map(op: i32, begin: i32, end: i32): void {
  let x = argP(0) + <usize>begin * 4, y = argP(1) + <usize>begin * 4
  const a = f32x4.splat(argF(5)), b = f32x4.splat(argF(6))
  let i = begin
  for (; i + 8 <= end; i += 8) {
    const r0 = unary4(op, v128.load(x), a, b)
    const r1 = unary4(op, v128.load(x, 16), a, b)
    v128.store(y, r0)
    v128.store(y, r1, 16)
    x += 32
    y += 32
  }
  for (; i < end; i += 4) {
    const n = end - i
    if (n >= 4) v128.store(y, unary4(op, v128.load(x), a, b))
    else storeTail(y, unary4(op, loadTail(x, n, 1), a, b), n)
    x += 16
    y += 16
  }
}

/**
 * Arguments: 0 x, 1 y, 2 elements, 3 elements a chunk (a multiple of 8), 4 operation: neg, abs, exp, sqrt, 1/sqrt, square, 1/x,
 * relu, sigmoid, clip to [5, 6], x * (5) + (6), log.
 */
export function unaryChunk(index: i32): void {
  const begin = index * argI(3), end = min(begin + argI(3), argI(2))
  switch (argI(4)) {
    case 0:
      map(0, begin, end)
      break
    case 1:
      map(1, begin, end)
      break
    case 2:
      map(2, begin, end)
      break
    case 3:
      map(3, begin, end)
      break
    case 4:
      map(4, begin, end)
      break
    case 5:
      map(5, begin, end)
      break
    case 6:
      map(6, begin, end)
      break
    case 7:
      map(7, begin, end)
      break
    case 8:
      map(8, begin, end)
      break
    case 9:
      map(9, begin, end)
      break
    case 10:
      map(10, begin, end)
      break
    default:
      map(11, begin, end)
  }
}
