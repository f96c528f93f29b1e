/** Plain float64 implementations of the fused operations, written for clarity: what every device is held against. */

export type Numbers = Float64Array

export const from = (values: ArrayLike<number>): Numbers => Float64Array.from(values)

export const rmsNorm = (x: Numbers, weight: Numbers, eps: number): Numbers => {
  const dim = weight.length
  const y = new Float64Array(x.length)
  for (let row = 0; row < x.length; row += dim) {
    let sum = 0
    for (let i = 0; i < dim; i++) sum += x[row + i]! ** 2
    const inverse = 1 / Math.sqrt(sum / dim + eps)
    for (let i = 0; i < dim; i++) y[row + i] = x[row + i]! * inverse * weight[i]!
  }
  return y
}

export const rope = (
  x: Numbers,
  positions: Int32Array,
  cos: Numbers,
  sin: Numbers,
  heads: number,
  dim: number,
  inverse = false
): Numbers => {
  const half = dim / 2
  const y = new Float64Array(x.length)
  positions.forEach((position, t) => {
    for (let h = 0; h < heads; h++) {
      const base = (t * heads + h) * dim
      for (let i = 0; i < half; i++) {
        const c = cos[position * half + i]!
        const s = sin[position * half + i]! * (inverse ? -1 : 1)
        y[base + i] = x[base + i]! * c - x[base + i + half]! * s
        y[base + i + half] = x[base + i + half]! * c + x[base + i]! * s
      }
    }
  })
  return y
}

export interface Heads {
  readonly heads: number
  readonly kv: number
  readonly dim: number
}

/** Attention of one query over `keys` cached tokens. */
const attend = (
  q: Numbers,
  qAt: number,
  k: (token: number) => Numbers,
  v: (token: number) => Numbers,
  keys: number,
  scale: number
): Numbers => {
  const scores = Float64Array.from({ length: keys }, (_, j) => {
    const key = k(j)
    let dot = 0
    for (let d = 0; d < key.length; d++) dot += q[qAt + d]! * key[d]!
    return dot * scale
  })
  const max = Math.max(...scores)
  const weights = scores.map((score) => Math.exp(score - max))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const out = new Float64Array(v(0).length)
  weights.forEach((weight, j) => {
    const value = v(j)
    for (let d = 0; d < out.length; d++) out[d]! += weight / total * value[d]!
  })
  return out
}

export const attention = (
  q: Numbers,
  k: Numbers,
  v: Numbers,
  cuSeqlens: Int32Array,
  scale: number,
  { dim, heads, kv }: Heads
): Numbers => {
  const out = new Float64Array(q.length)
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    for (let t = cuSeqlens[s]!; t < cuSeqlens[s + 1]!; t++) {
      for (let h = 0; h < heads; h++) {
        const g = Math.floor(h * kv / heads)
        const row = (x: Numbers) => (j: number) => {
          const at = ((cuSeqlens[s]! + j) * kv + g) * dim
          return x.subarray(at, at + dim)
        }
        const at = (t * heads + h) * dim
        out.set(attend(q, at, row(k), row(v), t - cuSeqlens[s]! + 1, scale), at)
      }
    }
  }
  return out
}

export const pagedAttention = (
  q: Numbers,
  kPool: Numbers,
  vPool: Numbers,
  blockTable: Int32Array,
  maxBlocks: number,
  blockSize: number,
  tokenSeq: Int32Array,
  tokenPos: Int32Array,
  scale: number,
  { dim, heads, kv }: Heads
): Numbers => {
  const out = new Float64Array(q.length)
  tokenSeq.forEach((sequence, t) => {
    for (let h = 0; h < heads; h++) {
      const g = Math.floor(h * kv / heads)
      const row = (pool: Numbers) => (j: number) => {
        const block = blockTable[sequence * maxBlocks + Math.floor(j / blockSize)]!
        const at = ((block * blockSize + j % blockSize) * kv + g) * dim
        return pool.subarray(at, at + dim)
      }
      const at = (t * heads + h) * dim
      out.set(attend(q, at, row(kPool), row(vPool), tokenPos[t]! + 1, scale), at)
    }
  })
  return out
}

export const swiGlu = (gate: Numbers, up: Numbers): Numbers => gate.map((g, i) => g / (1 + Math.exp(-g)) * up[i]!)

export const softmax = (logits: Numbers): Numbers => {
  const max = Math.max(...logits)
  const exp = logits.map((z) => Math.exp(z - max))
  const total = exp.reduce((sum, e) => sum + e, 0)
  return exp.map((e) => e / total)
}

/** `[logProb…, entropy…]` */
export const tokenLogProb = (
  hidden: Numbers,
  head: Numbers,
  targets: Int32Array,
  dim: number,
  temperature: number
): Numbers => {
  const tokens = targets.length
  const vocab = head.length / dim
  const out = new Float64Array(2 * tokens)
  for (let t = 0; t < tokens; t++) {
    const logits = Float64Array.from({ length: vocab }, (_, w) => {
      let dot = 0
      for (let d = 0; d < dim; d++) dot += hidden[t * dim + d]! * head[w * dim + d]!
      return dot / temperature
    })
    const p = softmax(logits)
    out[t] = Math.log(p[targets[t]!]!)
    out[tokens + t] = -p.reduce((sum, x) => x > 0 ? sum + x * Math.log(x) : sum, 0)
  }
  return out
}

export const adamW = (
  state: { readonly param: Numbers; readonly m: Numbers; readonly v: Numbers },
  grad: Numbers,
  o: {
    readonly lr: number
    readonly beta1: number
    readonly beta2: number
    readonly eps: number
    readonly weightDecay: number
    readonly step: number
    readonly gradScale: number
  }
): { readonly param: Numbers; readonly m: Numbers; readonly v: Numbers } => {
  const g = grad.map((x) => x * o.gradScale)
  const m = state.m.map((x, i) => o.beta1 * x + (1 - o.beta1) * g[i]!)
  const v = state.v.map((x, i) => o.beta2 * x + (1 - o.beta2) * g[i]! ** 2)
  const param = state.param.map((p, i) => {
    const mHat = m[i]! / (1 - o.beta1 ** o.step)
    const vHat = v[i]! / (1 - o.beta2 ** o.step)
    return p * (1 - o.lr * o.weightDecay) - o.lr * mHat / (Math.sqrt(vHat) + o.eps)
  })
  return { param, m, v }
}

/** One row of the sampling distribution: temperature, then top-k, then top-p of what that leaves, ties at the border kept. */
export const samplingDistribution = (logits: Numbers, temperature: number, topK: number, topP: number): Numbers => {
  const p = softmax(logits.map((z) => z / temperature))
  const sorted = [...p].sort((a, b) => b - a)
  const least = topK <= 0 ? 0 : sorted[Math.min(topK, sorted.length) - 1]!
  const likely = sorted.filter((x) => x >= least)
  const mass = topP * likely.reduce((sum, x) => sum + x, 0)
  let threshold = sorted[0]!
  let before = 0
  for (const x of likely) {
    if (before > 0 && topP < 1 && before >= mass) break
    threshold = x
    before += x
  }
  const kept = p.map((x) => x >= threshold ? x : 0)
  const total = kept.reduce((sum, x) => sum + x, 0)
  return kept.map((x) => x / total)
}

/** Central differences of `Σ f(inputs) · dy` in one input, in float64. */
export const numericGradient = (
  f: (inputs: ReadonlyArray<Numbers>) => Numbers,
  inputs: ReadonlyArray<Numbers>,
  which: number,
  dy: Numbers
): Numbers => {
  const h = 1e-5
  const weighted = (values: ReadonlyArray<Numbers>) => f(values).reduce((sum, y, i) => sum + y * dy[i]!, 0)
  return inputs[which]!.map((value, i) => {
    const at = (x: number) => weighted(inputs.map((input, n) => n === which ? input.with(i, x) : input))
    return (at(value + h) - at(value - h)) / (2 * h)
  })
}
