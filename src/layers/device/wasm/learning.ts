/**
 * Log-probabilities under a head, the optimizer's arithmetic, and drawing tokens.
 *
 * @since 0.1.0
 */
import { bits, init, kernel } from "./abi.ts"
import { sizeOf } from "./Backend.ts"
import { elementChunk, rowChunk } from "./fused.ts"
import { checkIndices, type Kernel } from "./kernel.ts"
import { multiply } from "./matmul.ts"

/** Logits held at once: 1 MiB, so that the second-level caches still have them when they are read again. */
const tileElements = 1 << 18
const tileColumns = 512

interface Tiles {
  readonly rows: number
  readonly columns: number
}

const tiles = (tokens: number, vocab: number): Tiles => {
  const columns = Math.min(vocab, tileColumns)
  return { rows: Math.min(tokens, Math.max(96, Math.floor(tileElements / columns / 96) * 96)), columns }
}

export const tokenLogProb: Kernel = (backend, call) => {
  const [hidden, head, targets] = [call.input("hidden"), call.input("head"), call.input("targets")]
  const temperature = call.number("temperature")
  const [tokens = 0, dim = 0] = hidden.shape
  const vocab = head.shape[0] ?? 0
  checkIndices(backend, "targets", targets, vocab)
  const logProb = backend.makeTensorInfo([tokens], "float32")
  const entropy = backend.makeTensorInfo([tokens], "float32")
  const lse = backend.makeTensorInfo([tokens], "float32")
  const { columns, rows } = tiles(tokens, vocab)
  const { pool } = backend
  const tile = pool.temporary(rows * columns * 4)
  const state = pool.temporary(rows * 16)
  for (let r = 0; r < tokens; r += rows) {
    const m = Math.min(rows, tokens - r)
    for (let c = 0; c < vocab; c += columns) {
      const n = Math.min(columns, vocab - c)
      multiply(backend, {
        a: { at: backend.at(hidden) + r * dim * 4, row: dim, column: 1 },
        b: { at: backend.at(head) + c * dim * 4, row: 1, column: dim },
        c: { at: tile, row: n, column: 1 },
        m,
        n,
        k: dim
      })
      const each = rowChunk(n)
      pool.run(kernel.logProbTile, Math.ceil(m / each), [
        tile,
        n * 4,
        m,
        c,
        n,
        backend.at(targets) + r * 4,
        state,
        bits(1 / temperature),
        each,
        c + n === vocab ? 1 : 0,
        backend.at(logProb) + r * 4,
        backend.at(entropy) + r * 4,
        backend.at(lse) + r * 4
      ])
    }
  }
  return [logProb, entropy, lse]
}

export const tokenLogProbGrad: Kernel = (backend, call) => {
  const [hidden, head, targets] = [call.input("hidden"), call.input("head"), call.input("targets")]
  const rowInputs = ["lse", "entropy", "dLogProb", "dEntropy"].map((name) => backend.at(call.input(name)))
  const temperature = call.number("temperature")
  const [tokens = 0, dim = 0] = hidden.shape
  const vocab = head.shape[0] ?? 0
  checkIndices(backend, "targets", targets, vocab)
  const dHidden = backend.makeTensorInfo(hidden.shape, "float32")
  const dHead = backend.makeTensorInfo(head.shape, "float32")
  if (tokens === 0) backend.pool.run(kernel.fill, 1, [backend.at(dHead), vocab * dim, 0, vocab * dim])
  const { columns, rows } = tiles(tokens, vocab)
  const { pool } = backend
  const tile = pool.temporary(rows * columns * 4)
  for (let r = 0; r < tokens; r += rows) {
    const m = Math.min(rows, tokens - r)
    const h = backend.at(hidden) + r * dim * 4
    for (let c = 0; c < vocab; c += columns) {
      const n = Math.min(columns, vocab - c)
      const w = backend.at(head) + c * dim * 4
      const logits = { at: tile, row: n, column: 1 }
      multiply(backend, {
        a: { at: h, row: dim, column: 1 },
        b: { at: w, row: 1, column: dim },
        c: logits,
        m,
        n,
        k: dim
      })
      const each = rowChunk(n)
      pool.run(kernel.logProbGradTile, Math.ceil(m / each), [
        tile,
        n * 4,
        m,
        c,
        n,
        backend.at(targets) + r * 4,
        ...rowInputs.map((at) => at + r * 4),
        bits(1 / temperature),
        each
      ])
      multiply(backend, {
        a: logits,
        b: { at: w, row: dim, column: 1 },
        c: { at: backend.at(dHidden) + r * dim * 4, row: dim, column: 1 },
        m,
        n: dim,
        k: n,
        start: c === 0 ? init.zero : init.c
      })
      multiply(backend, {
        a: { at: tile, row: 1, column: n },
        b: { at: h, row: dim, column: 1 },
        c: { at: backend.at(dHead) + c * dim * 4, row: dim, column: 1 },
        m: n,
        n: dim,
        k: m,
        start: r === 0 ? init.zero : init.c
      })
    }
  }
  return [dHidden, dHead]
}

export const adamW: Kernel = (backend, call) => {
  const tensors = ["param", "m", "v", "grad"].map((name) => backend.at(call.input(name)))
  const size = sizeOf(call.input("param").shape)
  const [lr, beta1, beta2] = [call.number("lr"), call.number("beta1"), call.number("beta2")]
  const step = call.number("step")
  backend.pool.run(kernel.adamW, Math.ceil(size / elementChunk), [
    ...tensors,
    size,
    elementChunk,
    bits(call.number("gradScale")),
    bits(beta1),
    bits(1 - beta1),
    bits(beta2),
    bits(1 - beta2),
    bits(1 / Math.sqrt(1 - beta2 ** step)),
    bits(call.number("eps")),
    bits(lr / (1 - beta1 ** step)),
    bits(1 - lr * call.number("weightDecay"))
  ])
  for (const name of ["param", "m", "v"]) backend.changed(call.input(name))
  return backend.makeTensorInfo([], "float32", Float32Array.of(0))
}

export const sumSquares: Kernel = (backend, call) => {
  const x = call.input("x")
  const size = sizeOf(x.shape)
  const parts = Math.ceil(size / elementChunk)
  const partial = backend.pool.temporary(parts * 8)
  backend.pool.recording?.refuse("a sum is finished in JavaScript")
  backend.pool.run(kernel.sumSquares, parts, [backend.at(x), size, elementChunk, partial])
  const sums = new Float64Array(backend.pool.f32.buffer, partial, parts)
  const total = sums.reduce((sum, part) => sum + part, 0)
  return backend.makeTensorInfo([], "float32", Float32Array.of(total))
}

export const sample: Kernel = (backend, call) => {
  const logits = call.input("logits")
  const [rows = 0, vocab = 0] = logits.shape
  if (rows > 0 && vocab === 0) throw new RangeError("cannot draw a token from an empty vocabulary")
  const ids = backend.makeTensorInfo([rows], "int32")
  const logProb = backend.makeTensorInfo([rows], "float32")
  const modelLogProb = backend.makeTensorInfo([rows], "float32")
  backend.pool.ensureScratch(vocab * 4)
  const inputs = ["temperature", "topK", "topP", "uniform"].map((name) => call.input(name))
  const tensors = [logits, ...inputs, ids, logProb, modelLogProb].map((x) => backend.at(x))
  backend.pool.run(kernel.sample, rows, [...tensors, vocab], backend.pool.recording?.lane(rows) ?? 0)
  return [ids, logProb, modelLogProb]
}
