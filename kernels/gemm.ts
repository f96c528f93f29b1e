// C = A * B (+ C or + another matrix) for any strides and batches: transposed operands and sub-matrices are read where they are.
import { block, INIT_C } from "./block"
import { packA, packB } from "./pack"
import { argI, argP, scratch } from "./runtime"

/** Depth of a cache block: a B panel of 16 x 384 and an A group of 6 x 384 share the first-level cache. */
const KC: i32 = 384
/** Columns packed at once: 384 x 512 floats stay in the second-level cache. */
const NC: i32 = 512
/** Rows of A that pass over one packed B before the next panel. */
const MC: i32 = 96
/** B is read in place, not packed, where it is used by so few rows that packing costs more than it saves. */
const DIRECT_ROWS: i32 = 24

/**
 * One chunk of a matrix product. Arguments: 0 A, 1-2 its row and column strides (bytes), 3 B, 4-5 its strides, 6 C,
 * 7 its row stride, 8 M, 9 N, 10 K, 11 what to start from, 12 init, 13 rows and 14 columns a chunk, 15-17 batch strides of
 * A, B, C, 18 chunks along M, 19 chunks along N, 20 whether B is packed already (by packChunk, as K rows x N columns), 21 row
 * stride of what to start from (bytes, 0 for one row for all).
 */
export function gemmChunk(index: i32): void {
  const rsA = argP(1), csA = argP(2), rsB = argP(4), csB = argP(5), ldc = argP(7)
  const m = argI(8), n = argI(9), k = argI(10), init = argI(12)
  const rows = argI(13), columns = argI(14), mChunks = argI(18), nChunks = argI(19)
  const perBatch = mChunks * nChunks
  const batch = index / perBatch
  const within = index - batch * perBatch
  const nIndex = within / mChunks
  const m0 = (within - nIndex * mChunks) * rows
  const n0 = nIndex * columns
  const mHere = min(rows, m - m0), nHere = min(columns, n - n0)
  const a = argP(0) + <usize>batch * argP(15) + <usize>m0 * rsA
  const ready = argI(20) != 0
  // A packed B is a row of panels: 16 columns are as far apart as a whole panel is long.
  const b = argP(3) + <usize>batch * argP(16) + (ready ? <usize>(n0 >> 4) * (<usize>k * 64) : <usize>n0 * csB)
  const c = argP(6) + <usize>batch * argP(17) + <usize>m0 * ldc + <usize>n0 * 4
  const tmp = scratch()
  const bufferA = tmp + 512
  const bufferB = bufferA + <usize>(MC * KC * 4)
  const blocks = (k + KC - 1) / KC
  const kc = ((k + blocks - 1) / blocks + 3) & ~3
  const rowsInPlace = csA == 4
  const direct = !ready && mHere <= DIRECT_ROWS && csB == 4
  for (let jc = 0; jc < nHere; jc += NC) {
    const nb = min(NC, nHere - jc)
    for (let pc = 0; pc < k; pc += kc) {
      const kb = min(kc, k - pc)
      const bp = ready
        ? b + <usize>(jc >> 4) * (<usize>k * 64) + <usize>pc * 64
        : b + <usize>jc * csB + <usize>pc * rsB
      if (!direct && !ready) packB(bp, rsB, csB, kb, nb, bufferB, <usize>kb * 64)
      const mode = pc == 0 ? init : INIT_C
      const ldf = argP(21)
      const from = argP(11) + <usize>m0 * ldf + <usize>(n0 + jc) * 4
      for (let ic = 0; ic < mHere; ic += MC) {
        const mb = min(MC, mHere - ic)
        const ap = a + <usize>ic * rsA + <usize>pc * csA
        const cp = c + <usize>ic * ldc + <usize>jc * 4
        const fp = from + <usize>ic * ldf
        const panels = direct || ready ? bp : bufferB
        const bs: usize = direct ? rsB : 64
        const bpanel: usize = direct ? 64 : <usize>(ready ? k : kb) * 64
        if (rowsInPlace) block(false, ap, rsA, rsA * 6, mb, panels, bs, bpanel, nb, kb, cp, ldc, mode, fp, ldf, tmp)
        else {
          packA(ap, rsA, csA, mb, kb, bufferA)
          block(true, bufferA, 0, <usize>kb * 24, mb, panels, bs, bpanel, nb, kb, cp, ldc, mode, fp, ldf, tmp)
        }
      }
    }
  }
}

/**
 * Packs B for a product. Arguments: 0 B, 1-2 its strides (bytes), 3 K, 4 N, 5 out, 6 columns (a multiple of 16) and 7 rows a
 * chunk.
 */
export function packChunk(index: i32): void {
  const k = argI(3), down = (k + argI(7) - 1) / argI(7)
  const across = index / down
  const row = (index - across * down) * argI(7), column = across * argI(6)
  const panel = <usize>k * 64
  const from = argP(0) + <usize>row * argP(1) + <usize>column * argP(2)
  const to = argP(5) + <usize>(column >> 4) * panel + <usize>row * 64
  packB(from, argP(1), argP(2), min(argI(7), k - row), min(argI(6), argI(4) - column), to, panel)
}
