// Causal attention inside each packed sequence, grouped queries, forward and backward. One chunk owns one sequence and
// one key-value head (the forward also one range of queries), so that no two chunks write the same numbers. Scores of
// 48 queries at a time live in scratch memory.
import { block, INIT_C, INIT_ZERO } from "./block"
import { packB } from "./pack"
import { argF, argI, argP, scratch } from "./runtime"
import { expDown4, fma, hmax, hsum, log1 } from "./simd"

/** Queries whose scores are held at once. */
export const BQ: i32 = 48

// @ts-ignore: decorator
@inline
export function round16(n: i32): i32 {
  return (n + 15) & ~15
}

/**
 * Turns a row of raw scores into e^(scale s - max) over its first `limit` entries and zeros up to `keys` (both rows
 * padded to 16 in memory); returns the sum, and leaves scale * max at `maxOut`.
 */
export function softmaxRow(s: usize, limit: i32, keys: i32, scale: f32, maxOut: usize): f32 {
  const whole = (limit + 7) & ~7
  for (let j = limit; j < whole; j++) store<f32>(s + <usize>j * 4, -Infinity)
  const vectors = <usize>whole * 4
  let m0 = f32x4.splat(-Infinity), m1 = m0
  for (let o: usize = 0; o < vectors; o += 32) {
    m0 = f32x4.pmax(m0, v128.load(s + o))
    m1 = f32x4.pmax(m1, v128.load(s + o, 16))
  }
  const top = hmax(f32x4.max(m0, m1)) * scale
  store<f32>(maxOut, top)
  const k = f32x4.splat(scale), shift = f32x4.splat(-top)
  let s0 = f32x4.splat(0), s1 = s0
  for (let o: usize = 0; o < vectors; o += 32) {
    const a = expDown4(fma(v128.load(s + o), k, shift))
    const b = expDown4(fma(v128.load(s + o, 16), k, shift))
    v128.store(s + o, a)
    v128.store(s + o, b, 16)
    s0 = f32x4.add(s0, a)
    s1 = f32x4.add(s1, b)
  }
  const end = <usize>(round16(keys) * 4)
  for (let o = vectors; o < end; o += 16) v128.store(s + o, f32x4.splat(0))
  return hsum(f32x4.add(s0, s1))
}

/** Multiplies `n` floats by `factor`. */
export function scaleRow(p: usize, n: i32, factor: f32): void {
  const f = f32x4.splat(factor)
  let i = 0
  for (; i + 8 <= n; i += 8) {
    const a = f32x4.mul(v128.load(p), f), b = f32x4.mul(v128.load(p, 16), f)
    v128.store(p, a)
    v128.store(p, b, 16)
    p += 32
  }
  for (; i < n; i++) {
    store<f32>(p, load<f32>(p) * factor)
    p += 4
  }
}

/**
 * Arguments: 0 q, 1 k, 2 v, 3 out, 4 lse, 5 cuSeqlens, 6 H, 7 KV, 8 D, 9 scale, 10 longest sequence, 11 queries a
 * chunk (a multiple of 48), 12 chunks a sequence and head.
 */
export function attentionChunk(index: i32): void {
  const heads = argI(6), kv = argI(7), d = argI(8), scale = argF(9), perHead = argI(12)
  const part = index % perHead
  const pair = index / perHead
  const sequence = pair / kv, kvHead = pair - sequence * kv
  const cu = argP(5) + <usize>sequence * 4
  const start = load<i32>(cu), length = load<i32>(cu, 4) - start
  const from = part * argI(11), to = min(from + argI(11), length)
  if (from >= length) return
  const group = heads / kv
  const lds = <usize>(round16(argI(10)) + 16) * 4
  const tmp = scratch()
  const scores = tmp + 512
  const keysT = scores + lds * BQ
  const values = keysT + <usize>(round16(to) * d) * 4
  const rowKv = <usize>(kv * d) * 4, rowQ = <usize>(heads * d) * 4
  const kvBase = <usize>((start * kv + kvHead) * d) * 4
  packB(argP(1) + kvBase, 4, rowKv, d, to, keysT, <usize>d * 64)
  packB(argP(2) + kvBase, rowKv, 4, to, d, values, <usize>to * 64)
  for (let g = 0; g < group; g++) {
    const head = kvHead * group + g
    for (let i0 = from; i0 < to; i0 += BQ) {
      const rows = min(BQ, to - i0)
      const keys = i0 + rows
      const at = <usize>(((start + i0) * heads + head) * d) * 4
      block(
        false,
        argP(0) + at,
        rowQ,
        rowQ * 6,
        rows,
        keysT,
        64,
        <usize>d * 64,
        round16(keys),
        d,
        scores,
        lds,
        INIT_ZERO,
        0,
        0,
        tmp
      )
      for (let r = 0; r < rows; r++) {
        const row = scores + <usize>r * lds
        const sum = softmaxRow(row, i0 + r + 1, keys, scale, tmp)
        store<f32>(argP(4) + <usize>((start + i0 + r) * heads + head) * 4, load<f32>(tmp) + log1(sum))
        scaleRow(row, keys, <f32>1 / sum)
      }
      const out = argP(3) + at
      block(false, scores, lds, lds * 6, rows, values, 64, <usize>to * 64, d, keys, out, rowQ, INIT_ZERO, 0, 0, tmp)
    }
  }
}

/**
 * Arguments: 0 q, 1 k, 2 v, 3 out, 4 lse, 5 dout, 6 cuSeqlens, 7 dq, 8 dk, 9 dv, 10 H, 11 KV, 12 D, 13 scale, 14
 * longest sequence.
 */
export function attentionGradChunk(index: i32): void {
  const heads = argI(10), kv = argI(11), d = argI(12), scale = argF(13)
  const sequence = index / kv, kvHead = index - sequence * kv
  const cu = argP(6) + <usize>sequence * 4
  const start = load<i32>(cu), length = load<i32>(cu, 4) - start
  if (length <= 0) return
  const group = heads / kv
  const lds = <usize>(round16(argI(14)) + 16) * 4
  const padded = <usize>(round16(length) * d) * 4
  const wide = <usize>(length * round16(d)) * 4
  const panelRows = <usize>length * 64
  const tmp = scratch()
  const p = tmp + 512
  const ds = p + lds * BQ
  const keysT = ds + lds * BQ
  const valuesT = keysT + padded
  const keys = valuesT + padded
  const queries = keys + wide
  const douts = queries + <usize>(BQ * round16(d)) * 4
  const rowKv = <usize>(kv * d) * 4, rowQ = <usize>(heads * d) * 4
  const kvBase = <usize>((start * kv + kvHead) * d) * 4
  packB(argP(1) + kvBase, 4, rowKv, d, length, keysT, <usize>d * 64)
  packB(argP(2) + kvBase, 4, rowKv, d, length, valuesT, <usize>d * 64)
  packB(argP(1) + kvBase, rowKv, 4, length, d, keys, panelRows)
  const dk = argP(8) + kvBase, dv = argP(9) + kvBase
  for (let g = 0; g < group; g++) {
    const head = kvHead * group + g
    for (let i0 = 0; i0 < length; i0 += BQ) {
      const rows = min(BQ, length - i0)
      const seen = i0 + rows
      const at = <usize>(((start + i0) * heads + head) * d) * 4
      const q = argP(0) + at, out = argP(3) + at, dout = argP(5) + at
      block(false, q, rowQ, rowQ * 6, rows, keysT, 64, <usize>d * 64, round16(seen), d, p, lds, INIT_ZERO, 0, 0, tmp)
      block(
        false,
        dout,
        rowQ,
        rowQ * 6,
        rows,
        valuesT,
        64,
        <usize>d * 64,
        round16(seen),
        d,
        ds,
        lds,
        INIT_ZERO,
        0,
        0,
        tmp
      )
      for (let r = 0; r < rows; r++) {
        const lse = load<f32>(argP(4) + <usize>((start + i0 + r) * heads + head) * 4)
        const delta = dot(out + <usize>r * rowQ, dout + <usize>r * rowQ, d)
        gradRow(p + <usize>r * lds, ds + <usize>r * lds, i0 + r + 1, round16(seen), scale, lse, delta)
      }
      block(false, ds, lds, lds * 6, rows, keys, 64, panelRows, d, seen, argP(7) + at, rowQ, INIT_ZERO, 0, 0, tmp)
      packB(dout, rowQ, 4, rows, d, douts, <usize>rows * 64)
      packB(q, rowQ, 4, rows, d, queries, <usize>rows * 64)
      // The first pass over a key initialises its gradient: keys below the block have been seen by earlier blocks.
      const fresh = g == 0 ? i0 : seen
      if (fresh > 0) {
        block(true, p, lds, 24, fresh, douts, 64, <usize>rows * 64, d, rows, dv, rowKv, INIT_C, 0, 0, tmp)
        block(true, ds, lds, 24, fresh, queries, 64, <usize>rows * 64, d, rows, dk, rowKv, INIT_C, 0, 0, tmp)
      }
      if (fresh < seen) {
        const skip = <usize>fresh * 4, down = <usize>fresh * rowKv
        block(
          true,
          p + skip,
          lds,
          24,
          seen - fresh,
          douts,
          64,
          <usize>rows * 64,
          d,
          rows,
          dv + down,
          rowKv,
          INIT_ZERO,
          0,
          0,
          tmp
        )
        block(
          true,
          ds + skip,
          lds,
          24,
          seen - fresh,
          queries,
          64,
          <usize>rows * 64,
          d,
          rows,
          dk + down,
          rowKv,
          INIT_ZERO,
          0,
          0,
          tmp
        )
      }
    }
  }
}

/** Sum of products of two rows. */
export function dot(a: usize, b: usize, n: i32): f32 {
  let s = f32x4.splat(0)
  let i = 0
  for (; i + 4 <= n; i += 4) {
    s = fma(v128.load(a), v128.load(b), s)
    a += 16
    b += 16
  }
  let sum = hsum(s)
  for (; i < n; i++) {
    sum += load<f32>(a) * load<f32>(b)
    a += 4
    b += 4
  }
  return sum
}

/** Scores → probabilities in place, dP → dS in place; both zero from `limit` on. */
function gradRow(p: usize, ds: usize, limit: i32, padded: i32, scale: f32, lse: f32, delta: f32): void {
  const whole = (limit + 7) & ~7
  for (let j = limit; j < whole; j++) {
    store<f32>(p + <usize>j * 4, -Infinity)
    store<f32>(ds + <usize>j * 4, 0)
  }
  const k = f32x4.splat(scale), shift = f32x4.splat(-lse), d = f32x4.splat(delta)
  const end = <usize>(padded * 4)
  const vectors = <usize>whole * 4
  for (let o: usize = 0; o < vectors; o += 32) {
    const a = expDown4(fma(v128.load(p + o), k, shift))
    const b = expDown4(fma(v128.load(p + o, 16), k, shift))
    const da = f32x4.mul(f32x4.mul(a, k), f32x4.sub(v128.load(ds + o), d))
    const db = f32x4.mul(f32x4.mul(b, k), f32x4.sub(v128.load(ds + o, 16), d))
    v128.store(p + o, a)
    v128.store(p + o, b, 16)
    v128.store(ds + o, da)
    v128.store(ds + o, db, 16)
  }
  for (let o = vectors; o < end; o += 16) {
    v128.store(p + o, f32x4.splat(0))
    v128.store(ds + o, f32x4.splat(0))
  }
}
