// silu(gate) * up and its gradient, element by element.
import { argI, argP } from "./runtime"
import { fma, loadTail, sigmoid4, storeTail } from "./simd"

/** Arguments: 0 gate, 1 up, 2 y, 3 elements, 4 elements a chunk (a multiple of 8). */
export function swiGluChunk(index: i32): void {
  const begin = index * argI(4), end = min(begin + argI(4), argI(3))
  const offset = <usize>begin * 4
  let g = argP(0) + offset, u = argP(1) + offset, y = argP(2) + offset
  let i = begin
  for (; i + 8 <= end; i += 8) {
    const a = v128.load(g), b = v128.load(g, 16)
    const r0 = f32x4.mul(f32x4.mul(a, sigmoid4(a)), v128.load(u))
    const r1 = f32x4.mul(f32x4.mul(b, sigmoid4(b)), v128.load(u, 16))
    v128.store(y, r0)
    v128.store(y, r1, 16)
    g += 32
    u += 32
    y += 32
  }
  for (; i < end; i += 4) {
    const n = end - i
    const a = n >= 4 ? v128.load(g) : loadTail(g, n, 0)
    const b = n >= 4 ? v128.load(u) : loadTail(u, n, 0)
    const r = f32x4.mul(f32x4.mul(a, sigmoid4(a)), b)
    if (n >= 4) v128.store(y, r)
    else storeTail(y, r, n)
    g += 16
    u += 16
    y += 16
  }
}

/** Arguments: 0 gate, 1 up, 2 dy, 3 dGate, 4 dUp, 5 elements, 6 elements a chunk (a multiple of 8). */
export function swiGluGradChunk(index: i32): void {
  const begin = index * argI(6), end = min(begin + argI(6), argI(5))
  const offset = <usize>begin * 4
  let g = argP(0) + offset, u = argP(1) + offset, d = argP(2) + offset
  let dg = argP(3) + offset, du = argP(4) + offset
  const one = f32x4.splat(1)
  let i = begin
  for (; i + 8 <= end; i += 8) {
    const a0 = v128.load(g), a1 = v128.load(g, 16)
    const d0 = v128.load(d), d1 = v128.load(d, 16)
    const s0 = sigmoid4(a0), s1 = sigmoid4(a1)
    const t0 = f32x4.mul(a0, s0), t1 = f32x4.mul(a1, s1)
    const u0 = f32x4.mul(d0, t0), u1 = f32x4.mul(d1, t1)
    const g0 = f32x4.mul(f32x4.mul(d0, v128.load(u)), fma(t0, f32x4.sub(one, s0), s0))
    const g1 = f32x4.mul(f32x4.mul(d1, v128.load(u, 16)), fma(t1, f32x4.sub(one, s1), s1))
    v128.store(du, u0)
    v128.store(du, u1, 16)
    v128.store(dg, g0)
    v128.store(dg, g1, 16)
    g += 32
    u += 32
    d += 32
    dg += 32
    du += 32
  }
  for (; i < end; i += 4) {
    const n = end - i
    const a = n >= 4 ? v128.load(g) : loadTail(g, n, 0)
    const b = n >= 4 ? v128.load(u) : loadTail(u, n, 0)
    const e = n >= 4 ? v128.load(d) : loadTail(d, n, 0)
    const s = sigmoid4(a)
    const t = f32x4.mul(a, s)
    const x = f32x4.mul(e, t)
    const z = f32x4.mul(f32x4.mul(e, b), fma(t, f32x4.sub(one, s), s))
    if (n >= 4) {
      v128.store(du, x)
      v128.store(dg, z)
    } else {
      storeTail(du, x, n)
      storeTail(dg, z, n)
    }
    g += 16
    u += 16
    d += 16
    dg += 16
    du += 16
  }
}
