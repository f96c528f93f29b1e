/**
 * The backend that `@tensorflow/tfjs-node` registers, as far as it is used here: any operation of TensorFlow by name.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"

/**
 * An attribute of a TensorFlow operation.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpAttr {
  readonly name: string
  readonly type: number
  readonly value: number | boolean | string
}

/**
 * A result as the binding describes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface OutputMetadata {
  readonly id: number
  readonly shape: ReadonlyArray<number>
  readonly dtype: number
}

/**
 * The members of tfjs-node's backend and binding that the device relies on.
 *
 * @category models
 * @since 0.1.0
 */
export interface TensorFlowBackend {
  readonly isUsingGpuDevice: boolean
  readonly binding: {
    readonly TF_FLOAT: number
    readonly TF_INT32: number
    readonly TF_ATTR_TYPE: number
    readonly TF_ATTR_BOOL: number
    readonly createTensor: (shape: ReadonlyArray<number>, dtype: number, values: Int32Array | Float32Array) => number
    readonly deleteTensor: (id: number) => void
    readonly executeOp: (
      name: string,
      attrs: ReadonlyArray<OpAttr>,
      inputs: ReadonlyArray<number>,
      outputs: number
    ) => Array<OutputMetadata>
    readonly TF_Version: string
  }
  executeSingleOutput(name: string, attrs: ReadonlyArray<OpAttr>, inputs: ReadonlyArray<tf.TensorInfo>): tf.Tensor
  getInputTensorIds(tensors: ReadonlyArray<tf.TensorInfo>): Array<number>
  createOutputTensor(metadata: OutputMetadata): tf.Tensor
}

/**
 * @category guards
 * @since 0.1.0
 */
export const isTensorFlowBackend = (value: unknown): value is TensorFlowBackend =>
  typeof value === "object" && value !== null && "binding" in value && "executeSingleOutput" in value

/**
 * The registered backend, if there is one.
 *
 * @category getters
 * @since 0.1.0
 */
export const findTensorFlow = (): TensorFlowBackend | undefined => {
  const backend: unknown = tf.findBackend("tensorflow")
  return isTensorFlowBackend(backend) ? backend : undefined
}
