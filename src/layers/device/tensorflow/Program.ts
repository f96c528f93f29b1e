/**
 * A sequence of TensorFlow operations without tfjs in between: results are bare ids until the last one.
 *
 * @since 0.1.0
 */
import type * as tf from "@tensorflow/tfjs-core"
import type { Binding, OpAttr, OutputMetadata, TensorFlowBackend } from "./backend.ts"

/**
 * A tensor of TensorFlow's: its id in the binding and its shape.
 *
 * @category models
 * @since 0.1.0
 */
export type Handle = Pick<OutputMetadata, "id" | "shape" | "dtype">

/**
 * Small tensors (axes, shapes, factors) that operations take; there are few different ones, and they stay. A recording
 * has its own.
 */
const constants = new WeakMap<Binding, Map<string, number>>()

/** Beyond this many the oldest are given up. */
const mostConstants = 1024

const constantId = (binding: Binding, key: string, make: () => number): number => {
  const own = constants.get(binding) ?? new Map<string, number>()
  constants.set(binding, own)
  const existing = own.get(key)
  if (existing !== undefined) return existing
  const id = make()
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
 * Deletes the constants that programs have made on a binding.
 *
 * @category combinators
 * @since 0.1.0
 */
export const releaseConstants = (binding: Binding): void => {
  for (const id of constants.get(binding)?.values() ?? []) binding.deleteTensor(id)
  constants.delete(binding)
}

/** Types by the names of tfjs, with the members of the binding that stand for them. */
const typeNames = { float32: "TF_FLOAT", int32: "TF_INT32", bool: "TF_BOOL" } as const

const isTypeName = (name: string): name is keyof typeof typeNames => name in typeNames

/**
 * Runs operations and deletes all of their results but those that are kept. Shapes that a body gives as numbers should
 * not depend on the number of tokens or sequences (-1 stands for those): what is recorded then serves every size.
 *
 * @category models
 * @since 0.1.0
 */
export class Program {
  readonly #backend: TensorFlowBackend
  readonly #binding: Binding
  #temporary: Array<number> = []

  constructor(backend: TensorFlowBackend) {
    this.#backend = backend
    this.#binding = backend.binding
  }

  /** A tensor of tfjs as an input. */
  input(tensor: tf.TensorInfo): Handle {
    const [id = -1] = this.#backend.getInputTensorIds([tensor])
    if (!isTypeName(tensor.dtype)) throw new TypeError(`tensors of the type ${tensor.dtype} are not used here`)
    return { id, shape: tensor.shape, dtype: this.#binding[typeNames[tensor.dtype]] }
  }

  /** A constant int32 vector. */
  ints(values: ReadonlyArray<number>): Handle {
    const { TF_INT32 } = this.#binding
    const id = constantId(
      this.#binding,
      values.join(),
      () => this.#binding.createTensor([values.length], TF_INT32, Int32Array.from(values))
    )
    return { id, shape: [values.length], dtype: TF_INT32 }
  }

  /** A constant int32 scalar. */
  int(value: number): Handle {
    const { TF_INT32 } = this.#binding
    const id = constantId(
      this.#binding,
      `i${value}`,
      () => this.#binding.createTensor([], TF_INT32, Int32Array.of(value))
    )
    return { id, shape: [], dtype: TF_INT32 }
  }

  /** A constant float32 scalar. */
  scalar(value: number): Handle {
    const { TF_FLOAT } = this.#binding
    const id = constantId(
      this.#binding,
      `f${value}`,
      () => this.#binding.createTensor([], TF_FLOAT, Float32Array.of(value))
    )
    return { id, shape: [], dtype: TF_FLOAT }
  }

  /** A float32 vector of numbers that will hardly be the same again. */
  numbers(values: ReadonlyArray<number>): Handle {
    const { TF_FLOAT } = this.#binding
    const id = this.#binding.createTensor([values.length], TF_FLOAT, Float32Array.from(values))
    this.#temporary.push(id)
    return { id, shape: [values.length], dtype: TF_FLOAT }
  }

  type(name: string, dtype: number): OpAttr {
    return { name, type: this.#binding.TF_ATTR_TYPE, value: dtype }
  }

  flag(name: string, value: boolean): OpAttr {
    return { name, type: this.#binding.TF_ATTR_BOOL, value }
  }

  float(name: string, value: number): OpAttr {
    return { name, type: this.#binding.TF_ATTR_FLOAT, value }
  }

  whole(name: string, value: number): OpAttr {
    return { name, type: this.#binding.TF_ATTR_INT, value }
  }

  /** Runs an operation with exactly these attributes. */
  all(op: string, inputs: ReadonlyArray<Handle>, attrs: ReadonlyArray<OpAttr>, outputs: number): Array<Handle> {
    const results = this.#binding.executeOp(op, attrs, inputs.map(({ id }) => id), outputs)
    for (const { id } of results) this.#temporary.push(id)
    return results
  }

  /** Runs an operation of one output with exactly these attributes. */
  bare(op: string, inputs: ReadonlyArray<Handle>, ...attrs: ReadonlyArray<OpAttr>): Handle {
    const [output] = this.all(op, inputs, attrs, 1)
    if (output === undefined) throw new TypeError(`${op} has no output`)
    return output
  }

  /** Runs an operation of one output whose type `T` is that of the first input. */
  run(op: string, inputs: ReadonlyArray<Handle>, ...attrs: ReadonlyArray<OpAttr>): Handle {
    return this.bare(op, inputs, this.type("T", inputs[0]?.dtype ?? this.#binding.TF_FLOAT), ...attrs)
  }

  unary(op: string, x: Handle): Handle {
    return this.run(op, [x])
  }

  binary(op: string, x: Handle, y: Handle): Handle {
    return this.run(op, [x, y])
  }

  /** The sizes of a tensor as an int32 vector. */
  shape(x: Handle): Handle {
    return this.run("Shape", [x], this.type("out_type", this.#binding.TF_INT32))
  }

  reshape(x: Handle, shape: ReadonlyArray<number>): Handle {
    return this.reshapeTo(x, this.ints(shape))
  }

  reshapeTo(x: Handle, shape: Handle): Handle {
    return this.run("Reshape", [x, shape], this.type("Tshape", this.#binding.TF_INT32))
  }

  /** A reduction over some axes. */
  reduce(op: "Sum" | "Mean" | "Prod" | "Min", x: Handle, axes: ReadonlyArray<number>, keep: boolean): Handle {
    return this.run(op, [x, this.ints(axes)], this.flag("keep_dims", keep), this.type("Tidx", this.#binding.TF_INT32))
  }

  transpose(x: Handle, perm: ReadonlyArray<number>): Handle {
    return this.run("Transpose", [x, this.ints(perm)], this.type("Tperm", this.#binding.TF_INT32))
  }

  concat(parts: ReadonlyArray<Handle>, axis: number): Handle {
    const { TF_INT32 } = this.#binding
    return this.run("ConcatV2", [...parts, this.int(axis)], this.whole("N", parts.length), this.type("Tidx", TF_INT32))
  }

  split(x: Handle, parts: number, axis: number): Array<Handle> {
    return this.all("Split", [this.int(axis), x], [this.whole("num_split", parts), this.type("T", x.dtype)], parts)
  }

  /** Rows (or what lies along `axis`) of `x` by index; the first `batch` axes of both go together. */
  gather(x: Handle, indices: Handle, axis = 0, batch = 0): Handle {
    return this.bare(
      "GatherV2",
      [x, indices, this.int(axis)],
      this.whole("batch_dims", batch),
      this.type("Tparams", x.dtype),
      this.type("Tindices", indices.dtype),
      this.type("Taxis", this.#binding.TF_INT32)
    )
  }

  cast(x: Handle, to: "float32" | "int32"): Handle {
    const dtype = this.#binding[typeNames[to]]
    return this.bare("Cast", [x], this.type("SrcT", x.dtype), this.type("DstT", dtype), this.flag("Truncate", false))
  }

  /** The number of true values along the last axis, int32. */
  count(x: Handle): Handle {
    return this.reduce("Sum", this.cast(x, "int32"), [-1], false)
  }

  cumsum(x: Handle, axis: number, exclusive: boolean): Handle {
    return this.run(
      "Cumsum",
      [x, this.int(axis)],
      this.flag("exclusive", exclusive),
      this.flag("reverse", false),
      this.type("Tidx", this.#binding.TF_INT32)
    )
  }

  select(condition: Handle, yes: Handle, no: Handle): Handle {
    return this.bare("SelectV2", [condition, yes, no], this.type("T", yes.dtype))
  }

  matMul(a: Handle, b: Handle, transposeA: boolean, transposeB: boolean): Handle {
    const flat = a.shape.length === 2 && b.shape.length === 2
    return this.run(
      flat ? "MatMul" : "BatchMatMulV2",
      [a, b],
      this.flag(flat ? "transpose_a" : "adj_x", transposeA),
      this.flag(flat ? "transpose_b" : "adj_y", transposeB)
    )
  }

  /** Says that the buffer of `target` was written to and reads as `updated` from now on. */
  changed(target: Handle, updated: Handle): void {
    this.#binding.rebind?.(target.id, updated.id)
  }

  /** Ends the program: gives tensors of tfjs for the results named and deletes all others. */
  finish(...results: ReadonlyArray<Handle>): Array<tf.Tensor> {
    const kept = new Set(results.map(({ id }) => id))
    for (const id of this.#temporary) if (!kept.has(id)) this.#binding.deleteTensor(id)
    this.#temporary = []
    return results.map((result) => this.#backend.createOutputTensor({ ...result, shape: [...result.shape] }))
  }

  /** Deletes all results: for a program that failed. */
  abandon(): void {
    for (const id of this.#temporary) this.#binding.deleteTensor(id)
    this.#temporary = []
  }
}
