/**
 * Reductions along axes, and softmax.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { bits, kernel } from "./abi.ts"
import { sizeOf, type WasmBackend } from "./Backend.ts"
import type { Kernel } from "./kernel.ts"

/** What a reduction does. */
const operation = { sum: 0, max: 1, min: 2 } as const

interface Reduction {
  readonly operation: number
  readonly from: number
  readonly to: number
  readonly outer: number
  readonly axis: number
  readonly inner: number
  readonly factor: number
}

const run = (backend: WasmBackend, { axis, factor, from, inner, operation, outer, to }: Reduction): void => {
  const each = inner === 1 ? Math.max(1, Math.floor(16384 / Math.max(1, axis))) : Math.max(16, Math.min(inner, 64))
  const chunks = inner === 1 ? Math.ceil(outer / each) : outer * Math.ceil(inner / each)
  backend.pool.run(kernel.reduce, chunks, [from, to, outer, axis, inner, each, operation, bits(factor)])
}

/**
 * Adds the rows of a matrix at address `from` into one row at `to`.
 *
 * @category operations
 * @since 0.1.0
 */
export const sumRows = (backend: WasmBackend, from: number, to: number, rows: number, width: number): void => {
  if (width === 1) run(backend, { operation: operation.sum, from, to, outer: 1, axis: rows, inner: 1, factor: 1 })
  else run(backend, { operation: operation.sum, from, to, outer: 1, axis: rows, inner: width, factor: 1 })
}

/** The reduced axes as one axis of [outer, axis, inner], or undefined where they do not lie together. */
const together = (shape: ReadonlyArray<number>, axes: ReadonlyArray<number>): [number, number, number] | undefined => {
  const reduced = new Set(axes)
  let [outer, axis, inner] = [1, 1, 1]
  let stage = 0
  for (let d = 0; d < shape.length; d++) {
    const size = shape[d] ?? 1
    if (size === 1) continue
    if (reduced.has(d)) {
      if (stage === 2) return undefined
      stage = 1
      axis *= size
    } else if (stage === 0) outer *= size
    else {
      stage = 2
      inner *= size
    }
  }
  return [outer, axis, inner]
}

const reduction = (kind: keyof typeof operation, attribute: string, mean: boolean): Kernel => (backend, call) => {
  const x = call.input("x")
  const axes = tf.util.parseAxisParam([...(call.numbers(attribute) ?? x.shape.keys())], x.shape)
  const shape = together(x.shape, axes)
  if (x.dtype !== "float32" || shape === undefined || sizeOf(x.shape) === 0) return call.plain()
  const [outer, axis, inner] = shape
  const keep = call.flag("keepDims")
  const outShape = x.shape.flatMap((size, d) => axes.includes(d) ? keep ? [1] : [] : [size])
  const out = backend.makeTensorInfo(outShape, "float32")
  const [from, to] = [backend.at(x), backend.at(out)]
  run(backend, { operation: operation[kind], from, to, outer, axis, inner, factor: mean ? 1 / axis : 1 })
  return out
}

export const sum: Kernel = reduction("sum", "axis", false)
export const mean: Kernel = reduction("sum", "axis", true)
export const max: Kernel = reduction("max", "reductionIndices", false)
export const min: Kernel = reduction("min", "axis", false)

const softmaxKernel = (input: string, attribute: string, log: boolean): Kernel => (backend, call) => {
  const x = call.input(input)
  const width = x.shape.at(-1) ?? 1
  const [axis = -1] = call.numbers(attribute) ?? []
  if (x.dtype !== "float32" || (axis !== -1 && axis !== x.shape.length - 1) || sizeOf(x.shape) === 0) {
    return call.plain()
  }
  const rows = sizeOf(x.shape) / width
  const each = Math.max(1, Math.floor(16384 / width))
  const out = backend.makeTensorInfo(x.shape, "float32")
  const args = [backend.at(x), backend.at(out), rows, width, each, log ? 1 : 0]
  backend.pool.run(kernel.softmax, Math.ceil(rows / each), args)
  return out
}

export const softmax: Kernel = softmaxKernel("logits", "dim", false)
export const logSoftmax: Kernel = softmaxKernel("logits", "axis", true)
