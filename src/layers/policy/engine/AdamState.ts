/**
 * The optimizer's own state and its step.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import type { AdamW } from "../../../domain/AdamW.ts"
import * as Ops from "../../device/ops/index.ts"
import type { Gradients } from "./Gradients.ts"
import type { Parameters } from "./Parameters.ts"

/**
 * First and second moments by parameter name, and how many steps were made. Methods that touch tensors run inside
 * `Device.run`.
 *
 * @category models
 * @since 0.1.0
 */
export class AdamState {
  readonly #moments = new Map<string, { readonly m: tf.Tensor; readonly v: tf.Tensor }>()
  step = 0

  get(name: string): { readonly m: tf.Tensor; readonly v: tf.Tensor } | undefined {
    return this.#moments.get(name)
  }

  /** Takes over two tensors and disposes of those they replace. */
  set(name: string, moments: { readonly m: tf.Tensor; readonly v: tf.Tensor }): void {
    const previous = this.#moments.get(name)
    this.#moments.set(name, { m: tf.keep(moments.m), v: tf.keep(moments.v) })
    if (previous !== undefined) {
      for (const tensor of [previous.m, previous.v]) {
        if (tensor !== moments.m && tensor !== moments.v && !tensor.isDisposed) tensor.dispose()
      }
    }
  }

  /** Makes moments of zero where there are none, so that a step allocates nothing that lasts. */
  prepare(parameters: Parameters): void {
    for (const { name, shape } of parameters.specs) {
      if (!this.#moments.has(name)) this.set(name, { m: tf.zeros([...shape]), v: tf.zeros([...shape]) })
    }
  }

  /** One AdamW step over all parameters. The gradient is multiplied by `gradScale`. */
  update(parameters: Parameters, gradients: Gradients, adamW: AdamW, lr: number, gradScale: number): void {
    const { beta1, beta2, epsilon, weightDecay } = adamW
    const options = { lr, beta1, beta2, eps: epsilon, weightDecay, step: this.step + 1, gradScale }
    for (const { name, shape } of parameters.specs) {
      const moments = this.#moments.get(name)
      if (moments === undefined) throw new RangeError(`there are no moments of ${name}`)
      const gradient = gradients.get(name)
      const used = gradient ?? tf.zeros([...shape])
      const next = Ops.adamW({ param: parameters.get(name), ...moments }, used, options)
      if (gradient === undefined) used.dispose()
      parameters.set(name, next.param)
      this.set(name, { m: next.m, v: next.v })
    }
    this.step++
  }

  dispose(): void {
    for (const { m, v } of this.#moments.values()) tf.dispose([m, v])
    this.#moments.clear()
    this.step = 0
  }
}
