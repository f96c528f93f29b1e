/**
 * Kernels over axes: sums, extremes, softmax, scans.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { scalarType } from "../addon.ts"
import type { TorchBackend } from "../backend.ts"
import { listResult, unaryResult } from "../operators.ts"
import { type Call, several, single, type TorchKernel } from "./define.ts"
import { asFloat } from "./elementwise.ts"

const toType = unaryResult("aten::_to_copy")
const sum = unaryResult("aten::sum", "dim_IntList")
const mean = unaryResult("aten::mean", "dim")
const amax = unaryResult("aten::amax")
const amin = unaryResult("aten::amin")
const prod = unaryResult("aten::prod", "dim_int")
const all = unaryResult("aten::all", "dim")
const any = unaryResult("aten::any", "dim")
const argmax = unaryResult("aten::argmax")
const argmin = unaryResult("aten::argmin")
const softmax = unaryResult("aten::_softmax")
const logSoftmax = unaryResult("aten::_log_softmax")
const cumsum = unaryResult("aten::cumsum")
const cumprod = unaryResult("aten::cumprod")
const flip = unaryResult("aten::flip")
const sub = unaryResult("aten::sub", "Tensor")
const div = unaryResult("aten::div", "Tensor")
const topk = listResult("aten::topk")

const axesOf = (call: Call, x: tf.TensorInfo, name = "axis"): ReadonlyArray<number> => {
  const value = call.attribute(name)
  if (value === undefined || value === null) return x.shape.map((_, i) => i)
  return tf.util.parseAxisParam([...call.numbers(name)], x.shape)
}

const reduced = (x: tf.TensorInfo, axes: ReadonlyArray<number>, keepDims: boolean): ReadonlyArray<number> =>
  x.shape.flatMap((size, axis) => axes.includes(axis) ? (keepDims ? [1] : []) : [size])

const reduction = (
  name: string,
  run: (torch: TorchBackend, x: number, axes: ReadonlyArray<number>, keepDims: boolean, dtype: tf.DataType) => number,
  dtype?: tf.DataType,
  axesName?: string
): TorchKernel =>
  single(name, (call) => {
    const x = call.input("x")
    const axes = axesOf(call, x, axesName)
    const keepDims = call.flag("keepDims")
    return {
      handle: run(call.torch, call.torch.input(x), axes, keepDims, x.dtype),
      shape: reduced(x, axes, keepDims),
      dtype: dtype ?? x.dtype
    }
  })

/** For operators that take one axis at a time. */
const oneByOne = (run: (torch: TorchBackend, x: number, axis: number, keepDims: boolean) => number) =>
(
  torch: TorchBackend,
  x: number,
  axes: ReadonlyArray<number>,
  keepDims: boolean
): number => axes.toSorted((a, b) => b - a).reduce((value, axis) => run(torch, value, axis, keepDims), x)

const scan = (name: string, exclusive: (torch: TorchBackend, all: number, x: number) => number, run: typeof cumsum) =>
  single(name, (call) => {
    const x = call.input("x")
    const axis = call.number("axis", 0)
    const { torch } = call
    const own = torch.input(x)
    const reversed = call.flag("reverse")
    const start = reversed ? flip(torch, own, [axis]) : own
    const whole = run(torch, start, axis, torch.typeOf(x.dtype))
    const scanned = call.flag("exclusive") ? exclusive(torch, whole, start) : whole
    return { handle: reversed ? flip(torch, scanned, [axis]) : scanned, shape: x.shape, dtype: x.dtype }
  })

const indexOf = (name: string, run: typeof argmax): TorchKernel =>
  single(name, (call) => {
    const x = call.input("x")
    const axes = axesOf(call, x)
    const { torch } = call
    return {
      handle: toType(torch, run(torch, torch.input(x), axes[0] ?? 0, false), scalarType.int32),
      shape: reduced(x, axes.slice(0, 1), false),
      dtype: "int32"
    }
  })

const normalised = (name: string, input: string, axis: string, run: typeof softmax): TorchKernel =>
  single(name, (call) => {
    const x = call.input(input)
    const { torch } = call
    return {
      handle: run(torch, torch.input(x), call.number(axis, -1), false),
      shape: x.shape,
      dtype: x.dtype
    }
  })

/**
 * @category constants
 * @since 0.1.0
 */
export const reductionKernels: ReadonlyArray<TorchKernel> = [
  reduction(
    tf.Sum,
    (torch, x, axes, keep, dtype) =>
      axes.length === 0 ? toType(torch, x) : sum(torch, x, axes, keep, torch.typeOf(dtype === "bool" ? "int32" : dtype))
  ),
  reduction(
    tf.Mean,
    (torch, x, axes, keep) => mean(torch, asFloat(torch, x), axes, keep, scalarType.float32),
    "float32"
  ),
  // Of all reductions this one alone calls its axes so.
  reduction(tf.Max, (torch, x, axes, keep) => amax(torch, x, axes, keep), undefined, "reductionIndices"),
  reduction(tf.Min, (torch, x, axes, keep) => amin(torch, x, axes, keep)),
  reduction(
    tf.Prod,
    (torch, x, axes, keep, dtype) =>
      toType(
        torch,
        oneByOne((torch, x, axis, keep) => prod(torch, x, axis, keep))(torch, x, axes, keep),
        torch.typeOf(dtype)
      )
  ),
  reduction(tf.All, oneByOne((torch, x, axis, keep) => all(torch, x, axis, keep)), "bool"),
  reduction(tf.Any, oneByOne((torch, x, axis, keep) => any(torch, x, axis, keep)), "bool"),
  indexOf(tf.ArgMax, argmax),
  indexOf(tf.ArgMin, argmin),
  normalised(tf.Softmax, "logits", "dim", softmax),
  normalised(tf.LogSoftmax, "logits", "axis", logSoftmax),
  scan(tf.Cumsum, (torch, whole, x) => sub(torch, whole, x), cumsum),
  scan(tf.Cumprod, (torch, whole, x) => div(torch, whole, x), cumprod),
  several(tf.TopK, (call) => {
    const x = call.input("x")
    const k = call.number("k")
    const { torch } = call
    const [values = 0, indices = 0] = topk(torch, torch.input(x), k, -1, true, call.flag("sorted"))
    const shape = [...x.shape.slice(0, -1), k]
    return [
      { handle: values, shape, dtype: x.dtype },
      { handle: toType(torch, indices, scalarType.int32), shape, dtype: "int32" }
    ]
  })
]
