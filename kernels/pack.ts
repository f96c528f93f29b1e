// Panels for the matrix kernels. A packed B is a row of panels, each `rows` x 16 floats; a packed A is a row of panels
// of `height` (6, the last one less) interleaved rows.

/** Columns of a B panel = width of the register tile. */
export const NR: i32 = 16
/** Height of the register tile. */
export const MR: i32 = 6

// @ts-ignore: decorator
@inline
function transpose4(p: usize, s1: usize, s2: usize, s3: usize, out: usize, step: usize): void {
  const r0 = v128.load(p), r1 = v128.load(p + s1), r2 = v128.load(p + s2), r3 = v128.load(p + s3)
  const t0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5)
  const t1 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7)
  const t2 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5)
  const t3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7)
  v128.store(out, v128.shuffle<f32>(t0, t2, 0, 1, 4, 5))
  v128.store(out + step, v128.shuffle<f32>(t0, t2, 2, 3, 6, 7))
  v128.store(out + 2 * step, v128.shuffle<f32>(t1, t3, 0, 1, 4, 5))
  v128.store(out + 3 * step, v128.shuffle<f32>(t1, t3, 2, 3, 6, 7))
}

/**
 * Packs the `rows` x `cols` matrix at `b` (element strides in bytes `rs`, `cs`) into panels of 16 columns, padded with
 * zeros. Panel p starts at `out + p * panelBytes`.
 */
export function packB(b: usize, rs: usize, cs: usize, rows: i32, cols: i32, out: usize, panelBytes: usize): void {
  let c = 0
  if (cs == 4) {
    // Row by row: rows are read in the order of memory, which hides its latency.
    const whole = cols & ~(NR - 1)
    for (let r = 0; r < rows; r++) {
      let p = b + <usize>r * rs
      let o = out + <usize>r * 64
      for (let j = 0; j < whole; j += NR) {
        const v0 = v128.load(p), v1 = v128.load(p, 16), v2 = v128.load(p, 32), v3 = v128.load(p, 48)
        v128.store(o, v0)
        v128.store(o, v1, 16)
        v128.store(o, v2, 32)
        v128.store(o, v3, 48)
        p += 64
        o += panelBytes
      }
    }
    c = whole
    out += <usize>(whole >> 4) * panelBytes
  }
  for (; c + NR <= cols; c += NR) {
    let o = out
    const p0 = b + <usize>c * cs
    let r = 0
    if (rs == 4) {
      const s2 = cs * 2, s3 = cs * 3, s4 = cs * 4
      for (; r + 4 <= rows; r += 4) {
        const p = p0 + <usize>r * 4
        transpose4(p, cs, s2, s3, o, 64)
        transpose4(p + s4, cs, s2, s3, o + 16, 64)
        transpose4(p + 2 * s4, cs, s2, s3, o + 32, 64)
        transpose4(p + 3 * s4, cs, s2, s3, o + 48, 64)
        o += 256
      }
    }
    for (; r < rows; r++) {
      let p = p0 + <usize>r * rs
      for (let j = 0; j < NR; j++) {
        store<f32>(o + <usize>j * 4, load<f32>(p))
        p += cs
      }
      o += 64
    }
    out += panelBytes
  }
  if (c < cols) {
    const rest = cols - c
    let o = out
    for (let r = 0; r < rows; r++) {
      let p = b + <usize>c * cs + <usize>r * rs
      for (let j = 0; j < rest; j++) {
        store<f32>(o + <usize>j * 4, load<f32>(p))
        p += cs
      }
      for (let j = rest; j < NR; j++) store<f32>(o + <usize>j * 4, 0)
      o += 64
    }
  }
}

/**
 * Packs `rows` x `depth` of A (byte strides `rs`, `cs`) so that each group of 6 rows lies interleaved: element (r, k) of
 * a group of height h is at `group + (k * h + r) * 4`. Groups follow each other at `depth * 24` bytes.
 */
export function packA(a: usize, rs: usize, cs: usize, rows: i32, depth: i32, out: usize): void {
  let begin = 0
  if (rs == 4) {
    // Column by column, as they lie in memory; each group of rows is a stream of its own.
    const groups = rows / MR
    const between = <usize>depth * 24
    for (let k = 0; k < depth; k++) {
      let p = a + <usize>k * cs
      let o = out + <usize>k * 24
      for (let g = 0; g < groups; g++) {
        v128.store(o, v128.load(p))
        store<u64>(o, load<u64>(p, 16), 16)
        p += 24
        o += between
      }
    }
    begin = groups * MR
  }
  for (let r = begin; r < rows; r += MR) {
    const h = min(MR, rows - r)
    let o = out + <usize>(r * depth) * 4
    let p = a + <usize>r * rs
    const step = <usize>h * 4
    for (let k = 0; k < depth; k++) {
      let q = p
      for (let i: usize = 0; i < step; i += 4) {
        store<f32>(o + i, load<f32>(q))
        q += rs
      }
      p += cs
      o += step
    }
  }
}
