/**
 * Attention over a key-value cache in blocks: one pool on the device, a table of blocks for each sequence.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { hasKernel, output, runFused } from "./kernel.ts"
import { masked } from "./packing.ts"

/**
 * Keys and values of one layer, each `[blocks, blockSize, KV, D]`.
 *
 * @category models
 * @since 0.1.0
 */
export interface KvPool {
  readonly k: tf.Tensor
  readonly v: tf.Tensor
}

/**
 * Which cached tokens each token of a batch sees: token `t` sees the positions 0 to `tokenPos[t]` of sequence
 * `tokenSeq[t]`, whose block `b` is `blockTable[sequence * maxBlocks + b]`. Tokens of one sequence are neighbours in
 * ascending order.
 *
 * @category models
 * @since 0.1.0
 */
export interface PagedTokens {
  readonly blockTable: Int32Array
  readonly maxBlocks: number
  readonly tokenSeq: Int32Array
  readonly tokenPos: Int32Array
}

/** Sequences of the composition with equally many (padded) query tokens. */
interface PagedGroup {
  readonly sequences: number
  readonly queries: number
  /** Block ids, int32 `[sequences, blocks]`. */
  readonly table: tf.Tensor
  /** Added to the scores, `[sequences, 1, queries, positions]`. */
  readonly mask: tf.Tensor
  /** Token of each query, int32 `[sequences * queries]`; absent where they are the tokens `begin` and following. */
  readonly pick?: tf.Tensor
  readonly begin: number
}

/**
 * {@link PagedTokens} on the device, made once and used by every layer. `plain` is there only where the device has no
 * fused kernel.
 *
 * @category models
 * @since 0.1.0
 */
export interface Paged {
  readonly blockTable: tf.Tensor
  readonly tokenSeq: tf.Tensor
  readonly tokenPos: tf.Tensor
  readonly plain?: { readonly groups: ReadonlyArray<PagedGroup>; readonly order?: tf.Tensor }
}

interface Run {
  readonly sequence: number
  readonly begin: number
  readonly size: number
}

const makeGroup = (tokens: PagedTokens, runs: ReadonlyArray<Run>, blockSize: number): PagedGroup => {
  const { blockTable, maxBlocks, tokenPos } = tokens
  const queries = Math.max(...runs.map((run) => run.size))
  const length = Math.max(...runs.map((run) => (tokenPos[run.begin + run.size - 1] ?? 0) + 1))
  const blocks = Math.ceil(length / blockSize)
  const positions = blocks * blockSize
  const table = new Int32Array(runs.length * blocks)
  const mask = new Float32Array(runs.length * queries * positions)
  const pick = new Int32Array(runs.length * queries)
  let inOrder = true
  runs.forEach((run, i) => {
    for (let b = 0; b < blocks; b++) table[i * blocks + b] = blockTable[run.sequence * maxBlocks + b] ?? 0
    for (let j = 0; j < queries; j++) {
      const row = i * queries + j
      const token = run.begin + Math.min(j, run.size - 1)
      pick[row] = token
      inOrder = inOrder && token === (runs[0]?.begin ?? 0) + row
      mask.fill(masked, row * positions + (tokenPos[token] ?? 0) + 1, (row + 1) * positions)
    }
  })
  const group = {
    sequences: runs.length,
    queries,
    begin: runs[0]?.begin ?? 0,
    table: tf.tensor2d(table, [runs.length, blocks], "int32"),
    mask: tf.tensor4d(mask, [runs.length, 1, queries, positions])
  }
  return inOrder ? group : { ...group, pick: tf.tensor1d(pick, "int32") }
}

/**
 * Prepares a batch of tokens: to be called inside the computation that uses it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const paged = (tokens: PagedTokens, blockSize: number): Paged => {
  const { blockTable, maxBlocks, tokenPos, tokenSeq } = tokens
  const tensors = {
    blockTable: tf.tensor2d(blockTable, [blockTable.length / maxBlocks, maxBlocks], "int32"),
    tokenSeq: tf.tensor1d(tokenSeq, "int32"),
    tokenPos: tf.tensor1d(tokenPos, "int32")
  }
  if (hasKernel("SrPagedAttention")) return tensors
  const runs: Array<Run> = []
  for (let begin = 0; begin < tokenSeq.length;) {
    let end = begin + 1
    while (end < tokenSeq.length && tokenSeq[end] === tokenSeq[begin]) end++
    runs.push({ sequence: tokenSeq[begin] ?? 0, begin, size: end - begin })
    begin = end
  }
  const members = [runs.filter((run) => run.size === 1), runs.filter((run) => run.size > 1)]
  const groups = members.flatMap((group) => group.length === 0 ? [] : [makeGroup(tokens, group, blockSize)])
  const order = new Int32Array(tokenSeq.length)
  let inOrder = true
  let row = 0
  for (const group of members) {
    const queries = Math.max(0, ...group.map((run) => run.size))
    for (const run of group) {
      for (let j = 0; j < run.size; j++) {
        order[run.begin + j] = row + j
        inOrder = inOrder && run.begin + j === row + j
      }
      row += queries
    }
  }
  return {
    ...tensors,
    plain: inOrder && row === order.length ? { groups } : { groups, order: tf.tensor1d(order, "int32") }
  }
}

/** One query a sequence: all heads at once against whole rows of the pool, without a transpose. */
const attendSingles = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, mask: tf.Tensor, kv: number): tf.Tensor => {
  const [sequences = 0, heads = 0, dim = 0] = q.shape
  const own = new Float32Array(heads * kv)
  for (let h = 0; h < heads; h++) own[h * kv + Math.floor(h * kv / heads)] = 1
  const headOfKv = tf.tensor4d(own, [1, heads, kv, 1])
  const spread = tf.reshape(tf.mul(tf.reshape(q, [sequences, heads, 1, dim]), headOfKv), [sequences, heads, kv * dim])
  const scores = tf.add(tf.matMul(spread, k, false, true), mask)
  const mixed = tf.reshape(tf.matMul(tf.softmax(scores), v), [sequences, heads, kv, dim])
  return kv === 1 ? tf.reshape(mixed, [sequences, heads, dim]) : tf.sum(tf.mul(mixed, headOfKv), 2)
}

const attendRuns = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, group: PagedGroup, kv: number): tf.Tensor => {
  const { mask, queries, sequences } = group
  const [, heads = 0, dim = 0] = q.shape
  const positions = k.shape[1] ?? 0
  const per = heads / kv
  const toHeads = (x: tf.Tensor) =>
    tf.reshape(tf.transpose(tf.reshape(x, [sequences, positions, kv, dim]), [0, 2, 1, 3]), [
      sequences * kv,
      positions,
      dim
    ])
  const queryHeads = tf.reshape(
    tf.transpose(tf.reshape(q, [sequences, queries, kv, per, dim]), [0, 2, 3, 1, 4]),
    [sequences * kv, per * queries, dim]
  )
  const scores = tf.reshape(tf.matMul(queryHeads, toHeads(k), false, true), [sequences, heads, queries, positions])
  const weights = tf.reshape(tf.softmax(tf.add(scores, mask)), [sequences * kv, per * queries, positions])
  const mixed = tf.reshape(tf.matMul(weights, toHeads(v)), [sequences, kv, per, queries, dim])
  return tf.reshape(tf.transpose(mixed, [0, 3, 1, 2, 4]), [sequences * queries, heads, dim])
}

/**
 * `q [T, H, D]` → `softmax(scale q kᵀ) v` over the cached tokens that each token sees, `[T, H, D]`. No gradient.
 *
 * @category operations
 * @since 0.1.0
 */
export const pagedAttention = (q: tf.Tensor, pool: KvPool, layout: Paged, scale: number): tf.Tensor => {
  const { plain } = layout
  if (plain === undefined) {
    const { blockTable, tokenPos, tokenSeq } = layout
    const inputs = { q, kPool: pool.k, vPool: pool.v, blockTable, tokenSeq, tokenPos }
    return output(runFused("SrPagedAttention", inputs, { scale }), 0)
  }
  return tf.tidy(() => {
    const [blocks = 0, blockSize = 0, kv = 1, dim = 0] = pool.k.shape
    const [tokens = 0, heads = 0] = q.shape
    const scaled = tf.mul(q, scale)
    const kBlocks = tf.reshape(pool.k, [blocks, blockSize * kv * dim])
    const vBlocks = tf.reshape(pool.v, [blocks, blockSize * kv * dim])
    const parts = plain.groups.map((group) => {
      const { begin, pick, queries, sequences, table } = group
      const positions = (table.shape[1] ?? 0) * blockSize
      const rows = pick !== undefined
        ? tf.gather(scaled, pick)
        : sequences * queries === tokens
        ? scaled
        : tf.slice(scaled, [begin, 0, 0], [sequences * queries, heads, dim])
      const k = tf.reshape(tf.gather(kBlocks, table), [sequences, positions, kv * dim])
      const v = tf.reshape(tf.gather(vBlocks, table), [sequences, positions, kv * dim])
      return queries === 1
        ? attendSingles(rows, k, v, tf.reshape(group.mask, [sequences, 1, positions]), kv)
        : attendRuns(rows, k, v, group, kv)
    })
    const all = tf.concat(parts)
    return plain.order === undefined ? all : tf.gather(all, plain.order)
  })
}

/**
 * Attention of one query a sequence over rows of keys and values `[S, L, KV D]`, `q [S, H, D]` → `[S, H, D]`; `mask
 * [S, 1, L]` is added to the scores. Plain operations only: for devices without {@link pagedAttention}'s kernel.
 *
 * @category operations
 * @since 0.1.0
 */
export const rowAttention = (q: tf.Tensor, rows: KvPool, mask: tf.Tensor, kv: number, scale: number): tf.Tensor =>
  tf.tidy(() => attendSingles(tf.mul(q, scale), rows.k, rows.v, mask, kv))

/**
 * Writes `k`, `v [T, KV, D]` into the slots (int32 `[T]`, `block * blockSize + offset`) of a pool, whose slots of `KV D`
 * numbers may be arranged in any shape, and returns the pool to use from now on: the same one, written in place, on a
 * device with the kernel; a copy elsewhere, where the old one has been disposed of.
 *
 * @category operations
 * @since 0.1.0
 */
export const kvAppend = (pool: KvPool, k: tf.Tensor, v: tf.Tensor, slots: tf.Tensor): KvPool => {
  if (hasKernel("SrKvAppend")) {
    tf.dispose(runFused("SrKvAppend", { kPool: pool.k, vPool: pool.v, k, v, slots }))
    return pool
  }
  const [, kv = 0, dim = 0] = k.shape
  const write = (into: tf.Tensor, rows: tf.Tensor) =>
    tf.reshape(
      tf.tensorScatterUpdate(
        tf.reshape(into, [-1, kv * dim]),
        tf.reshape(slots, [-1, 1]),
        tf.reshape(rows, [-1, kv * dim])
      ),
      into.shape
    )
  const next = tf.tidy(() => ({ k: write(pool.k, k), v: write(pool.v, v) }))
  tf.dispose([pool.k, pool.v])
  return next
}
