// Moving 32-bit words: rows by index, strided views, constants.
import { argI, argP } from "./runtime"

/** Copies words; no bulk-memory instruction, whose bounds check may lag behind another thread's growth. */
export function copyWords(from: usize, to: usize, n: i32): void {
  let i = 0
  for (; i + 8 <= n; i += 8) {
    v128.store(to, v128.load(from))
    v128.store(to, v128.load(from, 16), 16)
    from += 32
    to += 32
  }
  for (; i < n; i++) {
    store<u32>(to, load<u32>(from))
    from += 4
    to += 4
  }
}

/** Arguments: 0 table, 1 ids, 2 out, 3 count, 4 row width (words), 5 rows a chunk, 6 rows of the table. */
export function gatherChunk(index: i32): void {
  const width = argI(4)
  const begin = index * argI(5), end = min(begin + argI(5), argI(3))
  for (let i = begin; i < end; i++) {
    const id = <usize>load<i32>(argP(1) + <usize>i * 4)
    copyWords(argP(0) + id * (<usize>width * 4), argP(2) + <usize>i * (<usize>width * 4), width)
  }
}

/**
 * Adds rows of dy into rows of a zero table; a chunk owns a range of columns, so the order of additions is that of the
 * rows. Arguments: 0 ids, 1 dy [T, D], 2 table [V, D], 3 T, 4 V, 5 D, 6 columns a chunk.
 */
export function scatterAddChunk(index: i32): void {
  const d = argI(5)
  const from = index * argI(6), to = min(from + argI(6), d)
  const width = <usize>d * 4
  for (let r = 0; r < argI(4); r++) {
    const p = argP(2) + <usize>r * width
    let i = from
    for (; i + 4 <= to; i += 4) v128.store(p + <usize>i * 4, f32x4.splat(0))
    for (; i < to; i++) store<f32>(p + <usize>i * 4, 0)
  }
  for (let t = 0; t < argI(3); t++) {
    const p = argP(2) + <usize>load<i32>(argP(0) + <usize>t * 4) * width
    const g = argP(1) + <usize>t * width
    let i = from
    for (; i + 4 <= to; i += 4) {
      const o = <usize>i * 4
      v128.store(p + o, f32x4.add(v128.load(p + o), v128.load(g + o)))
    }
    for (; i < to; i++) {
      const o = <usize>i * 4
      store<f32>(p + o, load<f32>(p + o) + load<f32>(g + o))
    }
  }
}

/**
 * Copies a strided view of four dimensions to another. Arguments: 0 in, 1 out, 2-5 sizes, 6-9 strides of in, 10-13 strides of
 * out (words, may be negative or 0), 14 indices of the first dimension a chunk.
 */
export function stridedCopyChunk(index: i32): void {
  const n1 = argI(3), n2 = argI(4), n3 = argI(5)
  const s3 = argI(9), o3 = argI(13)
  const begin = index * argI(14), end = min(begin + argI(14), argI(2))
  for (let a = begin; a < end; a++) {
    for (let b = 0; b < n1; b++) {
      for (let c = 0; c < n2; c++) {
        let from = argP(0) + <usize>((a * argI(6) + b * argI(7) + c * argI(8)) << 2)
        let to = argP(1) + <usize>((a * argI(10) + b * argI(11) + c * argI(12)) << 2)
        if (s3 == 1 && o3 == 1) copyWords(from, to, n3)
        else {
          for (let d = 0; d < n3; d++) {
            store<u32>(to, load<u32>(from))
            from += <usize>(s3 << 2)
            to += <usize>(o3 << 2)
          }
        }
      }
    }
  }
}

/** Arguments: 0 out, 1 words, 2 the word, 3 words a chunk (a multiple of 4). */
export function fillChunk(index: i32): void {
  const begin = index * argI(3), end = min(begin + argI(3), argI(1))
  const value = i32x4.splat(argI(2))
  let p = argP(0) + <usize>begin * 4
  let i = begin
  for (; i + 4 <= end; i += 4) {
    v128.store(p, value)
    p += 16
  }
  for (; i < end; i++) {
    store<i32>(p, argI(2))
    p += 4
  }
}
