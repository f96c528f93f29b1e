// Root-mean-square normalisation over rows of D: y = x / sqrt(mean(x^2) + eps) * w, and its gradient.
import { argF, argI, argP } from "./runtime"
import { fma, hsum } from "./simd"
import { ZEROS } from "./block"

function inverseRms(x: usize, d: i32, eps: f32): f32 {
  let s0 = f32x4.splat(0), s1 = f32x4.splat(0)
  let i = 0
  let p = x
  for (; i + 8 <= d; i += 8) {
    const a = v128.load(p), b = v128.load(p, 16)
    s0 = fma(a, a, s0)
    s1 = fma(b, b, s1)
    p += 32
  }
  let sum = hsum(f32x4.add(s0, s1))
  for (; i < d; i++) {
    const a = load<f32>(p)
    sum += a * a
    p += 4
  }
  // Not the scalar square root: V8 emits a legacy SSE instruction for it, which stalls behind 256-bit ones.
  const root = f32x4.sqrt(f32x4.splat(sum / <f32>d + eps))
  return <f32>1 / f32x4.extract_lane(root, 0)
}

/** Arguments: 0 x, 1 weight, 2 y, 3 rows, 4 D, 5 eps, 6 rows a chunk. */
export function rmsNormChunk(index: i32): void {
  const d = argI(4), eps = argF(5)
  const begin = index * argI(6), end = min(begin + argI(6), argI(3))
  const width = <usize>d * 4
  for (let row = begin; row < end; row++) {
    let x = argP(0) + <usize>row * width
    let y = argP(2) + <usize>row * width
    let w = argP(1)
    const scale = inverseRms(x, d, eps)
    const s = f32x4.splat(scale)
    let i = 0
    for (; i + 8 <= d; i += 8) {
      const y0 = f32x4.mul(f32x4.mul(v128.load(x), s), v128.load(w))
      const y1 = f32x4.mul(f32x4.mul(v128.load(x, 16), s), v128.load(w, 16))
      v128.store(y, y0)
      v128.store(y, y1, 16)
      x += 32
      y += 32
      w += 32
    }
    for (; i < d; i++) {
      store<f32>(y, load<f32>(x) * scale * load<f32>(w))
      x += 4
      y += 4
      w += 4
    }
  }
}

/**
 * Arguments: 0 x, 1 weight, 2 dy, 3 dx, 4 rows, 5 D, 6 eps, 7 rows a chunk, 8 partial sums of dw, one row a chunk, 9 what to
 * add to dx (0: nothing). The chunks' rows are added by a column sum afterwards, in the order of chunks.
 */
export function rmsNormGradChunk(index: i32): void {
  const d = argI(5), eps = argF(6)
  const begin = index * argI(7), end = min(begin + argI(7), argI(4))
  const width = <usize>d * 4
  const w = argP(1)
  const dw = argP(8) + <usize>index * width
  for (let i: usize = 0; i < width; i += 4) store<f32>(dw + i, 0)
  for (let row = begin; row < end; row++) {
    const x = argP(0) + <usize>row * width
    const dy = argP(2) + <usize>row * width
    const dx = argP(3) + <usize>row * width
    const scale = inverseRms(x, d, eps)
    const s = f32x4.splat(scale)
    let p0 = f32x4.splat(0), p1 = f32x4.splat(0)
    let i = 0
    let o: usize = 0
    for (; i + 8 <= d; i += 8) {
      const xs0 = v128.load(x + o), xs1 = v128.load(x + o, 16)
      const g0 = v128.load(dy + o), g1 = v128.load(dy + o, 16)
      p0 = fma(f32x4.mul(g0, v128.load(w + o)), xs0, p0)
      p1 = fma(f32x4.mul(g1, v128.load(w + o, 16)), xs1, p1)
      const w0 = fma(g0, f32x4.mul(xs0, s), v128.load(dw + o))
      const w1 = fma(g1, f32x4.mul(xs1, s), v128.load(dw + o, 16))
      v128.store(dw + o, w0)
      v128.store(dw + o, w1, 16)
      o += 32
    }
    let projection = hsum(f32x4.add(p0, p1))
    for (; i < d; i++) {
      const g = load<f32>(dy + o), xi = load<f32>(x + o)
      projection += g * load<f32>(w + o) * xi
      store<f32>(dw + o, load<f32>(dw + o) + g * (xi * scale))
      o += 4
    }
    const c = -projection / <f32>d * scale * scale * scale
    const cs = f32x4.splat(c)
    // Zeros where nothing is to be added: the same 32 bytes again and again.
    const add = argP(9) != 0 ? argP(9) + <usize>row * width : ZEROS
    const along: usize = argP(9) != 0 ? ~0 : 0
    i = 0
    o = 0
    for (; i + 8 <= d; i += 8) {
      const z = add + (o & along)
      const g0 = f32x4.mul(f32x4.mul(v128.load(dy + o), v128.load(w + o)), s)
      const g1 = f32x4.mul(f32x4.mul(v128.load(dy + o, 16), v128.load(w + o, 16)), s)
      const d0 = f32x4.add(v128.load(z), fma(v128.load(x + o), cs, g0))
      const d1 = f32x4.add(v128.load(z, 16), fma(v128.load(x + o, 16), cs, g1))
      v128.store(dx + o, d0)
      v128.store(dx + o, d1, 16)
      o += 32
    }
    for (; i < d; i++) {
      const g = load<f32>(x + o) * c + load<f32>(dy + o) * load<f32>(w + o) * scale
      store<f32>(dx + o, load<f32>(add + (o & along)) + g)
      o += 4
    }
  }
}
