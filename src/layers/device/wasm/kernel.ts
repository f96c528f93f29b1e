/**
 * Typed access to what tfjs hands to a kernel.
 *
 * @since 0.1.0
 */
import type * as tf from "@tensorflow/tfjs-core"
import type { WasmBackend } from "./Backend.ts"

/**
 * A kernel's inputs and attributes by name.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  /** A tensor that must be there. */
  readonly input: (name: string) => tf.TensorInfo
  /** A tensor that may be there. */
  readonly optional: (name: string) => tf.TensorInfo | undefined
  /** A number that must be there. */
  readonly number: (name: string) => number
  /** A flag, false when absent. */
  readonly flag: (name: string) => boolean
  /** A text, undefined when absent. */
  readonly text: (name: string) => string | undefined
  /** A list of numbers (one number counts as a list of one), undefined when absent. */
  readonly numbers: (name: string) => ReadonlyArray<number> | undefined
  /** All inputs, where they are a list. */
  readonly list: ReadonlyArray<tf.TensorInfo>
  /** The same call on the kernel of @tensorflow/tfjs-backend-cpu, over our memory. */
  readonly plain: () => tf.TensorInfo | Array<tf.TensorInfo>
}

/**
 * A kernel of the backend.
 *
 * @category models
 * @since 0.1.0
 */
export type Kernel = (backend: WasmBackend, call: Call) => tf.TensorInfo | Array<tf.TensorInfo>

/**
 * What tfjs calls for a kernel.
 *
 * @category constructors
 * @since 0.1.0
 */
export const kernelFunc =
  (name: string, backend: WasmBackend, kernel: Kernel, plain: tf.KernelFunc | undefined): tf.KernelFunc => (params) => {
    const { inputs } = params
    const attrs = params.attrs ?? {}
    return backend.kernel(() =>
      kernel(backend, {
        input: (key) => {
          const tensor = inputs[key]
          if (tensor === undefined) throw new TypeError(`${name} needs the input ${key}`)
          return tensor
        },
        optional: (key) => inputs[key],
        number: (key) => {
          const value = attrs[key]
          if (typeof value !== "number") throw new TypeError(`${name} needs the number ${key}, got ${String(value)}`)
          return value
        },
        flag: (key) => attrs[key] === true,
        text: (key) => {
          const value = attrs[key]
          return typeof value === "string" ? value : undefined
        },
        numbers: (key) => {
          const value = attrs[key]
          if (typeof value === "number") return [value]
          if (!Array.isArray(value)) return undefined
          return value.map(Number)
        },
        get list() {
          return Object.values(inputs).filter((tensor) => tensor !== undefined)
        },
        plain: () => {
          backend.pool.recording?.refuse(`${name} ran in JavaScript`)
          if (plain === undefined) throw new TypeError(`${name} does not take these inputs on this device`)
          return plain({ ...params, backend })
        }
      })
    )
  }

/**
 * Fails unless `length` indices from word `from` on are in `[0, bound)`: kernels do not check addresses.
 *
 * @category assertions
 * @since 0.1.0
 */
export const checkRange = (what: string, words: Int32Array, from: number, length: number, bound: number): void => {
  for (let i = 0; i < length; i++) {
    const index = words[from + i] ?? 0
    if (index < 0 || index >= bound) {
      throw new RangeError(`${what}[${i}] is ${index}, must be at least 0 and below ${bound}`)
    }
  }
}

/**
 * Fails unless every index in an int32 tensor is in `[0, bound)`, now and whenever a recorded computation is repeated.
 *
 * @category assertions
 * @since 0.1.0
 */
export const checkIndices = (backend: WasmBackend, what: string, indices: tf.TensorInfo, bound: number): void => {
  const { pool } = backend
  if (indices.dtype !== "int32") throw new TypeError(`${what} must be int32, got ${indices.dtype}`)
  const address = backend.at(indices)
  const length = backend.data.get(indices.dataId).size
  checkRange(what, pool.i32, address / 4, length, bound)
  pool.recording?.check({ what, address, length, bound })
}
