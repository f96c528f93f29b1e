/** How near each kernel of DeviceWasm comes to what the machine's vector units and memory give through WebAssembly. */
import { bits, init, kernel } from "../../src/layers/device/wasm/abi.ts"
import { WasmBackend } from "../../src/layers/device/wasm/Backend.ts"
import { multiply } from "../../src/layers/device/wasm/matmul.ts"
import { Pool } from "../../src/layers/device/wasm/Pool.ts"

/** One kernel on one shape: how much it computes or moves, and in how much time at best. */
export interface Measured {
  readonly name: string
  /** GFLOP/s where it computes, GB/s where it moves. */
  readonly unit: "GFLOP/s" | "GB/s"
  readonly rate: number
  readonly microseconds: number
}

/**
 * The least of `rounds` runs. On one thread it is processor time, which other processes of the machine disturb less.
 */
const least = (pool: Pool, rounds: number, work: () => void): number => {
  for (let i = 0; i < 30; i++) work()
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < rounds; i++) {
    const before = process.cpuUsage()
    const start = performance.now()
    work()
    const wall = (performance.now() - start) * 1000
    const used = process.cpuUsage(before)
    best = Math.min(best, pool.threads === 1 && wall > 1000 ? Math.min(wall, used.user + used.system) : wall)
  }
  return best
}

/** Batch of the 0.9 M model: 32 sequences of 160 tokens, width 128, 4 heads. */
const [tokens, width, heads, length, hidden, vocabulary] = [5120, 128, 4, 160, 384, 512]
const dim = width / heads
const elements = 16384

/** Runs all kernels on `threads` threads. The caller ends the pool's threads. */
export const roofline = async (threads: number, rounds: number): Promise<ReadonlyArray<Measured>> => {
  const pool = new Pool({ device: "wasm", threads, relaxedSimd: true, wideVectors: true, limitBytes: 3e9 })
  await pool.ready()
  const backend = new WasmBackend(pool)
  pool.ensureScratch(1 << 22)
  const numbers = (size: number): number => {
    const at = pool.allocate(size * 4)
    for (let i = 0; i < size; i++) pool.f32[at / 4 + i] = Math.sin(i) / 2
    return at
  }
  const ids = (values: ReadonlyArray<number>): number => {
    const at = pool.allocate(values.length * 4)
    pool.i32.set(values, at / 4)
    return at
  }
  const found: Array<Measured> = []
  const add = (name: string, unit: Measured["unit"], amount: number, work: () => void) => {
    const microseconds = least(pool, rounds, work)
    found.push({ name, unit, rate: amount / microseconds / 1000, microseconds })
  }
  const gemm = (name: string, m: number, n: number, k: number, a: "N" | "T", b: "N" | "T") => {
    const [x, y, z] = [numbers(m * k), numbers(k * n), numbers(m * n)]
    const view = (at: number, rows: number, columns: number, kind: "N" | "T") =>
      kind === "N" ? { at, row: columns, column: 1 } : { at, row: 1, column: rows }
    const c = { at: z, row: n, column: 1 }
    const product = { a: view(x, m, k, a), b: view(y, k, n, b), c, m, n, k, start: init.zero }
    add(`GEMM ${a}${b} ${m} x ${n} x ${k} (${name})`, "GFLOP/s", 2 * m * n * k, () => multiply(backend, product))
    for (const at of [x, y, z]) pool.heap.release(at)
  }
  gemm("peak: all in the caches", 96, 192, 256, "N", "N")
  gemm("large", 1024, 1024, 1024, "N", "N")
  gemm("up projection", tokens, hidden, width, "N", "T")
  gemm("down projection", tokens, width, hidden, "N", "T")
  gemm("its input's gradient", tokens, hidden, width, "N", "N")
  gemm("its weight's gradient", width, hidden, tokens, "T", "N")
  gemm("decoding, not packed yet", 64, hidden, width, "N", "T")

  const size = tokens * hidden
  const [x, y, z, u, v] = [numbers(size), numbers(size), numbers(size), numbers(size), numbers(size)]
  const big = 2 << 20
  const [p, q] = [numbers(big), numbers(big)]
  add("copy 8 MiB", "GB/s", big * 8, () => {
    pool.run(kernel.unary, big / elements, [p, q, big, elements, 1, 0, 0])
  })
  const chunks = Math.ceil(size / elements)
  add("add", "GB/s", size * 12, () => pool.run(kernel.binary, chunks, [x, y, z, 0, 1, 0, 1, 1, size, 1, elements, 0]))
  add("SwiGLU", "GB/s", size * 12, () => pool.run(kernel.swiGlu, chunks, [x, y, z, size, elements]))
  add(
    "SwiGLU, gradient",
    "GB/s",
    size * 20,
    () => pool.run(kernel.swiGluGrad, chunks, [x, y, z, u, v, size, elements])
  )
  const eps = bits(1e-6)
  const each = elements / width
  const parts = tokens / each
  const narrow = tokens * width
  add("RMSNorm", "GB/s", narrow * 8, () => pool.run(kernel.rmsNorm, parts, [x, y, z, tokens, width, eps, each]))
  add(
    "RMSNorm, gradient",
    "GB/s",
    narrow * 12,
    () => pool.run(kernel.rmsNormGrad, parts, [x, y, z, u, tokens, width, eps, each, v, 0])
  )
  const positions = ids(Array.from({ length: tokens }, (_, i) => i % length))
  add("rotary embedding", "GB/s", narrow * 8, () => {
    pool.run(kernel.rope, parts, [x, positions, y, z, u, tokens, heads, dim, bits(1), each])
  })
  const sequences = tokens / length
  const cu = ids(Array.from({ length: sequences + 1 }, (_, i) => i * length))
  const scale = bits(dim ** -0.5)
  const [w, lse, dq, dk, dv] = [numbers(narrow), numbers(tokens * heads), numbers(narrow), numbers(narrow), numbers(narrow)]
  const causal = sequences * heads * length * (length + 1) / 2 * dim
  add("causal attention", "GFLOP/s", 4 * causal, () => {
    pool.run(kernel.attention, sequences * heads, [x, y, z, w, lse, cu, heads, heads, dim, scale, length, 480, 1])
  })
  add("causal attention, gradient", "GFLOP/s", 10 * causal, () => {
    const args = [x, y, z, w, lse, u, cu, dq, dk, dv, heads, heads, dim, scale, length]
    pool.run(kernel.attentionGrad, sequences * heads, args)
  })
  const [rows, cached, block, blocks] = [64, 80, 16, 8]
  const pools = [numbers((rows * blocks + 1) * block * width), numbers((rows * blocks + 1) * block * width)] as const
  const table = ids(Array.from({ length: rows * blocks }, (_, i) => i + 1))
  const order = ids(Array.from({ length: rows }, (_, i) => i))
  const last = ids(Array.from({ length: rows }, () => cached - 1))
  const pairs = ids(Array.from({ length: rows }, (_, i) => [i, 1]).flat())
  add("attention over the cache, 64 x 80 tokens", "GB/s", rows * cached * width * 8, () => {
    const shape = [heads, heads, dim, scale, cached, block, blocks, pairs, heads]
    pool.run(kernel.pagedAttention, rows, [x, ...pools, table, order, last, w, ...shape])
  })
  const targets = ids(Array.from({ length: 512 }, (_, i) => i))
  add("log-probability and entropy of a tile 512 x 512", "GB/s", 512 * vocabulary * 4, () => {
    pool.run(kernel.logProbTile, 16, [x, vocabulary * 4, 512, 0, vocabulary, targets, u, bits(1), 32, 1, w, dq, dk])
  })
  const parameters = 1 << 20
  add("AdamW", "GB/s", parameters * 28, () => {
    const rates = [1, 0.9, 0.1, 0.999, 0.001, 1, 1e-8, 1e-5, 1].map(bits)
    pool.run(kernel.adamW, parameters / elements, [x, y, z, u, parameters, elements, ...rates])
  })
  add("sum of squares", "GB/s", size * 4, () => pool.run(kernel.sumSquares, chunks, [x, size, elements, v]))
  await pool.close()
  return found
}
