/**
 * The sum of gradients over micro-batches.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import * as Ops from "../../device/ops/index.ts"

/**
 * Gradients by parameter name. A name that was never added to has the gradient zero.
 *
 * @category models
 * @since 0.1.0
 */
export class Gradients {
  readonly #sums = new Map<string, tf.Tensor>()

  /** Adds a gradient, which stays the caller's. */
  readonly add = (name: string, gradient: tf.Tensor): void => {
    const sum = this.#sums.get(name)
    this.#sums.set(name, tf.keep(sum === undefined ? tf.clone(gradient) : tf.add(sum, gradient)))
    sum?.dispose()
  }

  get(name: string): tf.Tensor | undefined {
    return this.#sums.get(name)
  }

  /** The squares of the norm by name, as one scalar tensor each; the caller disposes of them. */
  squares(): ReadonlyMap<string, tf.Tensor> {
    return new Map([...this.#sums].map(([name, gradient]) => [name, Ops.sumSquares(gradient)]))
  }

  /** The square of the global norm as a scalar tensor. */
  sumSquares(): tf.Tensor {
    return tf.tidy(() => tf.addN([tf.scalar(0), ...this.squares().values()]))
  }

  dispose(): void {
    for (const gradient of this.#sums.values()) gradient.dispose()
    this.#sums.clear()
  }
}
