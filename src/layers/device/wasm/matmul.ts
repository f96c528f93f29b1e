/**
 * Matrix products.
 *
 * @since 0.1.0
 */
import type * as tf from "@tensorflow/tfjs-core"
import { init, kernel } from "./abi.ts"
import { sizeOf, type WasmBackend } from "./Backend.ts"
import type { Call, Kernel } from "./kernel.ts"

/**
 * A matrix in memory: address of the first element, strides in elements.
 *
 * @category models
 * @since 0.1.0
 */
export interface View {
  readonly at: number
  readonly row: number
  readonly column: number
  /** Elements between the matrices of a batch. */
  readonly batch?: number
}

/**
 * `C [M, N] = A [M, K] · B [K, N]`, C's columns contiguous. `start` is what the product is added to: nothing, what C
 * holds, or another matrix (`from`, with `row` 0 the same N numbers for every row).
 *
 * @category models
 * @since 0.1.0
 */
export interface Product {
  readonly a: View
  readonly b: View
  readonly c: View
  readonly m: number
  readonly n: number
  readonly k: number
  readonly batches?: number
  readonly start?: typeof init[keyof typeof init]
  readonly from?: { readonly at: number; readonly row: number }
  /** Whether `b` is what `pack` made of B. */
  readonly packed?: boolean
}

/** Work below which a second thread does not pay, in multiply-adds. */
const smallProduct = 150_000
/** From here on several threads share one packed B. */
const largeProduct = 8_000_000
const manyRows = 768
const deepSum = 2048
/** Products with more rows than this do not keep packed weights. */
const fewRows = 256
const rowTile = 6
const columnTile = 16
const maxColumns = 512

const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to

/**
 * Rows and columns a chunk. No element's value depends on it. Many rows go in some dozens of chunks over one packed B, which
 * many threads share evenly; few rows with a deep sum, where chunks pack their own, in no more than there are threads.
 */
const split = (product: Product, threads: number): readonly [rows: number, columns: number] => {
  const { batches = 1, k, m, n } = product
  if (m * n * k * batches <= smallProduct) return [Math.max(1, m), Math.max(1, n)]
  if (sharesB(product)) {
    return [Math.min(96, Math.max(24, roundUp(Math.ceil(m / 16), rowTile))), Math.min(n, maxColumns)]
  }
  const wanted = k >= deepSum ? Math.max(2, threads) : Math.max(4, 2 * threads)
  let rows = Math.min(m, 384)
  let columns = Math.min(n, maxColumns)
  while (batches * Math.ceil(m / rows) * Math.ceil(n / columns) < wanted && rows * columns * k > smallProduct) {
    if (columns >= 2 * columnTile && (columns >= rows || rows < 2 * rowTile)) {
      columns = roundUp(Math.ceil(columns / 2), columnTile)
    } else if (rows >= 2 * rowTile) rows = roundUp(Math.ceil(rows / 2), rowTile)
    else break
  }
  return [rows, columns]
}

/** Whether all chunks of a product use one packed B. */
const sharesB = ({ batches = 1, k, m, n }: Product): boolean =>
  batches === 1 && m > manyRows && k < deepSum && m * n * k >= largeProduct

/** Packs B, `[k, n]`, into panels at `to`. */
const pack = (backend: WasmBackend, b: View, k: number, n: number, to: number): void => {
  // Along the lines of memory: rows of a plain matrix, columns of a transposed one.
  const [rows, columns] = b.column === 1
    ? [Math.max(16, Math.ceil(32768 / n)), roundUp(n, columnTile)]
    : [k, columnTile]
  const chunks = Math.ceil(n / columns) * Math.ceil(k / rows)
  backend.pool.run(kernel.pack, chunks, [b.at, b.row * 4, b.column * 4, k, n, to, columns, rows])
}

/** A large product packs B once for all chunks; a small one leaves it to the chunks. */
const prepare = (backend: WasmBackend, product: Product): Product => {
  const { b, k, n, packed = false } = product
  if (packed || !sharesB(product)) return product
  const at = backend.pool.temporary(roundUp(n, columnTile) * k * 4)
  pack(backend, b, k, n, at)
  return { ...product, b: { at, row: 0, column: 0 }, packed: true }
}

/** Every lane reads all of B: it must be small enough for a processor's own caches, or used by rows enough. */
const laneBytes = 1 << 20
const laneRows = 24

/** Rows of a lane, where a recorded computation multiplies rows of its batch by weights. */
const laneOf = (
  backend: WasmBackend,
  { batches = 1, b, from, k, m, n, packed = false }: Product
): number | undefined => {
  const { pool } = backend
  if (!packed || batches !== 1 || pool.madeHere(b.at) || (from?.row === 0 && pool.madeHere(from.at))) return undefined
  const rows = pool.recording?.lane(m)
  return rows !== undefined && (rows >= laneRows || k * n * 4 <= laneBytes) ? rows : undefined
}

/**
 * Runs a matrix product.
 *
 * @category operations
 * @since 0.1.0
 */
export const multiply = (backend: WasmBackend, given: Product): void => {
  const temporaries = backend.pool.temporaries
  const product = prepare(backend, given)
  const { a, b, batches = 1, c, from = { at: 0, row: 0 }, k, m, n, packed = false, start = init.zero } = product
  if (m === 0 || n === 0 || batches === 0) return
  const lane = laneOf(backend, product)
  const [rows, columns] = lane === undefined ? split(product, backend.pool.threads) : [lane, n]
  const down = Math.ceil(m / rows)
  const across = Math.ceil(n / columns)
  backend.pool.run(kernel.gemm, batches * down * across, [
    a.at,
    a.row * 4,
    a.column * 4,
    b.at,
    b.row * 4,
    b.column * 4,
    c.at,
    c.row * 4,
    m,
    n,
    k,
    from.at,
    start,
    rows,
    columns,
    (a.batch ?? 0) * 4,
    (b.batch ?? 0) * 4,
    (c.batch ?? 0) * 4,
    down,
    across,
    packed ? 1 : 0,
    from.row * 4
  ], lane === undefined ? 0 : 1)
  backend.pool.releaseTemporaries(temporaries)
}

/**
 * Weights of a decoding step are packed once and kept until they change: the second product of few rows with the same
 * transposed matrix makes the copy. 0 where there is none.
 */
const packedWeight = (backend: WasmBackend, b: tf.TensorInfo, k: number, n: number): number => {
  const data = backend.data.get(b.dataId)
  if (data.packed !== 0) return data.packed
  const { pool } = backend
  data.smallProducts++
  // A recorded product is there to be repeated.
  if (data.smallProducts < 2 && pool.recording === undefined) return 0
  const at = backend.keepPacked(data, roundUp(n, columnTile) * k * 4)
  if (at === 0) return 0
  // The copy is no part of a computation that is being recorded.
  const { recording } = pool
  pool.recording = undefined
  pack(backend, { at: data.address, row: 1, column: k }, k, n, at)
  pool.recording = recording
  return at
}

interface Operand {
  readonly view: View
  readonly rows: number
  readonly columns: number
  readonly batchShape: ReadonlyArray<number>
}

const operand = (backend: WasmBackend, x: tf.TensorInfo, transposed: boolean): Operand => {
  const [rows = 1, columns = 1] = x.shape.slice(-2)
  const at = backend.at(x)
  const batch = rows * columns
  const batchShape = x.shape.slice(0, -2)
  return transposed
    ? { view: { at, row: 1, column: columns, batch }, rows: columns, columns: rows, batchShape }
    : { view: { at, row: columns, column: 1, batch }, rows, columns, batchShape }
}

/** Index of a batch in an operand whose batch dimensions broadcast. */
const batchIndex = (index: number, out: ReadonlyArray<number>, own: ReadonlyArray<number>): number => {
  let result = 0
  let stride = 1
  for (let d = 1; d <= out.length; d++) {
    const dim = out[out.length - d] ?? 1
    const size = own[own.length - d] ?? 1
    result += (size === 1 ? 0 : index % dim) * stride
    stride *= size
    index = Math.floor(index / dim)
  }
  return result
}

const broadcastShape = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): Array<number> =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, i) => {
    const x = a[i - Math.max(0, b.length - a.length)] ?? 1
    const y = b[i - Math.max(0, a.length - b.length)] ?? 1
    return x === 1 ? y : x
  })

const matMul = (backend: WasmBackend, call: Call, from: Product["from"]): tf.TensorInfo => {
  const a = operand(backend, call.input("a"), call.flag("transposeA"))
  const b = operand(backend, call.input("b"), call.flag("transposeB"))
  if (a.columns !== b.rows) {
    throw new RangeError(`cannot multiply [${a.rows}, ${a.columns}] by [${b.rows}, ${b.columns}]: inner sizes differ`)
  }
  const batchShape = broadcastShape(a.batchShape, b.batchShape)
  const batches = sizeOf(batchShape)
  const [m, n, k] = [a.rows, b.columns, a.columns]
  const out = backend.makeTensorInfo([...batchShape, m, n], "float32")
  const c = { at: backend.at(out), row: n, column: 1, batch: m * n }
  const rest = from === undefined ? {} : { start: init.from, from }
  if (b.view.row === 1 && b.batchShape.length === 0 && batches === 1 && m <= fewRows && k > 1) {
    const at = packedWeight(backend, call.input("b"), k, n)
    if (at !== 0) {
      multiply(backend, { a: a.view, b: { at, row: 0, column: 0 }, c, m, n, k, packed: true, ...rest })
      return out
    }
  }
  const [sizeA, sizeB] = [sizeOf(a.batchShape), sizeOf(b.batchShape)]
  if ((sizeA === batches || sizeA === 1) && (sizeB === batches || sizeB === 1)) {
    const viewA = sizeA === 1 ? { ...a.view, batch: 0 } : a.view
    const viewB = sizeB === 1 ? { ...b.view, batch: 0 } : b.view
    multiply(backend, { a: viewA, b: viewB, c, m, n, k, batches, ...rest })
    return out
  }
  for (let i = 0; i < batches; i++) {
    multiply(backend, {
      a: { ...a.view, at: a.view.at + batchIndex(i, batchShape, a.batchShape) * a.view.batch! * 4 },
      b: { ...b.view, at: b.view.at + batchIndex(i, batchShape, b.batchShape) * b.view.batch! * 4 },
      c: { ...c, at: c.at + i * m * n * 4 },
      m,
      n,
      k,
      ...rest
    })
  }
  return out
}

const isFloat = (...tensors: ReadonlyArray<tf.TensorInfo>): boolean => tensors.every((x) => x.dtype === "float32")

export const batchMatMul: Kernel = (backend, call) =>
  isFloat(call.input("a"), call.input("b")) ? matMul(backend, call, undefined) : call.plain()

/** `start + a · b`, all matrices. */
export const matMulAdd: Kernel = (backend, call) => {
  const start = call.input("start")
  const [m = 0, n = 0] = start.shape
  const rows = call.input("a").shape[0]
  const columns = call.input("b").shape[call.flag("transposeB") ? 0 : 1]
  if (rows !== m || columns !== n) {
    throw new RangeError(`cannot add [${rows}, ${columns}] to [${start.shape.join(", ")}]`)
  }
  return matMul(backend, call, { at: backend.at(start), row: n })
}

export const fusedMatMul: Kernel = (backend, call) => {
  const [a, b, bias] = call.list
  const activation = call.text("activation") ?? "linear"
  const rows = bias === undefined || sizeOf(bias.shape) === (bias.shape.at(-1) ?? 1)
  if (a === undefined || b === undefined || !isFloat(a, b) || !rows || activation !== "linear") return call.plain()
  const n = b.shape.at(call.flag("transposeB") ? -2 : -1) ?? 1
  if (bias !== undefined && sizeOf(bias.shape) !== n) return call.plain()
  return matMul(backend, call, bias === undefined ? undefined : { at: backend.at(bias), row: 0 })
}
