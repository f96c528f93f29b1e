/**
 * Kernels that move numbers without computing: views, slices, joins, lookups, constants.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { bits, kernel } from "./abi.ts"
import { sizeOf, type WasmBackend } from "./Backend.ts"
import { elementChunk, rowChunk } from "./fused.ts"
import { checkIndices, type Kernel } from "./kernel.ts"

const rank = 4

/** A copy between two strided views, in words. */
interface Copy {
  readonly from: number
  readonly to: number
  readonly sizes: ReadonlyArray<number>
  readonly read: ReadonlyArray<number>
  readonly write: ReadonlyArray<number>
}

const rowMajor = (shape: ReadonlyArray<number>): Array<number> => {
  const strides: Array<number> = []
  let stride = 1
  for (let d = shape.length - 1; d >= 0; d--) {
    strides.unshift(stride)
    stride *= shape[d] ?? 1
  }
  return strides
}

/** Merges dimensions that are contiguous in both views and runs the copy; false where more than four remain. */
const copy = (backend: WasmBackend, { from, read, sizes, to, write }: Copy): boolean => {
  const dims: Array<{ size: number; read: number; write: number }> = []
  sizes.forEach((size, d) => {
    if (size === 1) return
    const [r, w] = [read[d] ?? 0, write[d] ?? 0]
    const last = dims.at(-1)
    if (last !== undefined && last.read === r * size && last.write === w * size) {
      last.size *= size
      last.read = r
      last.write = w
    } else dims.push({ size, read: r, write: w })
  })
  if (dims.length > rank) return false
  while (dims.length < rank) dims.unshift({ size: 1, read: 0, write: 0 })
  // One long row goes in pieces, so that threads share it.
  const total = sizeOf(sizes)
  if (total === 0) return true
  const inner = sizeOf(dims.slice(1).map(({ size }) => size))
  const each = rowChunk(inner)
  backend.pool.run(kernel.stridedCopy, Math.ceil((dims[0]?.size ?? 1) / each), [
    from,
    to,
    ...dims.map(({ size }) => size),
    ...dims.map((dim) => dim.read),
    ...dims.map((dim) => dim.write),
    each
  ])
  return true
}

const isWords = (x: tf.TensorInfo): boolean => x.dtype === "float32" || x.dtype === "int32"

const identity: Kernel = (backend, call) => {
  const x = call.input("x")
  return backend.alias(x, x.shape)
}

const reshape: Kernel = (backend, call) => {
  const x = call.input("x")
  const size = sizeOf(x.shape)
  const shape = tf.util.inferFromImplicitShape([...(call.numbers("shape") ?? [])], size)
  if (sizeOf(shape) !== size) {
    throw new RangeError(`cannot reshape [${x.shape.join(", ")}] to [${shape.join(", ")}]: ${size} elements`)
  }
  return backend.alias(x, shape)
}

const expandDims: Kernel = (backend, call) => {
  const x = call.input("input")
  const [dim = 0] = call.numbers("dim") ?? []
  const shape = [...x.shape]
  shape.splice(dim < 0 ? dim + x.shape.length + 1 : dim, 0, 1)
  return backend.alias(x, shape)
}

const slice: Kernel = (backend, call) => {
  const x = call.input("x")
  const begins = call.numbers("begin") ?? []
  const sizes = call.numbers("size") ?? []
  const begin = x.shape.map((_, d) => begins[d] ?? 0)
  const size = x.shape.map((dim, d) => {
    const given = sizes[d] ?? -1
    return given < 0 ? dim - (begin[d] ?? 0) : given
  })
  x.shape.forEach((dim, d) => {
    const [from = 0, length = 0] = [begin[d], size[d]]
    if (from < 0 || length < 0 || from + length > dim) {
      throw new RangeError(`cannot slice ${length} at ${from} out of dimension ${d} of [${x.shape.join(", ")}]`)
    }
  })
  if (!isWords(x)) return call.plain()
  const read = rowMajor(x.shape)
  const offset = begin.reduce((sum, b, d) => sum + b * (read[d] ?? 0), 0)
  const out = backend.makeTensorInfo(size, x.dtype)
  const done = copy(backend, {
    from: backend.at(x) + offset * 4,
    to: backend.at(out),
    sizes: size,
    read,
    write: rowMajor(size)
  })
  if (done) return out
  backend.disposeIntermediateTensorInfo(out)
  return call.plain()
}

const transpose: Kernel = (backend, call) => {
  const x = call.input("x")
  const perm = call.numbers("perm") ?? []
  if (!isWords(x)) return call.plain()
  const strides = rowMajor(x.shape)
  const shape = perm.map((d) => x.shape[d] ?? 1)
  const out = backend.makeTensorInfo(shape, x.dtype)
  const done = copy(backend, {
    from: backend.at(x),
    to: backend.at(out),
    sizes: shape,
    read: perm.map((d) => strides[d] ?? 0),
    write: rowMajor(shape)
  })
  if (done) return out
  backend.disposeIntermediateTensorInfo(out)
  return call.plain()
}

/** Writes each part into its place along the axis. */
const join = (backend: WasmBackend, parts: ReadonlyArray<tf.TensorInfo>, axis: number): tf.TensorInfo => {
  const first = parts[0]!
  const shape = [...first.shape]
  shape[axis] = parts.reduce((sum, part) => sum + (part.shape[axis] ?? 0), 0)
  const out = backend.makeTensorInfo(shape, first.dtype)
  const outer = sizeOf(shape.slice(0, axis))
  const width = sizeOf(shape.slice(axis))
  let offset = 0
  for (const part of parts) {
    const own = sizeOf(part.shape.slice(axis))
    copy(backend, {
      from: backend.at(part),
      to: backend.at(out) + offset * 4,
      sizes: [outer, own],
      read: [own, 1],
      write: [width, 1]
    })
    offset += own
  }
  return out
}

const concat: Kernel = (backend, call) => {
  const parts = call.list
  const first = parts[0]
  const [axis = 0] = call.numbers("axis") ?? []
  if (first === undefined || !parts.every((part) => isWords(part) && part.dtype === first.dtype)) return call.plain()
  const at = axis < 0 ? axis + first.shape.length : axis
  tf.backend_util.assertParamsConsistent(parts.map((part) => part.shape), at)
  return join(backend, parts, at)
}

const pack: Kernel = (backend, call) => {
  const parts = call.list
  const first = parts[0]
  const [axis = 0] = call.numbers("axis") ?? []
  if (first === undefined || !parts.every((part) => isWords(part) && part.dtype === first.dtype)) return call.plain()
  const at = axis < 0 ? axis + first.shape.length + 1 : axis
  const expanded = parts.map((part) => ({ ...part, shape: [...part.shape.slice(0, at), 1, ...part.shape.slice(at)] }))
  return join(backend, expanded, at)
}

const unpack: Kernel = (backend, call) => {
  const x = call.input("value")
  const [given = 0] = call.numbers("axis") ?? []
  const axis = given < 0 ? given + x.shape.length : given
  if (!isWords(x)) return call.plain()
  const shape = [...x.shape.slice(0, axis), ...x.shape.slice(axis + 1)]
  const outer = sizeOf(x.shape.slice(0, axis))
  const inner = sizeOf(x.shape.slice(axis + 1))
  const count = x.shape[axis] ?? 0
  return Array.from({ length: count }, (_, i) => {
    const out = backend.makeTensorInfo(shape, x.dtype)
    copy(backend, {
      from: backend.at(x) + i * inner * 4,
      to: backend.at(out),
      sizes: [outer, inner],
      read: [count * inner, 1],
      write: [inner, 1]
    })
    return out
  })
}

const gather: Kernel = (backend, call) => {
  const [x, indices] = [call.input("x"), call.input("indices")]
  const [axis = 0] = call.numbers("axis") ?? []
  const [batchDims = 0] = call.numbers("batchDims") ?? []
  if (axis !== 0 || batchDims !== 0 || !isWords(x) || indices.dtype !== "int32") return call.plain()
  const rows = x.shape[0] ?? 0
  checkIndices(backend, "indices", indices, rows)
  const width = sizeOf(x.shape.slice(1))
  const count = sizeOf(indices.shape)
  const out = backend.makeTensorInfo([...indices.shape, ...x.shape.slice(1)], x.dtype)
  const { chunks, each, lane } = backend.pool.share(count, rowChunk(width))
  const tensors = [x, indices, out].map((tensor) => backend.at(tensor))
  const whole = backend.pool.madeHere(backend.at(x))
  backend.pool.run(kernel.gather, chunks, [...tensors, count, width, each, rows], whole ? 0 : lane)
  return out
}

/** A tensor of one number. */
const constant = (backend: WasmBackend, shape: ReadonlyArray<number>, dtype: tf.DataType, value: number) => {
  const out = backend.makeTensorInfo(shape, dtype)
  if (dtype !== "float32" && dtype !== "int32") {
    backend.data.get(out.dataId).numbers.fill(value)
    backend.pool.recording?.pin(backend.at(out))
    return out
  }
  const size = sizeOf(shape)
  const word = dtype === "float32" ? bits(value) : value
  backend.pool.run(kernel.fill, Math.ceil(size / elementChunk), [backend.at(out), size, word, elementChunk])
  return out
}

const isNumeric = (dtype: string): dtype is "float32" | "int32" | "bool" =>
  dtype === "float32" || dtype === "int32" || dtype === "bool"

const fill: Kernel = (backend, call) => {
  const value = call.text("value")
  const dtype = call.text("dtype") ?? "float32"
  if (value !== undefined || !isNumeric(dtype)) return call.plain()
  return constant(backend, call.numbers("shape") ?? [], dtype, call.number("value"))
}

const like = (value: number): Kernel => (backend, call) => {
  const x = call.input("x")
  return isNumeric(x.dtype) ? constant(backend, x.shape, x.dtype, value) : call.plain()
}

/**
 * Kernels by their tfjs names.
 *
 * @category constants
 * @since 0.1.0
 */
export const shapeKernels: Readonly<Record<string, Kernel>> = {
  Identity: identity,
  Reshape: reshape,
  ExpandDims: expandDims,
  Slice: slice,
  Transpose: transpose,
  Concat: concat,
  Pack: pack,
  Unpack: unpack,
  GatherV2: gather,
  Fill: fill,
  ZerosLike: like(0),
  OnesLike: like(1)
}
