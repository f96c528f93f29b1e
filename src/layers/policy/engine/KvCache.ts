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

  dispose(): void {
    for (const { k, v } of this.#pools) tf.dispose([k, v])
    this.#pools = []
  }
}
