// Rotary position embedding in the rotate-half convention.
import { argF, argI, argP } from "./runtime"
import { fma } from "./simd"

/**
 * Arguments: 0 x [T, H, D], 1 positions, 2 cos [P, D/2], 3 sin [P, D/2], 4 y, 5 T, 6 H, 7 D, 8 sign of the angle
 * (-1 turns back), 9 tokens a chunk.
 */
export function ropeChunk(index: i32): void {
  const heads = argI(6), d = argI(7), sign = argF(8)
  const half = d >> 1
  const hb = <usize>half * 4
  const begin = index * argI(9), end = min(begin + argI(9), argI(5))
  const signs = f32x4.splat(sign)
  let x = argP(0) + <usize>(begin * heads * d) * 4
  let y = argP(4) + <usize>(begin * heads * d) * 4
  for (let t = begin; t < end; t++) {
    const position = load<i32>(argP(1) + <usize>t * 4)
    const cos = argP(2) + <usize>(position * half) * 4
    const sin = argP(3) + <usize>(position * half) * 4
    for (let h = 0; h < heads; h++) {
      let i = 0
      let o: usize = 0
      for (; i + 4 <= half; i += 4) {
        const c = v128.load(cos + o), s = f32x4.mul(v128.load(sin + o), signs)
        const a = v128.load(x + o), b = v128.load(x + hb + o)
        v128.store(y + o, fma(f32x4.neg(b), s, f32x4.mul(a, c)))
        v128.store(y + hb + o, fma(a, s, f32x4.mul(b, c)))
        o += 16
      }
      for (; i < half; i++) {
        const c = load<f32>(cos + o), s = load<f32>(sin + o) * sign
        const a = load<f32>(x + o), b = load<f32>(x + hb + o)
        store<f32>(y + o, a * c - b * s)
        store<f32>(y + hb + o, b * c + a * s)
        o += 4
      }
      x += hb * 2
      y += hb * 2
    }
  }
}
