// C (+)= A * packed B for one cache block, by register tiles. Every element of C is one chain of multiply-adds in the
// order of k, whatever the blocking: results do not depend on tile, chunk, batch position or thread.
import * as micro from "./micro.generated"
import { MR, NR } from "./pack"

/** Zeros to initialise accumulators from: 128 bytes that nobody writes. */
export const ZEROS: usize = 512
/** Where an accumulator starts: nothing, what C holds, or another matrix (whose rows may all be the same one). */
export const INIT_ZERO: i32 = 0
export const INIT_C: i32 = 1
export const INIT_FROM: i32 = 2

// @ts-ignore: decorator
@inline
function tile(
  rows: i32,
  packed: bool,
  a: usize,
  as: usize,
  b: usize,
  bs: usize,
  s: usize,
  lds: usize,
  c: usize,
  ldc: usize,
  k: i32
): void {
  if (packed) micro.cols(rows, a, as, b, bs, s, lds, c, ldc, k)
  else micro.rows(rows, a, as, b, bs, s, lds, c, ldc, k)
}

/**
 * Multiplies `m` x `k` of A by `n` columns of B.
 *
 * @param a first element of A. Row-major when `packed` is false (`as` = bytes between rows, columns contiguous); else
 *   column by column (`as` = bytes between columns, rows contiguous), `apanel` bytes between groups of six rows
 *   (24 for a plain transposed matrix). `as` 0 means interleaved by the group's own height, as packA leaves it.
 * @param b panels of 16 columns; `bs` bytes between rows within a panel, `bpanel` between panels
 * @param init where accumulators start; for INIT_FROM `from` is that matrix, `ldf` bytes between its rows
 * @param tmp 384 bytes of scratch for tiles that overhang the right edge
 */
export function block(
  packed: bool,
  a: usize,
  as: usize,
  apanel: usize,
  m: i32,
  b: usize,
  bs: usize,
  bpanel: usize,
  n: i32,
  k: i32,
  c: usize,
  ldc: usize,
  init: i32,
  from: usize,
  ldf: usize,
  tmp: usize
): void {
  for (let j = 0; j < n; j += NR) {
    const width = n - j
    let ap = a
    let cp = c + <usize>j * 4
    let fp = from + <usize>j * 4
    for (let i = 0; i < m; i += MR) {
      const h = min(MR, m - i)
      const step = as == 0 ? <usize>h * 4 : as
      if (width >= NR) {
        const s = init == INIT_ZERO ? ZEROS : init == INIT_C ? cp : fp
        const lds: usize = init == INIT_ZERO ? 0 : init == INIT_C ? ldc : ldf
        tile(h, packed, ap, step, b, bs, s, lds, cp, ldc, k)
      } else {
        for (let r = 0; r < h; r++) {
          const src = init == INIT_C ? cp + <usize>r * ldc : fp + <usize>r * ldf
          for (let x = 0; x < width; x++) {
            store<f32>(tmp + <usize>(r * NR + x) * 4, init == INIT_ZERO ? 0 : load<f32>(src + <usize>x * 4))
          }
        }
        tile(h, packed, ap, step, b, bs, tmp, 64, tmp, 64, k)
        for (let r = 0; r < h; r++) {
          for (let x = 0; x < width; x++) {
            store<f32>(cp + <usize>r * ldc + <usize>x * 4, load<f32>(tmp + <usize>(r * NR + x) * 4))
          }
        }
      }
      ap += apanel
      cp += ldc * MR
      fp += ldf * MR
    }
    b += bpanel
  }
}
