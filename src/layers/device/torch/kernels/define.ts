/**
 * How kernels of the torch backend are written down.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import type { Handle } from "../addon.ts"
import { TorchBackend } from "../backend.ts"

/**
 * A tensor that a kernel made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Made {
  readonly handle: Handle
  readonly shape: ReadonlyArray<number>
  readonly dtype: tf.DataType
}

/**
 * What a kernel is given: the backend, its inputs by name, its attributes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  readonly torch: TorchBackend
  /** An input that must be there. */
  readonly input: (name: string) => tf.TensorInfo
  readonly optional: (name: string) => tf.TensorInfo | undefined
  readonly inputs: tf.NamedTensorInfoMap
  readonly number: (name: string, fallback?: number) => number
  readonly flag: (name: string) => boolean
  readonly numbers: (name: string) => ReadonlyArray<number>
  readonly attribute: (name: string) => unknown
}

const isNumbers = (value: unknown): value is ReadonlyArray<number> =>
  (Array.isArray(value) || ArrayBuffer.isView(value)) && Array.prototype.every.call(value, (x) => typeof x === "number")

const makeCall = (
  torch: TorchBackend,
  kernel: string,
  inputs: tf.NamedTensorInfoMap,
  attrs: tf.NamedAttrMap | undefined
): Call => {
  const attribute = (name: string): unknown => attrs?.[name]
  return {
    torch,
    inputs,
    attribute,
    input: (name) => {
      const tensor = inputs[name]
      if (tensor === undefined) throw new TypeError(`${kernel} needs the input ${name}`)
      return tensor
    },
    optional: (name) => inputs[name] ?? undefined,
    number: (name, fallback) => {
      const value = attribute(name) ?? fallback
      if (typeof value !== "number") throw new TypeError(`${kernel} needs the number ${name}`)
      return value
    },
    flag: (name) => attribute(name) === true,
    numbers: (name) => {
      const value = attribute(name)
      if (typeof value === "number") return [value]
      if (!isNumbers(value)) throw new TypeError(`${kernel} needs the numbers ${name}`)
      return value
    }
  }
}

/**
 * A kernel by name. What its body makes besides its results is released when it ends.
 *
 * @category models
 * @since 0.1.0
 */
export interface TorchKernel {
  readonly name: string
  readonly run: (call: Call) => tf.TensorInfo | Array<tf.TensorInfo>
}

/**
 * A kernel whose body makes one tensor.
 *
 * @category constructors
 * @since 0.1.0
 */
export const single = (name: string, body: (call: Call) => Made): TorchKernel => ({
  name,
  run: (call) => {
    const { torch } = call
    torch.addon.beginScope()
    let kept: Handle = 0
    try {
      const { dtype, handle, shape } = body(call)
      const info = torch.adopt(handle, shape, dtype)
      kept = handle
      return info
    } finally {
      if (kept === 0) torch.addon.endScope()
      else torch.addon.endScope(kept)
    }
  }
})

/**
 * A kernel whose body makes several tensors.
 *
 * @category constructors
 * @since 0.1.0
 */
export const several = (name: string, body: (call: Call) => ReadonlyArray<Made>): TorchKernel => ({
  name,
  run: (call) => {
    const { torch } = call
    torch.addon.beginScope()
    let kept: ReadonlyArray<Handle> = []
    try {
      const made = body(call)
      const infos = made.map(({ dtype, handle, shape }) => torch.adopt(handle, shape, dtype))
      kept = made.map(({ handle }) => handle)
      torch.addon.keep(...kept)
      return infos
    } finally {
      torch.addon.endScope()
    }
  }
})

/**
 * A kernel whose result is an input under another shape.
 *
 * @category constructors
 * @since 0.1.0
 */
export const alias = (name: string, input: string, shape: (call: Call) => ReadonlyArray<number>): TorchKernel => ({
  name,
  run: (call) => {
    const x = call.input(input)
    call.torch.incRef(x.dataId)
    return { dataId: x.dataId, shape: [...shape(call)], dtype: x.dtype }
  }
})

/**
 * A kernel that does its work in place and returns a scalar that means nothing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const effect = (name: string, body: (call: Call) => void): TorchKernel => ({
  name,
  run: (call) => {
    const { torch } = call
    torch.addon.beginScope()
    try {
      body(call)
      return torch.filled([], 0, "float32")
    } finally {
      torch.addon.endScope()
    }
  }
})

/**
 * Registers kernels for a backend.
 *
 * @category constructors
 * @since 0.1.0
 */
export const registerKernels = (backendName: string, kernels: ReadonlyArray<TorchKernel>): void => {
  for (const { name, run } of kernels) {
    if (tf.getKernel(name, backendName) !== undefined) continue
    tf.registerKernel({
      kernelName: name,
      backendName,
      kernelFunc: ({ attrs, backend, inputs }) => {
        if (!(backend instanceof TorchBackend)) throw new TypeError(`${name} needs the torch backend`)
        return run(makeCall(backend, name, inputs, attrs))
      }
    })
  }
}
