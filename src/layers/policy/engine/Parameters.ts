/**
 * The one place that a network's weights live in: tensors by name.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import type { TensorSpec } from "../../../domain/ModelTensors.ts"
import { ParameterMismatch } from "./ParameterMismatch.ts"

/**
 * A weight as it comes from a checkpoint.
 *
 * @category models
 * @since 0.1.0
 */
export interface NamedWeights {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly data: Float32Array
}

/**
 * Why weights do not fit a list of specifications, or `undefined` where they do.
 *
 * @category predicates
 * @since 0.1.0
 */
export const mismatch = (
  specs: ReadonlyArray<TensorSpec>,
  shapeOf: (name: string) => ReadonlyArray<number> | undefined
): ParameterMismatch | undefined => {
  for (const { name, shape } of specs) {
    const found = shapeOf(name)
    if (found === undefined || found.length !== shape.length || found.some((size, i) => size !== shape[i])) {
      return new ParameterMismatch({
        tensor: name,
        expected: [...shape],
        found: found === undefined ? null : [...found]
      })
    }
  }
  return undefined
}

/**
 * Tensors by name, in the order of their specifications. An optimizer replaces them; nobody else keeps them across
 * updates.
 *
 * @category models
 * @since 0.1.0
 */
export class Parameters {
  readonly specs: ReadonlyArray<TensorSpec>
  readonly #tensors = new Map<string, tf.Tensor>()

  constructor(specs: ReadonlyArray<TensorSpec>) {
    this.specs = specs
  }

  /** The tensor of a name that the specifications list. */
  get(name: string): tf.Tensor {
    const tensor = this.#tensors.get(name)
    if (tensor === undefined) throw new RangeError(`there is no parameter ${name}`)
    return tensor
  }

  has(name: string): boolean {
    return this.#tensors.has(name)
  }

  /** Takes over a tensor that outlives the running scope. What it replaces is left to the caller. */
  set(name: string, tensor: tf.Tensor): void {
    this.#tensors.set(name, tf.keep(tensor))
  }

  /** Uploads a weight and disposes of the one it replaces. */
  upload({ data, name, shape }: NamedWeights): void {
    const previous = this.#tensors.get(name)
    this.set(name, tf.tensor(data, [...shape], "float32"))
    previous?.dispose()
  }

  dispose(): void {
    for (const tensor of this.#tensors.values()) tensor.dispose()
    this.#tensors.clear()
  }
}
