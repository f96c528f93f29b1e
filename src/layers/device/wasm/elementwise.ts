/**
 * Element-wise operations.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { bits, kernel } from "./abi.ts"
import { sizeOf, type WasmBackend } from "./Backend.ts"
import { elementChunk } from "./fused.ts"
import type { Kernel } from "./kernel.ts"

/** Two operands on [rows, inner]: bytes between rows, and whether each steps along `inner`. */
interface Layout {
  readonly rows: number
  readonly inner: number
  readonly a: readonly [row: number, step: number]
  readonly b: readonly [row: number, step: number]
}

/** Merges dimensions that broadcast alike; undefined where more than two remain. */
const layout = (
  a: ReadonlyArray<number>,
  b: ReadonlyArray<number>,
  out: ReadonlyArray<number>
): Layout | undefined => {
  const groups: Array<{ size: number; a: boolean; b: boolean }> = []
  out.forEach((size, d) => {
    if (size === 1) return
    const inA = (a[d - out.length + a.length] ?? 1) === size
    const inB = (b[d - out.length + b.length] ?? 1) === size
    const last = groups.at(-1)
    if (last !== undefined && last.a === inA && last.b === inB) last.size *= size
    else groups.push({ size, a: inA, b: inB })
  })
  if (groups.length > 2) return undefined
  const inner = groups.at(-1) ?? { size: 1, a: true, b: true }
  const outer = groups.length === 2 ? groups[0] : undefined
  const strides = (which: "a" | "b"): readonly [number, number] => [
    outer?.[which] === true ? (inner[which] ? inner.size * 4 : 4) : 0,
    inner[which] ? 1 : 0
  ]
  return { rows: outer?.size ?? 1, inner: inner.size, a: strides("a"), b: strides("b") }
}

/**
 * Runs a binary operation on float32 tensors, or undefined where their broadcast is not one of rows and columns.
 *
 * @internal
 */
const binaryFloat = (backend: WasmBackend, op: number, a: tf.TensorInfo, b: tf.TensorInfo) => {
  const shape = tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape)
  const plan = layout(a.shape, b.shape, shape)
  if (plan === undefined) return undefined
  const out = backend.makeTensorInfo(shape, "float32")
  const { inner, rows } = plan
  if (rows === 0 || inner === 0) return out
  const { pool } = backend
  // In a recorded computation a row of what repeats along the batch must come from elsewhere.
  const repeated = [a, b].filter((x) => x.shape.length < shape.length || x.shape[0] !== shape[0])
  const across = pool.share(
    rows === 1 ? inner : rows,
    rows === 1 ? Math.min(inner, elementChunk) : 0,
    rows === 1 ? 8 : 1
  )
  const isLane = across.lane > 0 && !pool.madeHere(...repeated.map((x) => backend.at(x)))
  const width = isLane ? (rows === 1 ? across.each : inner) : Math.min(inner, elementChunk)
  const height = isLane && rows > 1 ? across.each : Math.max(1, Math.floor(elementChunk / inner))
  const args = [a, b, out].map((x) => backend.at(x))
  args.push(...plan.a, ...plan.b, rows, inner, height, width, op)
  pool.run(kernel.binary, Math.ceil(rows / height) * Math.ceil(inner / width), args, isLane ? 1 : 0)
  return out
}

const binary = (op: number): Kernel => (backend, call) => {
  const [a, b] = [call.input("a"), call.input("b")]
  if (a.dtype !== "float32" || b.dtype !== "float32") return call.plain()
  return binaryFloat(backend, op, a, b) ?? call.plain()
}

/** Sums into the first sum's memory: no temporary but the result. */
const addN: Kernel = (backend, call) => {
  const [first, second, ...rest] = call.list
  const size = first === undefined ? 0 : sizeOf(first.shape)
  const same = call.list.every((x) => x.dtype === "float32" && sizeOf(x.shape) === size)
  if (first === undefined || second === undefined || !same || size === 0) return call.plain()
  const out = backend.makeTensorInfo(first.shape, "float32")
  const to = backend.at(out)
  const add = (a: number, b: number) =>
    backend.pool.run(kernel.binary, Math.ceil(size / elementChunk), [
      a,
      b,
      to,
      0,
      1,
      0,
      1,
      1,
      size,
      1,
      elementChunk,
      0
    ])
  add(backend.at(first), backend.at(second))
  for (const x of rest) add(to, backend.at(x))
  return out
}

const unaryFloat = (backend: WasmBackend, op: number, x: tf.TensorInfo, p = 0, q = 0): tf.TensorInfo => {
  const size = sizeOf(x.shape)
  const out = backend.makeTensorInfo(x.shape, "float32")
  const { chunks, each, lane } = backend.pool.share(size, elementChunk, 8)
  backend.pool.run(kernel.unary, chunks, [backend.at(x), backend.at(out), size, each, op, bits(p), bits(q)], lane)
  return out
}

const unary = (op: number): Kernel => (backend, call) => {
  const x = call.input("x")
  return x.dtype === "float32" ? unaryFloat(backend, op, x) : call.plain()
}

const clip: Kernel = (backend, call) => {
  const x = call.input("x")
  if (x.dtype !== "float32") return call.plain()
  return unaryFloat(backend, 9, x, call.number("clipValueMin"), call.number("clipValueMax"))
}

const cast: Kernel = (backend, call) => {
  const x = call.input("x")
  const dtype = call.text("dtype")
  if (dtype === x.dtype) return backend.alias(x, x.shape)
  backend.pool.recording?.refuse("numbers are converted in JavaScript")
  if (dtype === "float32" && (x.dtype === "int32" || x.dtype === "bool")) {
    return backend.makeTensorInfo(x.shape, dtype, backend.data.get(x.dataId).numbers)
  }
  if (dtype === "int32" && (x.dtype === "float32" || x.dtype === "bool")) {
    return backend.makeTensorInfo(x.shape, dtype, backend.data.get(x.dataId).numbers)
  }
  return call.plain()
}

/**
 * Kernels by their tfjs names.
 *
 * @category constants
 * @since 0.1.0
 */
export const elementwise: Readonly<Record<string, Kernel>> = {
  Add: binary(0),
  AddN: addN,
  Sub: binary(1),
  Multiply: binary(2),
  RealDiv: binary(3),
  Maximum: binary(4),
  Minimum: binary(5),
  SquaredDifference: binary(6),
  Neg: unary(0),
  Abs: unary(1),
  Exp: unary(2),
  Sqrt: unary(3),
  Rsqrt: unary(4),
  Square: unary(5),
  Reciprocal: unary(6),
  Relu: unary(7),
  Sigmoid: unary(8),
  Log: unary(11),
  ClipByValue: clip,
  Cast: cast
}
