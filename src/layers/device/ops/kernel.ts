/**
 * How fused operations reach a device: a kernel of the active backend where it has one.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"

/**
 * Names of all fused kernels that a device may implement.
 *
 * @category constants
 * @since 0.1.0
 */
export const fusedKernels = [
  "SrRmsNorm",
  "SrRmsNormGrad",
  "SrRope",
  "SrAttention",
  "SrAttentionGrad",
  "SrPagedAttention",
  "SrKvAppend",
  "SrSwiGlu",
  "SrSwiGluGrad",
  "SrTokenLogProb",
  "SrTokenLogProbGrad",
  "SrEmbeddingGrad",
  "SrAdamW",
  "SrSumSquares",
  "SrSample"
] as const

/**
 * Any of these; or what a device without fused attention may implement, attention over sequences as rows of equal length; or
 * a sum that a device may have together with the operation before it.
 *
 * @category models
 * @since 0.1.0
 */
export type FusedKernel =
  | typeof fusedKernels[number]
  | "SrRowAttention"
  | "SrRowAttentionGrad"
  | "SrMatMulAdd"
  | "SrRmsNormGradAdd"

/**
 * Whether the active backend has the kernel.
 *
 * @category getters
 * @since 0.1.0
 */
export const hasKernel = (name: FusedKernel): boolean => tf.getKernel(name, tf.getBackend()) !== undefined

/**
 * Runs a kernel of the active backend and returns its outputs.
 *
 * @category combinators
 * @since 0.1.0
 */
export const runFused = (
  name: FusedKernel,
  inputs: tf.NamedTensorMap,
  attrs: Record<string, number | boolean> = {}
): Array<tf.Tensor> => {
  const outputs: tf.Tensor | Array<tf.Tensor> = tf.engine().runKernel(name, inputs, attrs)
  return Array.isArray(outputs) ? outputs : [outputs]
}

/**
 * Output `index` of a kernel, whose number of outputs is part of its contract.
 *
 * @category getters
 * @since 0.1.0
 */
export const output = (outputs: ReadonlyArray<tf.Tensor>, index: number): tf.Tensor => {
  const tensor = outputs[index]
  if (tensor === undefined) throw new RangeError(`a fused kernel returned ${outputs.length} outputs, not ${index + 1}`)
  return tensor
}

/**
 * A differentiable operation out of a forward and a backward function. What `forward` hands to `save` reaches
 * `backward`; the gradients come in the order of `inputs`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const differentiable = (
  inputs: ReadonlyArray<tf.Tensor>,
  forward: (save: (tensors: Array<tf.Tensor>) => void) => tf.Tensor,
  backward: (dy: tf.Tensor, saved: ReadonlyArray<tf.Tensor>) => ReadonlyArray<tf.Tensor>
): tf.Tensor =>
  tf.customGrad((...args) => {
    const save = args.at(-1)
    return {
      value: forward((tensors) => {
        if (typeof save === "function") save(tensors)
      }),
      gradFunc: (dy: tf.Tensor, saved: Array<tf.Tensor>) => [...backward(dy, saved)]
    }
  })(...inputs)
