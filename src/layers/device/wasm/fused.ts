/**
 * The fused operations of a transformer: norms, rotary embedding, gated activation, attention.
 *
 * @since 0.1.0
 */
import type * as tf from "@tensorflow/tfjs-core"
import { bits, kernel } from "./abi.ts"
import { sizeOf, type WasmBackend } from "./Backend.ts"
import { checkIndices, type Kernel } from "./kernel.ts"
import { sumRows } from "./reduce.ts"

/** Elements of a chunk of element-wise work: 64 KiB an operand. */
export const elementChunk = 16384

/** Rows a chunk so that a chunk has about `elementChunk` elements. */
export const rowChunk = (width: number): number => Math.max(1, Math.floor(elementChunk / Math.max(1, width)))

const chunksOf = (total: number, each: number): number => Math.ceil(total / each)

const matrix = (x: tf.TensorInfo): readonly [rows: number, width: number] => {
  const width = x.shape.at(-1) ?? 1
  return [width === 0 ? 0 : sizeOf(x.shape) / width, width]
}

export const rmsNorm: Kernel = (backend, call) => {
  const [x, weight] = [call.input("x"), call.input("weight")]
  const [rows, width] = matrix(x)
  const y = backend.makeTensorInfo(x.shape, "float32")
  const { chunks, each, lane } = backend.pool.share(rows, rowChunk(width))
  const args = [backend.at(x), backend.at(weight), backend.at(y), rows, width, bits(call.number("eps")), each]
  backend.pool.run(kernel.rmsNorm, chunks, args, backend.pool.madeHere(backend.at(weight)) ? 0 : lane)
  return y
}

export const rmsNormGrad: Kernel = (backend, call) => {
  const [x, weight, dy] = [call.input("x"), call.input("weight"), call.input("dy")]
  const add = call.optional("add")
  const [rows, width] = matrix(x)
  const dx = backend.makeTensorInfo(x.shape, "float32")
  const dw = backend.makeTensorInfo(weight.shape, "float32")
  const each = rowChunk(width)
  const parts = chunksOf(rows, each)
  const partial = backend.pool.temporary(parts * width * 4)
  backend.pool.run(kernel.rmsNormGrad, parts, [
    backend.at(x),
    backend.at(weight),
    backend.at(dy),
    backend.at(dx),
    rows,
    width,
    bits(call.number("eps")),
    each,
    partial,
    add === undefined ? 0 : backend.at(add)
  ])
  sumRows(backend, partial, backend.at(dw), parts, width)
  return [dx, dw]
}

export const rope: Kernel = (backend, call) => {
  const [x, positions, cos, sin] = [call.input("x"), call.input("positions"), call.input("cos"), call.input("sin")]
  const [tokens = 0, heads = 0, dim = 0] = x.shape
  checkIndices(backend, "positions", positions, cos.shape[0] ?? 0)
  const y = backend.makeTensorInfo(x.shape, "float32")
  const { pool } = backend
  const { chunks, each, lane } = pool.share(tokens, rowChunk(heads * dim))
  const [from, ...tables] = [x, positions, cos, sin].map((tensor) => backend.at(tensor))
  const args = [from!, ...tables, backend.at(y), tokens, heads, dim, bits(call.flag("inverse") ? -1 : 1), each]
  pool.run(kernel.rope, chunks, args, pool.madeHere(...tables) ? 0 : lane)
  return y
}

export const swiGlu: Kernel = (backend, call) => {
  const [gate, up] = [call.input("gate"), call.input("up")]
  const y = backend.makeTensorInfo(gate.shape, "float32")
  const size = sizeOf(gate.shape)
  const { chunks, each, lane } = backend.pool.share(size, elementChunk, 8)
  backend.pool.run(kernel.swiGlu, chunks, [backend.at(gate), backend.at(up), backend.at(y), size, each], lane)
  return y
}

export const swiGluGrad: Kernel = (backend, call) => {
  const [gate, up, dy] = [call.input("gate"), call.input("up"), call.input("dy")]
  const dGate = backend.makeTensorInfo(gate.shape, "float32")
  const dUp = backend.makeTensorInfo(gate.shape, "float32")
  const size = sizeOf(gate.shape)
  const tensors = [gate, up, dy, dGate, dUp].map((x) => backend.at(x))
  backend.pool.run(kernel.swiGluGrad, chunksOf(size, elementChunk), [...tensors, size, elementChunk])
  return [dGate, dUp]
}

/** Queries of a chunk of attention: a multiple of the 48 whose scores the kernel holds at once. */
const queryChunk = 480
const queriesAtOnce = 48
const round16 = (n: number): number => Math.ceil(n / 16) * 16

/** Bytes of a buffer of scores, with its rows off the powers of two. */
const scoreBytes = (longest: number, rows: number): number => (round16(longest) + 16) * 4 * rows

interface Sequences {
  readonly count: number
  readonly longest: number
}

const sequences = (backend: WasmBackend, cuSeqlens: tf.TensorInfo, tokens: number): Sequences => {
  const cu = backend.ints(cuSeqlens)
  let longest = 0
  for (let i = 0; i + 1 < cu.length; i++) {
    const length = (cu[i + 1] ?? 0) - (cu[i] ?? 0)
    if (length < 0) throw new RangeError(`cuSeqlens decreases at ${i + 1}`)
    longest = Math.max(longest, length)
  }
  if (cu[0] !== 0 || cu[cu.length - 1] !== tokens) {
    throw new RangeError(`cuSeqlens goes from ${cu[0]} to ${cu[cu.length - 1]}, must go from 0 to ${tokens}`)
  }
  return { count: cu.length - 1, longest }
}

export const attention: Kernel = (backend, call) => {
  const [q, k, v, cu] = [call.input("q"), call.input("k"), call.input("v"), call.input("cuSeqlens")]
  const [tokens = 0, heads = 0, dim = 0] = q.shape
  const kv = k.shape[1] ?? 1
  const { count, longest } = sequences(backend, cu, tokens)
  const out = backend.makeTensorInfo(q.shape, "float32")
  const lse = backend.makeTensorInfo([tokens, heads], "float32")
  const perHead = Math.max(1, chunksOf(longest, queryChunk))
  backend.pool.ensureScratch(
    512 + scoreBytes(longest, queriesAtOnce) + round16(longest) * dim * 4 + longest * round16(dim) * 4
  )
  const tensors = [q, k, v, out, lse, cu].map((x) => backend.at(x))
  backend.pool.run(kernel.attention, count * kv * perHead, [
    ...tensors,
    heads,
    kv,
    dim,
    bits(call.number("scale")),
    longest,
    queryChunk,
    perHead
  ])
  return [out, lse]
}

export const attentionGrad: Kernel = (backend, call) => {
  const [q, k, v] = [call.input("q"), call.input("k"), call.input("v")]
  const [out, lse, dout, cu] = [call.input("out"), call.input("lse"), call.input("dout"), call.input("cuSeqlens")]
  const [tokens = 0, heads = 0, dim = 0] = q.shape
  const kv = k.shape[1] ?? 1
  const { count, longest } = sequences(backend, cu, tokens)
  const dq = backend.makeTensorInfo(q.shape, "float32")
  const dk = backend.makeTensorInfo(k.shape, "float32")
  const dv = backend.makeTensorInfo(v.shape, "float32")
  backend.pool.ensureScratch(
    512 + 2 * scoreBytes(longest, queriesAtOnce) + 2 * round16(longest) * dim * 4 + longest * round16(dim) * 4 +
      2 * queriesAtOnce * round16(dim) * 4
  )
  const tensors = [q, k, v, out, lse, dout, cu, dq, dk, dv].map((x) => backend.at(x))
  const args = [...tensors, heads, kv, dim, bits(call.number("scale")), longest]
  backend.pool.run(kernel.attentionGrad, count * kv, args)
  return [dq, dk, dv]
}

/** Runs of consecutive positions of one sequence, as pairs (first token, tokens). */
const runs = (tokenSeq: Int32Array, tokenPos: Int32Array): Array<number> => {
  const pairs: Array<number> = []
  for (let first = 0; first < tokenSeq.length;) {
    let end = first + 1
    while (
      end < tokenSeq.length && end - first < queriesAtOnce && tokenSeq[end] === tokenSeq[first] &&
      tokenPos[end] === (tokenPos[end - 1] ?? 0) + 1
    ) end++
    pairs.push(first, end - first)
    first = end
  }
  return pairs
}

/** Whether each token is the only one of its sequence next to its neighbours, as in decoding. */
const alone = (tokenSeq: Int32Array): boolean => {
  for (let i = 1; i < tokenSeq.length; i++) if (tokenSeq[i] === tokenSeq[i - 1]) return false
  return true
}

interface PagedWork {
  readonly count: number
  /** Address of the runs, 0 where each token is one. */
  readonly list: number
  /** The most positions that a token sees, or a bound on it. */
  readonly longest: number
}

/** How paged attention is divided. A recorded computation knows no numbers, only that every token is a run. */
const work = (
  backend: WasmBackend,
  tokenSeq: tf.TensorInfo,
  tokenPos: tf.TensorInfo,
  positions: number
): PagedWork => {
  const { pool } = backend
  const words = (x: tf.TensorInfo) => pool.i32.subarray(backend.at(x) / 4, backend.at(x) / 4 + sizeOf(x.shape))
  const single = alone(words(tokenSeq))
  if (pool.recording !== undefined) {
    if (!single) pool.recording.refuse("tokens of one sequence are attended together")
    const [from, to] = [backend.at(tokenSeq) / 4, backend.at(tokenSeq) / 4 + sizeOf(tokenSeq.shape)]
    pool.recording.guards.push(() => alone(pool.i32.subarray(from, to)))
    if (single) return { count: to - from, list: 0, longest: positions }
  }
  let longest = 0
  for (const position of words(tokenPos)) longest = Math.max(longest, position + 1)
  if (single) return { count: sizeOf(tokenSeq.shape), list: 0, longest }
  const pairs = runs(words(tokenSeq), words(tokenPos))
  const list = pool.temporary(pairs.length * 4)
  pool.i32.set(pairs, list / 4)
  return { count: pairs.length / 2, list, longest }
}

export const pagedAttention: Kernel = (backend, call) => {
  const [q, kPool, vPool] = [call.input("q"), call.input("kPool"), call.input("vPool")]
  const [table, tokenSeq, tokenPos] = [call.input("blockTable"), call.input("tokenSeq"), call.input("tokenPos")]
  const [, heads = 0, dim = 0] = q.shape
  const [blocks = 0, blockSize = 1, kv = 1] = kPool.shape
  const [rows = 0, maxBlocks = 0] = table.shape
  checkIndices(backend, "tokenSeq", tokenSeq, rows)
  checkIndices(backend, "tokenPos", tokenPos, maxBlocks * blockSize)
  checkIndices(backend, "blockTable", table, blocks)
  const { count, list, longest } = work(backend, tokenSeq, tokenPos, maxBlocks * blockSize)
  const out = backend.makeTensorInfo(q.shape, "float32")
  const { pool } = backend
  const inputs = [table, tokenSeq, tokenPos].map((tensor) => backend.at(tensor))
  const lane = list === 0 && !pool.madeHere(...inputs) ? pool.recording?.lane(count) : undefined
  // Rows of other lanes may have been appended to the same sequence.
  pool.recording?.barrier()
  // One chunk takes all heads of a token, so that it reads whole rows of the cache, unless there are too few tokens.
  const headsAChunk = count >= 8 || lane !== undefined ? kv : 1
  pool.ensureScratch(
    512 + scoreBytes(longest, Math.max(queriesAtOnce, heads)) + round16(longest) * dim * 4 +
      longest * round16(dim) * 4
  )
  const tensors = [q, kPool, vPool, table, tokenSeq, tokenPos, out].map((x) => backend.at(x))
  pool.run(kernel.pagedAttention, count * Math.ceil(kv / headsAChunk), [
    ...tensors,
    heads,
    kv,
    dim,
    bits(call.number("scale")),
    longest,
    blockSize,
    maxBlocks,
    list,
    headsAChunk
  ], lane ?? 0)
  return out
}

export const kvAppend: Kernel = (backend, call) => {
  const [kPool, vPool, k, v] = [call.input("kPool"), call.input("vPool"), call.input("k"), call.input("v")]
  const slots = call.input("slots")
  const [blocks = 0, blockSize = 0] = kPool.shape
  checkIndices(backend, "slots", slots, blocks * blockSize)
  const [tokens = 0, kv = 0, dim = 0] = k.shape
  const { pool } = backend
  const { chunks, each, lane } = pool.share(tokens, rowChunk(kv * dim))
  const tensors = [kPool, vPool, k, v, slots].map((x) => backend.at(x))
  const whole = pool.madeHere(...[kPool, vPool, slots].map((x) => backend.at(x)))
  pool.run(kernel.kvAppend, chunks, [...tensors, tokens, kv * dim, each], whole ? 0 : lane)
  backend.changed(kPool)
  backend.changed(vPool)
  return backend.makeTensorInfo([], "float32", Float32Array.of(0))
}

export const embeddingGrad: Kernel = (backend, call) => {
  const [ids, dy] = [call.input("ids"), call.input("dy")]
  const vocab = call.number("vocab")
  checkIndices(backend, "ids", ids, vocab)
  const [tokens, width] = matrix(dy)
  const table = backend.makeTensorInfo([vocab, width], "float32")
  const each = Math.max(16, Math.ceil(width / 8 / 16) * 16)
  const tensors = [ids, dy, table].map((x) => backend.at(x))
  backend.pool.run(kernel.scatterAdd, chunksOf(width, each), [...tensors, tokens, vocab, width, each])
  return table
}
