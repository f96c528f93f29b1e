/**
 * Kernels for TensorFlow that its own eager operations do better than tfjs-node's choices.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { isTensorFlowBackend, type OpAttr, type TensorFlowBackend } from "./backend.ts"

type Inputs = tf.NamedTensorInfoMap

const backendName = "tensorflow"

const backendOf = (backend: unknown): TensorFlowBackend => {
  if (!isTensorFlowBackend(backend)) throw new TypeError("the kernel needs the tensorflow backend")
  return backend
}

const input = (inputs: Inputs, name: string): tf.TensorInfo => {
  const tensor = inputs[name]
  if (tensor === undefined) throw new TypeError(`the kernel's input ${name} is missing`)
  return tensor
}

const float = ({ binding }: TensorFlowBackend): OpAttr => ({
  name: "T",
  type: binding.TF_ATTR_TYPE,
  value: binding.TF_FLOAT
})

const size = (shape: ReadonlyArray<number>): number => shape.reduce((product, dim) => product * dim, 1)

const view = (backend: TensorFlowBackend, x: tf.TensorInfo, shape: Array<number>): tf.Tensor => {
  const shapeTensor = tf.tensor1d(shape, "int32")
  const { TF_ATTR_TYPE, TF_INT32 } = backend.binding
  const attrs = [float(backend), { name: "Tshape", type: TF_ATTR_TYPE, value: TF_INT32 }]
  const result = backend.executeSingleOutput("Reshape", attrs, [x, shapeTensor])
  shapeTensor.dispose()
  return result
}

/** Two-dimensional products go to `MatMul`, which starts faster than `BatchMatMulV2`. */
const matMul: tf.KernelConfig = {
  kernelName: "BatchMatMul",
  backendName,
  kernelFunc: ({ attrs, backend, inputs }) => {
    const own = backendOf(backend)
    const a = input(inputs, "a")
    const b = input(inputs, "b")
    const flat = a.shape.length === 2 && b.shape.length === 2
    const { TF_ATTR_BOOL } = own.binding
    const { transposeA, transposeB } = { transposeA: false, transposeB: false, ...attrs }
    return own.executeSingleOutput(flat ? "MatMul" : "BatchMatMulV2", [
      float(own),
      { name: flat ? "transpose_a" : "adj_x", type: TF_ATTR_BOOL, value: transposeA === true },
      { name: flat ? "transpose_b" : "adj_y", type: TF_ATTR_BOOL, value: transposeB === true }
    ], [a, b])
  }
}

/**
 * `InplaceUpdate` writes rows into the buffer of its first input and returns it, so the pools never move. A reshaped
 * tensor shares its buffer with the original.
 */
const kvAppend: tf.KernelConfig = {
  kernelName: "SrKvAppend",
  backendName,
  kernelFunc: ({ backend, inputs }) => {
    const own = backendOf(backend)
    const slots = input(inputs, "slots")
    for (const [pool, rows] of [["kPool", "k"], ["vPool", "v"]] as const) {
      const target = input(inputs, pool)
      const values = input(inputs, rows)
      const width = size(values.shape.slice(1))
      const flatPool = view(own, target, [size(target.shape) / width, width])
      const flatRows = view(own, values, [values.shape[0] ?? 0, width])
      const updated = own.executeSingleOutput("InplaceUpdate", [float(own)], [flatPool, slots, flatRows])
      tf.dispose([flatPool, flatRows, updated])
    }
    return tf.scalar(0)
  }
}

/**
 * Registers the kernels above over those of tfjs-node.
 *
 * @category constructors
 * @since 0.1.0
 */
export const registerKernels = (): void => {
  for (const kernel of [matMul, kvAppend]) {
    if (tf.getKernel(kernel.kernelName, backendName) !== undefined) tf.unregisterKernel(kernel.kernelName, backendName)
    tf.registerKernel(kernel)
  }
}
