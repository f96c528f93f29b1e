/**
 * One step of generation: new tokens of any sequences through the network and the cache, and the next token of those
 * that want one.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import type { ModelConfig } from "../../../domain/ModelConfig.ts"
import { embedding, finalNorm, outputHead } from "../../../domain/ModelTensors.ts"
import * as Ops from "../../device/ops/index.ts"
import { type Pieces, tidied, whole } from "../../device/pieces.ts"
import { networkKey } from "./capturedLayers.ts"
import { blockSize, type KvCache, type Window } from "./KvCache.ts"
import type { Network } from "./Packed.ts"
import { attentionScale, layerForward } from "./Transformer.ts"

/**
 * New tokens of one sequence: `ids` follow the `cached` tokens whose keys and values lie in `blocks`, which have room
 * for the new ones too.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepSequence {
  readonly ids: ReadonlyArray<number>
  readonly cached: number
  readonly blocks: ReadonlyArray<number>
  /** How to draw the next token; absent where there is more to read first. */
  readonly draw?: {
    readonly temperature: number
    readonly topK: number
    readonly topP: number
    readonly uniform: number
  }
}

/** The next size of a small set of shapes: powers of two, then multiples of 16. */
const padded = (count: number): number => {
  if (count > 16) return Math.ceil(count / 16) * 16
  let size = 1
  while (size < count) size *= 2
  return size
}

/** Attention of new tokens, whose keys and values are in the pool already, over what each of them sees. */
type Attend = (layer: number, q: tf.Tensor, pool: Ops.KvPool, k: tf.Tensor, v: tf.Tensor) => tf.Tensor

const attendPaged = (config: ModelConfig, layout: Ops.Paged): Attend => (_, q, pool) =>
  Ops.pagedAttention(q, pool, layout, attentionScale(config))

/** Where {@link attendWindow} finds and puts things, by step: slots int32 `[rows]` and a mask `[rows, 1, capacity]`. */
const windowInputs = (capacity: number, tokenPos: Int32Array) => {
  const rows = tokenPos.length
  const mask = new Float32Array(rows * capacity)
  tokenPos.forEach((position, row) => mask.fill(Ops.masked, row * capacity + position + 1, (row + 1) * capacity))
  return {
    windowSlots: { values: tokenPos.map((position, row) => row * capacity + position), shape: [rows] },
    mask: { values: mask, shape: [rows, 1, capacity] }
  }
}

/** Decoding over rows that are kept from step to step, for a device that cannot attend through block tables. */
const attendWindow =
  (config: ModelConfig, cache: KvCache, window: Window, input: (name: "windowSlots" | "mask") => tf.Tensor): Attend =>
  (layer, q, _, k, v) => {
    const pool = cache.appendWindow(window, layer, k, v, input("windowSlots"))
    return Ops.rowAttention(q, pool, input("mask"), k.shape[1] ?? 1, attentionScale(config))
  }

const attendUncaptured = (
  config: ModelConfig,
  cache: KvCache,
  sequences: ReadonlyArray<StepSequence>,
  tokenPos: Int32Array
): Attend => {
  const window = cache.window(sequences, tokenPos.length)
  const { mask, windowSlots } = windowInputs(window.capacity, tokenPos)
  const tensors = { mask: tf.tensor(mask.values, mask.shape), windowSlots: tf.tensor1d(windowSlots.values, "int32") }
  return attendWindow(config, cache, window, (name) => tensors[name])
}

/**
 * New tokens through all layers: what goes into the last norm, for all of them or for the tokens `wanted` (int32), which
 * are all that the last layer's products need.
 */
function* layers(
  { config, parameters, tables }: Network,
  cache: KvCache,
  tokens: {
    readonly ids: tf.Tensor
    readonly positions: tf.Tensor
    readonly slots: tf.Tensor
    readonly wanted?: tf.Tensor
  },
  attend: Attend
): Pieces<tf.Tensor> {
  const { ids, positions, slots, wanted } = tokens
  const angles = Ops.rotary(positions, tables.cos, tables.sin)
  let x: tf.Tensor = tf.gather(parameters.get(embedding), ids)
  for (let layer = 0; layer < config.layers; layer++) {
    const input = x
    const pick = wanted !== undefined && layer === config.layers - 1
      ? (rows: tf.Tensor) => tf.gather(rows, wanted)
      : undefined
    x = yield* tidied(function*() {
      const { y } = yield* layerForward(parameters, config, layer, input, angles, (q, k, v) => {
        const pool = cache.append(layer, k, v, slots)
        const out = attend(layer, q, pool, k, v)
        return { out, residual: out }
      }, pick)
      return y
    })
    input.dispose()
    yield
  }
  return x
}

const logits = ({ config, parameters }: Network, x: tf.Tensor): tf.Tensor => {
  const hidden = Ops.rmsNormForward(x, parameters.get(finalNorm), config.rmsNormEps)
  return tf.matMul(hidden, parameters.get(config.tieWordEmbeddings ? embedding : outputHead), false, true)
}

/** The tokens of a step as a device takes them, and the rows that draw. */
type Layout = Ops.PagedTokens & {
  readonly ids: Int32Array
  readonly slots: Int32Array
  readonly decoding: boolean
  readonly last: ReadonlyArray<number>
  readonly draws: ReadonlyArray<NonNullable<StepSequence["draw"]>>
}

/** How so many rows are drawn: those beyond `draws` as the first one. */
const samplingRows = (draws: Layout["draws"], rows: number): Ops.SamplingRows => {
  const sampling = {
    temperature: new Float32Array(rows),
    topK: new Int32Array(rows),
    topP: new Float32Array(rows).fill(1),
    uniform: new Float32Array(rows)
  }
  for (let row = 0; row < rows; row++) {
    const draw = draws[row] ?? draws[0]
    if (draw === undefined) continue
    sampling.temperature[row] = draw.temperature
    sampling.topK[row] = draw.topK
    sampling.topP[row] = draw.topP
    sampling.uniform[row] = draw.uniform
  }
  return sampling
}

/**
 * A step of decoding on a device that records it once for each of its sizes. Rows of padding draw as the first one does.
 */
const capturedStep = (
  network: Network,
  cache: KvCache,
  capturing: Ops.CapturingBackend,
  sequences: ReadonlyArray<StepSequence>,
  layout: Layout,
  vocabulary: number
): Ops.Sampled => {
  const { config, parameters, tables } = network
  const { blockTable, draws, ids, maxBlocks, slots, tokenPos, tokenSeq } = layout
  const rows = ids.length
  const sampling = samplingRows(draws, rows)
  const parts = Ops.samplingParts(sampling)
  const window = Ops.hasKernel("SrPagedAttention") ? undefined : cache.window(sequences, rows)
  const vector = (values: Float32Array | Int32Array): Ops.CapturedInput => ({ values, shape: [rows] })
  const inputs = {
    ids: vector(ids),
    tokenPos: vector(tokenPos),
    slots: vector(slots),
    temperature: vector(sampling.temperature),
    topK: vector(sampling.topK),
    topP: vector(sampling.topP),
    uniform: vector(sampling.uniform),
    ...(window === undefined
      ? { tokenSeq: vector(tokenSeq), blockTable: { values: blockTable, shape: [rows, maxBlocks] } }
      : windowInputs(window.capacity, tokenPos))
  }
  const pools = [
    ...Array.from({ length: config.layers }, (_, layer) => cache.pool(layer)),
    ...window?.layers ?? []
  ]
  const state = [
    tables.cos,
    tables.sin,
    ...parameters.specs.map(({ name }) => parameters.get(name)),
    ...pools.flatMap(({ k, v }) => [k, v])
  ]
  const sizes = capturing.adapts === true ? [] : [rows, maxBlocks]
  const key = ["decode", vocabulary, ...sizes, ...Object.values(parts), networkKey(config)].join(" ")
  const [drawn, logProb, modelLogProb] = capturing.captured(key, inputs, state, (input) => {
    const positions = input("tokenPos")
    const attend = window === undefined
      ? attendPaged(config, { blockTable: input("blockTable"), tokenSeq: input("tokenSeq"), tokenPos: positions })
      : attendWindow(config, cache, window, input)
    const x = whole(layers(network, cache, { ids: input("ids"), positions, slots: input("slots") }, attend))
    const settings = {
      temperature: input("temperature"),
      topK: input("topK"),
      topP: input("topP"),
      uniform: input("uniform")
    }
    const sampled = Ops.within(logits(network, x), vocabulary, (known) => Ops.sampleFused(known, settings, parts))
    return [sampled.ids, sampled.logProb, sampled.modelLogProb]
  })
  if (drawn === undefined || logProb === undefined || modelLogProb === undefined) {
    throw new RangeError("a captured step gave too few tensors")
  }
  return { ids: drawn, logProb, modelLogProb }
}

/** A step of decoding alone is padded to one of a few sizes. */
const layoutOf = (sequences: ReadonlyArray<StepSequence>): Layout => {
  const total = sequences.reduce((sum, { ids }) => sum + ids.length, 0)
  const decoding = total === sequences.length
  const tokens = decoding ? padded(total) : total
  const rows = decoding ? tokens : sequences.length
  const maxBlocks = padded(
    Math.max(...sequences.map(({ cached, ids }) => Math.ceil((cached + ids.length) / blockSize)))
  )
  const ids = new Int32Array(tokens)
  const tokenSeq = new Int32Array(tokens)
  const tokenPos = new Int32Array(tokens)
  const slots = new Int32Array(tokens)
  const blockTable = new Int32Array(rows * maxBlocks)
  const last: Array<number> = []
  const draws: Array<NonNullable<StepSequence["draw"]>> = []
  let token = 0
  sequences.forEach((sequence, row) => {
    const { blocks, cached, draw } = sequence
    const used = Math.ceil((cached + sequence.ids.length) / blockSize)
    for (let b = 0; b < used; b++) blockTable[row * maxBlocks + b] = blocks[b] ?? 0
    sequence.ids.forEach((id, i) => {
      const position = cached + i
      ids[token] = id
      tokenSeq[token] = row
      tokenPos[token] = position
      slots[token] = (blocks[Math.floor(position / blockSize)] ?? 0) * blockSize + position % blockSize
      token++
    })
    if (draw !== undefined) {
      last.push(token - 1)
      draws.push(draw)
    }
  })
  for (let row = sequences.length; row < rows; row++) tokenSeq[token++] = row
  return { ids, tokenSeq, tokenPos, slots, blockTable, maxBlocks, decoding, last, draws }
}

/** Logits of the rows that draw, if any. */
function* eagerLogits(
  network: Network,
  cache: KvCache,
  sequences: ReadonlyArray<StepSequence>,
  layout: Layout
): Pieces<tf.Tensor | undefined> {
  const { decoding, ids, last, slots, tokenPos } = layout
  const inputs = {
    ids: tf.tensor1d(ids, "int32"),
    positions: tf.tensor1d(tokenPos, "int32"),
    slots: tf.tensor1d(slots, "int32")
  }
  const attend = decoding && !Ops.hasKernel("SrPagedAttention")
    ? attendUncaptured(network.config, cache, sequences, tokenPos)
    : attendPaged(network.config, Ops.paged(layout, blockSize))
  const some = last.length > 0 && last.length < ids.length
  const wanted = some ? { wanted: tf.tensor1d([...last], "int32") } : {}
  const x = yield* layers(network, cache, { ...inputs, ...wanted }, attend)
  return last.length === 0 ? undefined : logits(network, x)
}

/**
 * Logits of the next token of the sequences that draw, `[S, V]`: a step that stops before drawing.
 *
 * @category operations
 * @since 0.1.0
 */
export const nextLogits = (
  network: Network,
  cache: KvCache,
  sequences: ReadonlyArray<StepSequence>
): tf.Tensor | undefined => whole(eagerLogits(network, cache, sequences, layoutOf(sequences)))

/**
 * Runs a step, decoding sequences first, and returns the tokens drawn in the order of the sequences that draw, all of them
 * below `vocabulary`.
 *
 * @category operations
 * @since 0.1.0
 */
export function* step(
  network: Network,
  cache: KvCache,
  sequences: ReadonlyArray<StepSequence>,
  vocabulary: number = network.config.vocabularySize
): Pieces<Ops.Sampled | undefined> {
  const layout = layoutOf(sequences)
  const { decoding, draws } = layout
  const capturing = Ops.capturingBackend()
  if (capturing !== undefined && decoding && draws.length === sequences.length) {
    return capturedStep(network, cache, capturing, sequences, layout, vocabulary)
  }
  const next = yield* eagerLogits(network, cache, sequences, layout)
  if (next === undefined) return undefined
  const settings = samplingRows(draws, draws.length)
  return Ops.within(next, vocabulary, (known) => Ops.sample(known, settings))
}
