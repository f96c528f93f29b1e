/**
 * Computations that a device records once and repeats.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"

/**
 * An array that a repeated computation reads anew each time.
 *
 * @category models
 * @since 0.1.0
 */
export interface CapturedInput {
  readonly values: Float32Array | Int32Array
  readonly shape: ReadonlyArray<number>
}

/**
 * An input as a tensor.
 *
 * @category conversions
 * @since 0.1.0
 */
export const tensorOf = ({ shape, values }: CapturedInput): tf.Tensor =>
  tf.tensor(values, [...shape], values instanceof Int32Array ? "int32" : "float32")

/**
 * How a computation gets its inputs. Throws a `RangeError` for a name that is none of them.
 *
 * @category getters
 * @since 0.1.0
 */
export const reading = (tensors: ReadonlyMap<string, tf.Tensor>) => (name: string): tf.Tensor => {
  const tensor = tensors.get(name)
  if (tensor === undefined) throw new RangeError(`the computation has no input ${name}`)
  return tensor
}

/**
 * What a backend offers that can record computations: `captured` runs `compute` on the inputs, or repeats what it
 * recorded under the same key. `state` are the other tensors that the computation uses: it is recorded again when one of
 * them is another. The computation must neither read tensors back nor depend on anything else that changes.
 *
 * @category models
 * @since 0.1.0
 */
export interface CapturingBackend {
  readonly captures: boolean
  /**
   * Whether one recording serves inputs and state of other sizes, and other tensors as state. Elsewhere a key stands for one
   * set of sizes.
   */
  readonly adapts?: boolean
  captured(
    key: string,
    inputs: Readonly<Record<string, CapturedInput>>,
    state: ReadonlyArray<tf.Tensor>,
    compute: (inputs: (name: string) => tf.Tensor) => ReadonlyArray<tf.Tensor>
  ): ReadonlyArray<tf.Tensor>
}

const isCapturing = (backend: unknown): backend is CapturingBackend =>
  typeof backend === "object" && backend !== null && "captures" in backend && backend.captures === true

/**
 * The active backend, where it can record computations.
 *
 * @category getters
 * @since 0.1.0
 */
export const capturingBackend = (): CapturingBackend | undefined => {
  const backend: unknown = tf.backend()
  return isCapturing(backend) ? backend : undefined
}

/**
 * The active backend, where it can record computations whose state is different tensors each time.
 *
 * @category getters
 * @since 0.1.0
 */
export const adaptingBackend = (): CapturingBackend | undefined => {
  const backend = capturingBackend()
  return backend?.adapts === true ? backend : undefined
}
