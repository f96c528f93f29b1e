// Drawing one token a row.
import { argI, argP, scratch } from "./runtime"
import { exp1, expDown4, hmax } from "./simd"

/**
 * Arguments: 0 logits [S, V], 1 temperature, 2 topK, 3 topP, 4 uniform, 5 ids, 6 logProb, 7 modelLogProb, 8 V. One chunk
 * is one row: its draw depends on nothing else. Probabilities are summed in double precision in vocabulary order.
 */
export function sampleChunk(row: i32): void {
  const v = argI(8)
  const at = <usize>row * 4
  const z = argP(0) + <usize>row * (<usize>v * 4)
  const temperature = load<f32>(argP(1) + at)
  const top = largest(z, v)
  const p = scratch()
  const plain = exponentials(z, v, 1, top, p)
  let id = 0
  let logProb: f32 = 0
  if (temperature == 0) {
    while (id < v - 1 && load<f32>(z + <usize>id * 4) != top) id++
  } else {
    const k = <f32>1 / temperature
    const total = temperature == 1 ? plain : exponentials(z, v, k, top, p)
    const floor = threshold(p, v, load<i32>(argP(2) + at), <f64>load<f32>(argP(3) + at), total)
    let kept: f64 = 0
    if (floor > 0) {
      for (let i = 0; i < v; i++) {
        const x = load<f32>(p + <usize>i * 4)
        if (x >= floor) kept += <f64>x
      }
    } else kept = total
    const bound = kept * <f64>load<f32>(argP(4) + at)
    let sum: f64 = 0
    id = -1
    let begin = 0
    if (floor == 0) {
      // Whole groups that stay below the bound need not be looked at one by one.
      for (; begin + 16 <= v; begin += 16) {
        const after = sum + sum16(p + <usize>begin * 4)
        if (after > bound) break
        sum = after
      }
    }
    for (let i = begin; i < v; i++) {
      const x = load<f32>(p + <usize>i * 4)
      if (x > 0 && x >= floor) {
        sum += <f64>x
        if (sum > bound) {
          id = i
          break
        }
      }
    }
    if (id < 0) {
      // Rounding kept the sum below the bound: the last token that may be drawn.
      id = v - 1
      while (id > 0 && !(load<f32>(p + <usize>id * 4) > 0 && load<f32>(p + <usize>id * 4) >= floor)) id--
    }
    logProb = <f32>(<f64>((load<f32>(z + <usize>id * 4) - top) * k) - NativeMath.log(kept))
  }
  store<i32>(argP(5) + at, id)
  store<f32>(argP(6) + at, logProb)
  store<f32>(argP(7) + at, <f32>(<f64>(load<f32>(z + <usize>id * 4) - top) - NativeMath.log(plain)))
}

function largest(z: usize, v: i32): f32 {
  let m = f32x4.splat(-Infinity)
  let i = 0
  for (; i + 4 <= v; i += 4) {
    m = f32x4.pmax(m, v128.load(z))
    z += 16
  }
  let top = hmax(m)
  for (; i < v; i++) {
    top = max<f32>(top, load<f32>(z))
    z += 4
  }
  return top
}

/** Sum of 16 numbers in double precision. */
// @ts-ignore: decorator
@inline
function sum16(p: usize): f64 {
  const a = v128.load(p), b = v128.load(p, 16), c = v128.load(p, 32), d = v128.load(p, 48)
  const low = f64x2.add(
    f64x2.add(f64x2.promote_low_f32x4(a), f64x2.promote_low_f32x4(b)),
    f64x2.add(f64x2.promote_low_f32x4(c), f64x2.promote_low_f32x4(d))
  )
  const high = f64x2.add(f64x2.add(upper(a), upper(b)), f64x2.add(upper(c), upper(d)))
  const s = f64x2.add(low, high)
  return f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1)
}

// @ts-ignore: decorator
@inline
function upper(v: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 2, 3))
}

/** Writes e^((z - top) k) and returns the sum. */
function exponentials(z: usize, v: i32, k: f32, top: f32, p: usize): f64 {
  const scale = f32x4.splat(k), shift = f32x4.splat(-top)
  const from = p
  let i = 0
  for (; i + 8 <= v; i += 8) {
    const a = expDown4(f32x4.mul(f32x4.add(v128.load(z), shift), scale))
    const b = expDown4(f32x4.mul(f32x4.add(v128.load(z, 16), shift), scale))
    v128.store(p, a)
    v128.store(p, b, 16)
    z += 32
    p += 32
  }
  for (; i < v; i++) {
    store<f32>(p, exp1((load<f32>(z) - top) * k))
    z += 4
    p += 4
  }
  let sum: f64 = 0
  p = from
  for (i = 0; i + 16 <= v; i += 16) {
    sum += sum16(p)
    p += 64
  }
  for (; i < v; i++) {
    sum += <f64>load<f32>(p)
    p += 4
  }
  return sum
}

/**
 * The probability (unnormalised) that a token must have to stay: the larger of what the `k` likeliest ask for and what
 * the smallest set of these with a share of `topP` in their mass asks for; 0 where nothing is cut. Positive floats order like
 * their bits, so a binary search over bits finds the border without sorting.
 */
function threshold(p: usize, v: i32, k: i32, topP: f64, total: f64): f32 {
  const byCount = k > 0 && k < v
  const byMass = topP < 1
  if (!byCount && !byMass) return 0
  let floor: f32 = 0
  if (byCount) {
    let low = 0, high = 0x3f800001
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (countFrom(p, v, reinterpret<f32>(middle)) >= k) low = middle
      else high = middle
    }
    floor = reinterpret<f32>(low)
  }
  if (byMass) {
    // The border is the least likely token whose likelier ones have less mass than topP together.
    const wanted = topP * (floor > 0 ? massFrom(p, v, floor) : total)
    let low = 0, high = 0x3f800001
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (massFrom(p, v, reinterpret<f32>(middle)) >= wanted) low = middle
      else high = middle
    }
    floor = max<f32>(floor, reinterpret<f32>(low))
  }
  return min<f32>(floor, 1)
}

function countFrom(p: usize, v: i32, floor: f32): i32 {
  let n = 0
  for (let i = 0; i < v; i++) n += <i32>(load<f32>(p + <usize>i * 4) >= floor)
  return n
}

function massFrom(p: usize, v: i32, floor: f32): f64 {
  let sum: f64 = 0
  for (let i = 0; i < v; i++) {
    const x = load<f32>(p + <usize>i * 4)
    if (x >= floor) sum += <f64>x
  }
  return sum
}
