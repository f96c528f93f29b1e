/**
 * A sequence of TensorFlow operations without tfjs in between: results are bare ids until the last one.
 *
 * @since 0.1.0
 */
import type * as tf from "@tensorflow/tfjs-core"
import type { OpAttr, OutputMetadata, TensorFlowBackend } from "./backend.ts"

/**
 * A tensor of TensorFlow's: its id in the binding and its shape.
 *
 * @category models
 * @since 0.1.0
 */
export type Handle = Pick<OutputMetadata, "id" | "shape" | "dtype">

/** Small tensors (axes, shapes, factors) that operations take; there are few different ones, and they stay. */
const constants = new WeakMap<TensorFlowBackend, Map<string, number>>()

/** Beyond this many the oldest are given up. */
const mostConstants = 1024

const constantId = (
  backend: TensorFlowBackend,
  key: string,
  make: (binding: TensorFlowBackend["binding"]) => number
): number => {
  const own = constants.get(backend) ?? new Map<string, number>()
  constants.set(backend, own)
  const existing = own.get(key)
  if (existing !== undefined) return existing
  const { binding } = backend
  const id = make(binding)
  if (own.size >= mostConstants) {
    for (const [oldest, oldId] of own) {
      own.delete(oldest)
      binding.deleteTensor(oldId)
      break
    }
  }
  own.set(key, id)
  return id
}

/**
 * Runs operations and deletes all of their results but those that are kept.
 *
 * @category models
 * @since 0.1.0
 */
export class Program {
  readonly #backend: TensorFlowBackend
  readonly #float: OpAttr
  readonly #index: (name: string) => OpAttr
  #temporary: Array<number> = []

  constructor(backend: TensorFlowBackend) {
    const { TF_ATTR_TYPE, TF_FLOAT, TF_INT32 } = backend.binding
    this.#backend = backend
    this.#float = { name: "T", type: TF_ATTR_TYPE, value: TF_FLOAT }
    this.#index = (name) => ({ name, type: TF_ATTR_TYPE, value: TF_INT32 })
  }

  /** A tensor of tfjs as an input. */
  input(tensor: tf.TensorInfo): Handle {
    const [id = -1] = this.#backend.getInputTensorIds([tensor])
    return { id, shape: tensor.shape, dtype: this.#backend.binding.TF_FLOAT }
  }

  /** A constant int32 vector. */
  constant(values: ReadonlyArray<number>): number {
    return constantId(
      this.#backend,
      values.join(),
      (binding) => binding.createTensor([values.length], binding.TF_INT32, Int32Array.from(values))
    )
  }

  /** A constant float32 scalar. */
  scalar(value: number): Handle {
    const { TF_FLOAT } = this.#backend.binding
    const id = constantId(
      this.#backend,
      `f${value}`,
      (binding) => binding.createTensor([], TF_FLOAT, Float32Array.of(value))
    )
    return { id, shape: [], dtype: TF_FLOAT }
  }

  run(name: string, ids: ReadonlyArray<number>, ...attrs: ReadonlyArray<OpAttr>): Handle {
    const [output] = this.#backend.binding.executeOp(name, [this.#float, ...attrs], ids, 1)
    if (output === undefined) throw new TypeError(`${name} has no output`)
    this.#temporary.push(output.id)
    return output
  }

  unary(name: string, x: Handle): Handle {
    return this.run(name, [x.id])
  }

  binary(name: string, x: Handle, y: Handle): Handle {
    return this.run(name, [x.id, y.id])
  }

  reshape(x: Handle, shape: ReadonlyArray<number>): Handle {
    return this.run("Reshape", [x.id, this.constant(shape)], this.#index("Tshape"))
  }

  /** `Sum` or `Mean` over one axis, which stays with the size 1. */
  reduce(name: "Sum" | "Mean", x: Handle, axis: number, keep: boolean): Handle {
    const keepDims = { name: "keep_dims", type: this.#backend.binding.TF_ATTR_BOOL, value: keep }
    return this.run(name, [x.id, this.constant([axis])], keepDims, this.#index("Tidx"))
  }

  transpose(x: Handle, perm: ReadonlyArray<number>): Handle {
    return this.run("Transpose", [x.id, this.constant(perm)], this.#index("Tperm"))
  }

  matMul(a: Handle, b: Handle, transposeA: boolean, transposeB: boolean): Handle {
    const flat = a.shape.length === 2 && b.shape.length === 2
    const type = this.#backend.binding.TF_ATTR_BOOL
    return this.run(
      flat ? "MatMul" : "BatchMatMulV2",
      [a.id, b.id],
      { name: flat ? "transpose_a" : "adj_x", type, value: transposeA },
      { name: flat ? "transpose_b" : "adj_y", type, value: transposeB }
    )
  }

  /** Ends the program: gives tensors of tfjs for the results named and deletes all others. */
  finish(...results: ReadonlyArray<Handle>): Array<tf.Tensor> {
    const kept = new Set(results.map(({ id }) => id))
    const { binding } = this.#backend
    for (const id of this.#temporary) if (!kept.has(id)) binding.deleteTensor(id)
    this.#temporary = []
    return results.map((result) => this.#backend.createOutputTensor({ ...result, shape: [...result.shape] }))
  }

  /** Deletes all results: for a program that failed. */
  abandon(): void {
    for (const id of this.#temporary) this.#backend.binding.deleteTensor(id)
    this.#temporary = []
  }
}
