// Log-probability and entropy of given tokens out of tiles of logits, and the gradient of the logits.
import { argF, argI, argP } from "./runtime"
import { exp1, expDown4, fma, hmax, hsum, loadTail, log1, storeTail } from "./simd"

/**
 * Folds a tile of logits into each row's running state [max, sum e^(z - max), sum z e^(z - max), target z], with
 * z = logit / temperature. Arguments: 0 logits, 1 their row stride (bytes), 2 rows, 3 first vocabulary index of the
 * tile, 4 columns, 5 targets, 6 state (rows x 4), 7 1/temperature, 8 rows a chunk, 9 whether this is the last tile:
 * then 10 logProb, 11 entropy, 12 lse are written.
 */
export function logProbTileChunk(index: i32): void {
  const v0 = argI(3), columns = argI(4), k = argF(7)
  const begin = index * argI(8), end = min(begin + argI(8), argI(2))
  const scale = f32x4.splat(k)
  for (let row = begin; row < end; row++) {
    const z = argP(0) + <usize>row * argP(1)
    const state = argP(6) + <usize>row * 16
    const target = load<i32>(argP(5) + <usize>row * 4) - v0
    if (target >= 0 && target < columns) store<f32>(state, load<f32>(z + <usize>target * 4) * k, 12)
    const rest = columns & 3
    const body = <usize>(columns - rest) * 4
    let top = f32x4.splat(-Infinity)
    for (let i: usize = 0; i < body; i += 16) top = f32x4.pmax(top, f32x4.mul(v128.load(z + i), scale))
    if (rest > 0) top = f32x4.max(top, f32x4.mul(loadTail(z + body, rest, -Infinity), scale))
    const before: f32 = v0 == 0 ? <f32>-Infinity : load<f32>(state)
    const m = max<f32>(hmax(top), before)
    const shift = f32x4.splat(-m)
    let s0 = f32x4.splat(0), s1 = s0, t0 = s0, t1 = s0
    let o: usize = 0
    for (; o + 32 <= body; o += 32) {
      // Sums of (z - max) e^(z - max), not of z: no cancellation when logits are large.
      const x0 = fma(v128.load(z + o), scale, shift), x1 = fma(v128.load(z + o, 16), scale, shift)
      const e0 = expDown4(x0), e1 = expDown4(x1)
      s0 = f32x4.add(s0, e0)
      s1 = f32x4.add(s1, e1)
      t0 = fma(x0, e0, t0)
      t1 = fma(x1, e1, t1)
    }
    for (; o < body; o += 16) {
      const x = fma(v128.load(z + o), scale, shift)
      const e = expDown4(x)
      s0 = f32x4.add(s0, e)
      t0 = fma(x, e, t0)
    }
    let sum = hsum(f32x4.add(s0, s1)), moment = hsum(f32x4.add(t0, t1))
    for (let i = 0; i < rest; i++) {
      const x = load<f32>(z + body + <usize>i * 4) * k - m
      const e = exp1(x)
      sum += e
      if (e > 0) moment += x * e
    }
    if (v0 != 0) {
      const lower = before - m
      const old = exp1(lower)
      if (old > 0) {
        sum += load<f32>(state, 4) * old
        moment += (load<f32>(state, 8) + lower * load<f32>(state, 4)) * old
      }
    }
    store<f32>(state, m)
    store<f32>(state, sum, 4)
    store<f32>(state, moment, 8)
    if (argI(9) != 0) {
      const logSum = log1(sum)
      const at = <usize>row * 4
      store<f32>(argP(10) + at, load<f32>(state, 12) - m - logSum)
      store<f32>(argP(11) + at, logSum - moment / sum)
      store<f32>(argP(12) + at, m + logSum)
    }
  }
}

/**
 * Turns a tile of logits into the gradient of the logits, in place:
 * `(dLogProb (1[target] - p) - dEntropy p (log p + entropy)) / temperature`. Arguments: 0 logits, 1 row stride (bytes),
 * 2 rows, 3 first vocabulary index, 4 columns, 5 targets, 6 lse, 7 entropy, 8 dLogProb, 9 dEntropy, 10 1/temperature,
 * 11 rows a chunk.
 */
export function logProbGradTileChunk(index: i32): void {
  const v0 = argI(3), columns = argI(4), k = argF(10)
  const begin = index * argI(11), end = min(begin + argI(11), argI(2))
  const scale = f32x4.splat(k)
  for (let row = begin; row < end; row++) {
    const z = argP(0) + <usize>row * argP(1)
    const at = <usize>row * 4
    const dLogProb = load<f32>(argP(8) + at), dEntropy = load<f32>(argP(9) + at)
    const shift = f32x4.splat(-load<f32>(argP(6) + at))
    // -(dLogProb + dEntropy (log p + H)) / temperature = a log p + b
    const a = f32x4.splat(-dEntropy * k), b = f32x4.splat(-(dLogProb + dEntropy * load<f32>(argP(7) + at)) * k)
    let o: usize = 0
    let i = 0
    for (; i + 8 <= columns; i += 8) {
      const x0 = fma(v128.load(z + o), scale, shift), x1 = fma(v128.load(z + o, 16), scale, shift)
      const g0 = f32x4.mul(expDown4(x0), fma(a, x0, b))
      const g1 = f32x4.mul(expDown4(x1), fma(a, x1, b))
      v128.store(z + o, g0)
      v128.store(z + o, g1, 16)
      o += 32
    }
    for (; i < columns; i += 4, o += 16) {
      const n = columns - i
      const x = fma(n >= 4 ? v128.load(z + o) : loadTail(z + o, n, 0), scale, shift)
      const g = f32x4.mul(expDown4(x), fma(a, x, b))
      if (n >= 4) v128.store(z + o, g)
      else storeTail(z + o, g, n)
    }
    const target = load<i32>(argP(5) + at) - v0
    if (target >= 0 && target < columns) {
      const p = z + <usize>target * 4
      store<f32>(p, load<f32>(p) + dLogProb * k)
    }
  }
}
