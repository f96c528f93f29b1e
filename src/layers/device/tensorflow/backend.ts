/**
 * The backend that `@tensorflow/tfjs-node` registers, as far as it is used here: any operation of TensorFlow by name.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import type { Graphs } from "./Graphs.ts"

/**
 * An attribute of a TensorFlow operation.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpAttr {
  readonly name: string
  readonly type: number
  readonly value: number | boolean | string | ReadonlyArray<number>
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
 * The native binding of tfjs-node.
 *
 * @category models
 * @since 0.1.0
 */
export interface Binding {
  readonly TF_FLOAT: number
  readonly TF_INT32: number
  readonly TF_BOOL: number
  readonly TF_ATTR_TYPE: number
  readonly TF_ATTR_BOOL: number
  readonly TF_ATTR_INT: number
  readonly TF_ATTR_FLOAT: number
  readonly TF_Version: string
  readonly createTensor: (
    shape: ReadonlyArray<number>,
    dtype: number,
    values: Int32Array | Float32Array | Uint8Array
  ) => number
  readonly deleteTensor: (id: number) => void
  readonly tensorDataSync: (id: number) => Float32Array | Int32Array | Uint8Array
  readonly executeOp: (
    name: string,
    attrs: ReadonlyArray<OpAttr>,
    inputs: ReadonlyArray<number>,
    outputs: number
  ) => Array<OutputMetadata>
  readonly loadSavedModel: (directory: string, tags: string) => number
  readonly deleteSavedModel: (id: number) => void
  /** Names are joined by commas. */
  readonly runSavedModel: (
    id: number,
    inputs: ReadonlyArray<number>,
    inputNames: string,
    outputNames: string
  ) => Array<OutputMetadata>
  /** While operations are recorded: the first tensor was changed in place and is the second one from now on. */
  readonly rebind?: (id: number, updated: number) => void
}

/**
 * The members of tfjs-node's backend that the device relies on.
 *
 * @category models
 * @since 0.1.0
 */
export interface TensorFlowBackend {
  readonly isUsingGpuDevice: boolean
  /** Recorded computations, where the backend can repeat them. */
  graphs?: Graphs
  binding: Binding
  executeSingleOutput(name: string, attrs: ReadonlyArray<OpAttr>, inputs: ReadonlyArray<tf.TensorInfo>): tf.Tensor
  getInputTensorIds(tensors: ReadonlyArray<tf.TensorInfo>): Array<number>
  /** Takes numbers over as a tensor. They go to TensorFlow with the first operation on it and are held here until then. */
  move(dataId: tf.DataId, values: tf.BackendValues, shape: Array<number>, dtype: tf.DataType, refCount: number): void
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
