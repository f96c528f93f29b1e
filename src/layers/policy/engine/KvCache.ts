/**
 * The key-value cache on the device: one pool of blocks a layer, grown by need.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import type { ModelConfig } from "../../../domain/ModelConfig.ts"
import * as Ops from "../../device/ops/index.ts"
import { Blocks } from "./Blocks.ts"

/**
 * Tokens a block.
 *
 * @category constants
 * @since 0.1.0
 */
export const blockSize = 16

/** Positions beyond the longest sequence that a window is made with. */
const windowSlack = 32

/**
 * A sequence by the blocks that hold it and the tokens cached in them.
 *
 * @category models
 * @since 0.1.0
 */
export interface CachedSequence {
  readonly blocks: ReadonlyArray<number>
  readonly cached: number
}

/**
 * Cached tokens of sequences row by row, see {@link KvCache.window}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Window {
  readonly rows: number
  readonly capacity: number
  readonly sequences: ReadonlyArray<CachedSequence>
  readonly layers: Array<Ops.KvPool>
}

/**
 * Pools of all layers with the book-keeping of their blocks. Methods that touch tensors run inside `Device.run`.
 *
 * @category models
 * @since 0.1.0
 */
export class KvCache {
  readonly blocks: Blocks
  readonly #config: ModelConfig
  #pools: Array<Ops.KvPool>
  #window: Window | undefined

  constructor(config: ModelConfig, blocks: number) {
    this.#config = config
    this.blocks = new Blocks(blocks)
    this.#pools = Array.from({ length: config.layers }, () => this.#zeros(blocks))
  }

  #zeros(blocks: number): Ops.KvPool {
    const { headDim, keyValueHeads } = this.#config
    const shape = [blocks, blockSize, keyValueHeads, headDim]
    return { k: tf.keep(tf.zeros(shape)), v: tf.keep(tf.zeros(shape)) }
  }

  /** Bytes of one block in all layers. */
  get blockBytes(): number {
    const { headDim, keyValueHeads, layers } = this.#config
    return 2 * 4 * layers * blockSize * keyValueHeads * headDim
  }

  pool(layer: number): Ops.KvPool {
    const pool = this.#pools[layer]
    if (pool === undefined) throw new RangeError(`there is no layer ${layer}`)
    return pool
  }

  /** Writes keys and values of a layer. */
  append(layer: number, k: tf.Tensor, v: tf.Tensor, slots: tf.Tensor): Ops.KvPool {
    const next = Ops.kvAppend(this.pool(layer), k, v, slots)
    this.#pools[layer] = { k: tf.keep(next.k), v: tf.keep(next.v) }
    return next
  }

  /** Makes room for `count` blocks in all; what is cached stays. */
  grow(count: number): void {
    const more = count - this.blocks.count
    if (more <= 0) return
    this.#pools.forEach((pool, layer) => {
      const size = pool.k.shape[0] ?? 0
      if (size >= count) return
      const extra = this.#zeros(count - size)
      this.#pools[layer] = {
        k: tf.keep(tf.concat([pool.k, extra.k])),
        v: tf.keep(tf.concat([pool.v, extra.v]))
      }
      tf.dispose([pool.k, pool.v, extra.k, extra.v])
    })
    this.blocks.grow(count)
  }

  /** Copies the first `tokens` tokens of each block `from` to its block `to`. */
  copy(pairs: ReadonlyArray<{ readonly from: number; readonly to: number; readonly tokens: number }>): void {
    const slots = (side: "from" | "to") =>
      Int32Array.from(
        pairs.flatMap((pair) => Array.from({ length: pair.tokens }, (_, t) => pair[side] * blockSize + t))
      )
    const { headDim, keyValueHeads } = this.#config
    const from = tf.tensor1d(slots("from"), "int32")
    const to = tf.tensor1d(slots("to"), "int32")
    const rows = (pool: tf.Tensor) => tf.gather(tf.reshape(pool, [-1, keyValueHeads, headDim]), from)
    this.#pools.forEach((pool, layer) => this.append(layer, rows(pool.k), rows(pool.v), to))
  }

  /**
   * Rows of keys and values `[rows, capacity, KV D]` of sequences that decode, for a device that cannot attend through
   * block tables: copied together once and grown in place as long as the same sequences go on.
   */
  window(sequences: ReadonlyArray<CachedSequence>, rows: number): Window {
    const current = this.#window
    const fits = current !== undefined && current.rows === rows && current.sequences.length === sequences.length &&
      sequences.every(({ blocks, cached }, i) => {
        const own = current.sequences[i]
        return own !== undefined && own.blocks === blocks && own.cached === cached && cached < current.capacity
      })
    if (fits) return this.#advance(current)
    this.dropWindow()
    const longest = Math.max(...sequences.map(({ cached }) => cached)) + 1
    const perRow = Math.ceil((longest + windowSlack) / blockSize)
    const table = new Int32Array(rows * perRow)
    sequences.forEach(({ blocks, cached }, row) => {
      for (let b = 0; b * blockSize < cached; b++) table[row * perRow + b] = blocks[b] ?? 0
    })
    const { headDim, keyValueHeads } = this.#config
    const tableTensor = tf.tensor2d(table, [rows, perRow], "int32")
    const width = keyValueHeads * headDim
    const copy = (pool: tf.Tensor) => {
      const blocks = tf.reshape(pool, [pool.shape[0] ?? 0, blockSize * width])
      return tf.keep(tf.reshape(tf.gather(blocks, tableTensor), [rows, perRow * blockSize, width]))
    }
    const layers = this.#pools.map(({ k, v }) => tf.tidy(() => ({ k: copy(k), v: copy(v) })))
    return this.#advance({ rows, capacity: perRow * blockSize, sequences: [...sequences], layers })
  }

  #advance(window: Window): Window {
    const sequences = window.sequences.map(({ blocks, cached }) => ({ blocks, cached: cached + 1 }))
    this.#window = { ...window, sequences }
    return window
  }

  /** Writes keys and values of a layer into the window. */
  appendWindow({ layers }: Window, layer: number, k: tf.Tensor, v: tf.Tensor, slots: tf.Tensor): Ops.KvPool {
    const rows = layers[layer]
    if (rows === undefined) throw new RangeError(`there is no layer ${layer}`)
    const next = Ops.kvAppend(rows, k, v, slots)
    layers[layer] = { k: tf.keep(next.k), v: tf.keep(next.v) }
    return next
  }

  /** Gives the window's memory back. */
  dropWindow(): void {
    for (const { k, v } of this.#window?.layers ?? []) tf.dispose([k, v])
    this.#window = undefined
  }

  get hasWindow(): boolean {
    return this.#window !== undefined
  }

  dispose(): void {
    this.dropWindow()
    for (const { k, v } of this.#pools) tf.dispose([k, v])
    this.#pools = []
  }
}
