// Attention over a key-value cache in blocks, and appending to it.
import { BQ, round16, scaleRow, softmaxRow } from "./attention"
import { block, INIT_ZERO, ZEROS } from "./block"
import { NR } from "./pack"
import { argF, argI, argP, scratch } from "./runtime"
import { fma } from "./simd"

/** Runs of fewer queries go one by one, longer ones as a matrix product over gathered keys and values. */
const RUN_AS_MATRIX: i32 = 4

/**
 * Arguments: 0 q, 1 kPool, 2 vPool, 3 blockTable, 4 tokenSeq, 5 tokenPos, 6 out, 7 H, 8 KV, 9 D, 10 scale, 11 most
 * positions, 12 block size, 13 blocks a table row, 14 runs: pairs (first token, tokens up to 48) of one sequence with
 * ascending positions, or 0 where every token is a run, 15 key-value heads a chunk. One chunk is one run and that many
 * heads.
 */
export function pagedAttentionChunk(index: i32): void {
  const per = argI(15)
  const parts = (argI(8) + per - 1) / per
  const run = index / parts
  const from = (index - run * parts) * per, to = min(from + per, argI(8))
  const pairs = argP(14), pair = pairs + <usize>run * 8
  const first = pairs == 0 ? run : load<i32>(pair), count = pairs == 0 ? 1 : load<i32>(pair, 4)
  const sequence = load<i32>(argP(4) + <usize>first * 4)
  const table = argP(3) + <usize>(sequence * argI(13)) * 4
  if (count >= RUN_AS_MATRIX) {
    for (let head = from; head < to; head++) attendRun(first, count, table, head)
  } else for (let t = 0; t < count; t++) attendToken(first + t, table, from, to)
}

/**
 * One query against the cache, block by block: all heads use a block while it is in the first-level cache.
 */
function attendToken(token: i32, table: usize, from: i32, to: i32): void {
  const heads = argI(7), kv = argI(8), d = argI(9), scale = argF(10), size = argI(12)
  const length = load<i32>(argP(5) + <usize>token * 4) + 1
  const group = heads / kv
  const lds = <usize>(round16(argI(11)) + 16) * 4
  const width = <usize>d * 4
  const rowKv = <usize>kv * width
  const tmp = scratch()
  const scores = tmp + 512
  const first = from * group, last = to * group
  const q = argP(0) + <usize>(token * heads) * width
  const out = argP(6) + <usize>(token * heads) * width
  for (let p0 = 0; p0 < length; p0 += size) {
    const here = min(size, length - p0)
    const at = <usize>(load<i32>(table + <usize>(p0 / size) * 4) * size) * rowKv
    for (let h = first; h < last; h++) {
      const keys = argP(1) + at + <usize>(h / group) * width
      scoreBlock(q + <usize>h * width, keys, rowKv, here, width, scores + <usize>(h - first) * lds + <usize>p0 * 4, tmp)
    }
  }
  for (let h = first; h < last; h++) {
    const row = scores + <usize>(h - first) * lds
    const sum = softmaxRow(row, length, length, scale, tmp)
    scaleRow(row, length, <f32>1 / sum)
  }
  for (let p0 = 0; p0 < length; p0 += size) {
    const here = min(size, length - p0)
    const at = <usize>(load<i32>(table + <usize>(p0 / size) * 4) * size) * rowKv
    for (let h = first; h < last; h++) {
      const values = argP(2) + at + <usize>(h / group) * width
      mixBlock(scores + <usize>(h - first) * lds + <usize>p0 * 4, values, rowKv, here, d, out + <usize>h * width, p0 == 0)
    }
  }
}

/**
 * Scores of one query with the keys of one block. Products are summed in eight lanes, the halves first, then the lanes of
 * their sum crosswise: in the same order for four keys at once and for one, so that a score does not depend on where
 * its key lies.
 */
// @ts-ignore: decorator
@inline
function scoreBlock(q: usize, key: usize, rowKv: usize, count: i32, width: usize, s: usize, tmp: usize): void {
  const body = width & ~31
  let j = 0
  for (; j + 4 <= count; j += 4) {
    const k1 = key + rowKv, k2 = k1 + rowKv, k3 = k2 + rowKv
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0
    let b0 = a0, b1 = a0, b2 = a0, b3 = a0
    for (let o: usize = 0; o < body; o += 32) {
      const x = v128.load(q + o), y = v128.load(q + o, 16)
      a0 = fma(x, v128.load(key + o), a0)
      b0 = fma(y, v128.load(key + o, 16), b0)
      a1 = fma(x, v128.load(k1 + o), a1)
      b1 = fma(y, v128.load(k1 + o, 16), b1)
      a2 = fma(x, v128.load(k2 + o), a2)
      b2 = fma(y, v128.load(k2 + o, 16), b2)
      a3 = fma(x, v128.load(k3 + o), a3)
      b3 = fma(y, v128.load(k3 + o, 16), b3)
    }
    v128.store(tmp, a0)
    v128.store(tmp, b0, 16)
    v128.store(tmp, a1, 32)
    v128.store(tmp, b1, 48)
    v128.store(tmp, a2, 64)
    v128.store(tmp, b2, 80)
    v128.store(tmp, a3, 96)
    v128.store(tmp, b3, 112)
    const c0 = f32x4.add(v128.load(tmp), v128.load(tmp, 16))
    const c1 = f32x4.add(v128.load(tmp, 32), v128.load(tmp, 48))
    const c2 = f32x4.add(v128.load(tmp, 64), v128.load(tmp, 80))
    const c3 = f32x4.add(v128.load(tmp, 96), v128.load(tmp, 112))
    const t0 = f32x4.add(v128.shuffle<f32>(c0, c1, 0, 4, 1, 5), v128.shuffle<f32>(c0, c1, 2, 6, 3, 7))
    const t1 = f32x4.add(v128.shuffle<f32>(c2, c3, 0, 4, 1, 5), v128.shuffle<f32>(c2, c3, 2, 6, 3, 7))
    let sums = f32x4.add(v128.shuffle<f32>(t0, t1, 0, 1, 4, 5), v128.shuffle<f32>(t0, t1, 2, 3, 6, 7))
    for (let o = body; o < width; o += 4) {
      const x = load<f32>(q + o)
      let rest = f32x4.splat(x * load<f32>(key + o))
      rest = f32x4.replace_lane(rest, 1, x * load<f32>(k1 + o))
      rest = f32x4.replace_lane(rest, 2, x * load<f32>(k2 + o))
      rest = f32x4.replace_lane(rest, 3, x * load<f32>(k3 + o))
      sums = f32x4.add(sums, rest)
    }
    v128.store(s, sums)
    s += 16
    key = k3 + rowKv
  }
  for (; j < count; j++) {
    let a = f32x4.splat(0), b = a
    for (let o: usize = 0; o < body; o += 32) {
      a = fma(v128.load(q + o), v128.load(key + o), a)
      b = fma(v128.load(q + o, 16), v128.load(key + o, 16), b)
    }
    const c = f32x4.add(a, b)
    const low = f32x4.extract_lane(c, 0) + f32x4.extract_lane(c, 2)
    const high = f32x4.extract_lane(c, 1) + f32x4.extract_lane(c, 3)
    let sum = low + high
    for (let o = body; o < width; o += 4) sum += load<f32>(q + o) * load<f32>(key + o)
    store<f32>(s, sum)
    s += 4
    key += rowKv
  }
}

/** Adds one block's values, weighted, to the output. */
// @ts-ignore: decorator
@inline
function mixBlock(weights: usize, values: usize, rowKv: usize, count: i32, d: i32, out: usize, fresh: bool): void {
  let c = 0
  for (; c + 2 * NR <= d; c += 2 * NR) {
    const from = fresh ? ZEROS : out
    let a0 = v128.load(from)
    let a1 = v128.load(from, 16)
    let a2 = v128.load(from, 32)
    let a3 = v128.load(from, 48)
    let a4 = v128.load(from, 64)
    let a5 = v128.load(from, 80)
    let a6 = v128.load(from, 96)
    let a7 = v128.load(from, 112)
    let value = values + <usize>c * 4
    let w = weights
    for (let j = 0; j < count; j++) {
      const x = v128.load_splat<f32>(w)
      a0 = fma(x, v128.load(value), a0)
      a1 = fma(x, v128.load(value, 16), a1)
      a2 = fma(x, v128.load(value, 32), a2)
      a3 = fma(x, v128.load(value, 48), a3)
      a4 = fma(x, v128.load(value, 64), a4)
      a5 = fma(x, v128.load(value, 80), a5)
      a6 = fma(x, v128.load(value, 96), a6)
      a7 = fma(x, v128.load(value, 112), a7)
      w += 4
      value += rowKv
    }
    v128.store(out, a0)
    v128.store(out, a1, 16)
    v128.store(out, a2, 32)
    v128.store(out, a3, 48)
    v128.store(out, a4, 64)
    v128.store(out, a5, 80)
    v128.store(out, a6, 96)
    v128.store(out, a7, 112)
    out += 128
  }
  for (; c + NR <= d; c += NR) {
    const from = fresh ? ZEROS : out
    let a0 = v128.load(from)
    let a1 = v128.load(from, 16)
    let a2 = v128.load(from, 32)
    let a3 = v128.load(from, 48)
    let value = values + <usize>c * 4
    let w = weights
    for (let j = 0; j < count; j++) {
      const x = v128.load_splat<f32>(w)
      a0 = fma(x, v128.load(value), a0)
      a1 = fma(x, v128.load(value, 16), a1)
      a2 = fma(x, v128.load(value, 32), a2)
      a3 = fma(x, v128.load(value, 48), a3)
      w += 4
      value += rowKv
    }
    v128.store(out, a0)
    v128.store(out, a1, 16)
    v128.store(out, a2, 32)
    v128.store(out, a3, 48)
    out += 64
  }
  for (; c < d; c++) {
    let sum: f32 = fresh ? 0 : load<f32>(out)
    let value = values + <usize>c * 4
    for (let j = 0; j < count; j++) {
      sum += load<f32>(weights + <usize>j * 4) * load<f32>(value)
      value += rowKv
    }
    store<f32>(out, sum)
    out += 4
  }
}

function attendRun(first: i32, count: i32, table: usize, kvHead: i32): void {
  const heads = argI(7), kv = argI(8), d = argI(9), scale = argF(10), size = argI(12)
  const group = heads / kv
  const begin = load<i32>(argP(5) + <usize>first * 4)
  const length = load<i32>(argP(5) + <usize>(first + count - 1) * 4) + 1
  const lds = <usize>(round16(argI(11)) + 16) * 4
  const rowKv = <usize>(kv * d) * 4, rowQ = <usize>(heads * d) * 4
  const tmp = scratch()
  const scores = tmp + 512
  const keysT = scores + lds * BQ
  const values = keysT + <usize>(round16(length) * d) * 4
  const panelRows = <usize>length * 64
  const padded = round16(length)
  for (let p = 0; p < padded; p++) {
    const at = p < length ? load<i32>(table + <usize>(p / size) * 4) * size + p % size : 0
    const key = argP(1) + <usize>at * rowKv + <usize>(kvHead * d) * 4
    const value = argP(2) + <usize>at * rowKv + <usize>(kvHead * d) * 4
    const k = keysT + <usize>(p >> 4) * (<usize>d * 64) + <usize>(p & 15) * 4
    for (let i = 0; i < d; i++) store<f32>(k + <usize>i * 64, p < length ? load<f32>(key + <usize>i * 4) : 0)
    if (p < length) {
      const v = values + <usize>p * 64
      let i = 0
      for (; i + 4 <= d; i += 4) {
        v128.store(v + <usize>(i >> 4) * panelRows + <usize>(i & 15) * 4, v128.load(value + <usize>i * 4))
      }
      for (; i < d; i++) {
        store<f32>(v + <usize>(i >> 4) * panelRows + <usize>(i & 15) * 4, load<f32>(value + <usize>i * 4))
      }
    }
  }
  for (let g = 0; g < group; g++) {
    const at = <usize>((first * heads + kvHead * group + g) * d) * 4
    block(
      false,
      argP(0) + at,
      rowQ,
      rowQ * 6,
      count,
      keysT,
      64,
      <usize>d * 64,
      padded,
      d,
      scores,
      lds,
      INIT_ZERO,
      0,
      0,
      tmp
    )
    for (let r = 0; r < count; r++) {
      const row = scores + <usize>r * lds
      const sum = softmaxRow(row, begin + r + 1, length, scale, tmp)
      scaleRow(row, length, <f32>1 / sum)
    }
    block(false, scores, lds, lds * 6, count, values, 64, panelRows, d, length, argP(6) + at, rowQ, INIT_ZERO, 0, 0, tmp)
  }
}

/** Arguments: 0 kPool, 1 vPool, 2 k, 3 v, 4 slots, 5 tokens, 6 KV * D, 7 tokens a chunk. */
export function kvAppendChunk(index: i32): void {
  const width = argI(6)
  const begin = index * argI(7), end = min(begin + argI(7), argI(5))
  const bytes = <usize>width * 4
  const body = bytes & ~15
  for (let t = begin; t < end; t++) {
    const slot = <usize>load<i32>(argP(4) + <usize>t * 4) * bytes
    const from = <usize>t * bytes
    let o: usize = 0
    for (; o < body; o += 16) {
      v128.store(argP(0) + slot + o, v128.load(argP(2) + from + o))
      v128.store(argP(1) + slot + o, v128.load(argP(3) + from + o))
    }
    for (; o < bytes; o += 4) {
      store<f32>(argP(0) + slot + o, load<f32>(argP(2) + from + o))
      store<f32>(argP(1) + slot + o, load<f32>(argP(3) + from + o))
    }
  }
}
