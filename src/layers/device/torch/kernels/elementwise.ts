/**
 * Kernels that work element by element.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { scalarType } from "../addon.ts"
import type { TorchBackend } from "../backend.ts"
import { unaryResult } from "../operators.ts"
import { type Call, single, type TorchKernel } from "./define.ts"

const toType = unaryResult("aten::_to_copy")

/**
 * Two inputs in one precision: that of storage where one of them has it already.
 *
 * @category combinators
 * @since 0.1.0
 */
export const pair = (torch: TorchBackend, a: tf.TensorInfo, b: tf.TensorInfo): readonly [number, number] =>
  torch.low && (torch.stored(a).isLow || torch.stored(b).isLow)
    ? [torch.compute(a), torch.compute(b)]
    : [torch.input(a), torch.input(b)]

const unary = (name: string, op: string, dtype?: tf.DataType): TorchKernel => {
  const run = unaryResult(`aten::${op}`)
  return single(name, (call) => {
    const x = call.input("x")
    return { handle: run(call.torch, call.torch.input(x)), shape: x.shape, dtype: dtype ?? x.dtype }
  })
}

const binary = (name: string, op: string, overload: string, dtype?: tf.DataType): TorchKernel => {
  const run = unaryResult(`aten::${op}`, overload)
  return single(name, (call) => {
    const [a, b] = [call.input("a"), call.input("b")]
    const [left, right] = pair(call.torch, a, b)
    return {
      handle: run(call.torch, left, right),
      shape: tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape),
      dtype: dtype ?? a.dtype
    }
  })
}

const unaries: ReadonlyArray<readonly [kernel: string, op: string, dtype?: tf.DataType]> = [
  [tf.Abs, "abs"],
  [tf.Acos, "acos"],
  [tf.Acosh, "acosh"],
  [tf.Asin, "asin"],
  [tf.Asinh, "asinh"],
  [tf.Atan, "atan"],
  [tf.Atanh, "atanh"],
  [tf.Ceil, "ceil"],
  [tf.Cos, "cos"],
  [tf.Cosh, "cosh"],
  [tf.Elu, "elu"],
  [tf.Erf, "erf"],
  [tf.Exp, "exp"],
  [tf.Expm1, "expm1"],
  [tf.Floor, "floor"],
  [tf.IsFinite, "isfinite", "bool"],
  [tf.IsInf, "isinf", "bool"],
  [tf.IsNan, "isnan", "bool"],
  [tf.Log, "log"],
  [tf.Log1p, "log1p"],
  [tf.LogicalNot, "logical_not", "bool"],
  [tf.Neg, "neg"],
  [tf.Reciprocal, "reciprocal"],
  [tf.Relu, "relu"],
  [tf.Relu6, "relu6"],
  [tf.Round, "round"],
  [tf.Rsqrt, "rsqrt"],
  [tf.Selu, "selu"],
  [tf.Sigmoid, "sigmoid"],
  [tf.Sign, "sign"],
  [tf.Sin, "sin"],
  [tf.Sinh, "sinh"],
  [tf.Softplus, "softplus"],
  [tf.Sqrt, "sqrt"],
  [tf.Square, "square"],
  [tf.Tan, "tan"],
  [tf.Tanh, "tanh"]
]

const binaries: ReadonlyArray<readonly [kernel: string, op: string, overload: string, dtype?: tf.DataType]> = [
  [tf.Add, "add", "Tensor"],
  [tf.Atan2, "atan2", ""],
  [tf.Equal, "eq", "Tensor", "bool"],
  [tf.FloorDiv, "floor_divide", ""],
  [tf.Greater, "gt", "Tensor", "bool"],
  [tf.GreaterEqual, "ge", "Tensor", "bool"],
  [tf.Less, "lt", "Tensor", "bool"],
  [tf.LessEqual, "le", "Tensor", "bool"],
  [tf.LogicalAnd, "logical_and", "", "bool"],
  [tf.LogicalOr, "logical_or", "", "bool"],
  [tf.LogicalXor, "logical_xor", "", "bool"],
  [tf.Maximum, "maximum", ""],
  [tf.Minimum, "minimum", ""],
  [tf.Mod, "remainder", "Tensor"],
  [tf.Multiply, "mul", "Tensor"],
  [tf.NotEqual, "ne", "Tensor", "bool"],
  [tf.Pow, "pow", "Tensor_Tensor"],
  [tf.RealDiv, "div", "Tensor"],
  [tf.Sub, "sub", "Tensor"]
]

const sub = unaryResult("aten::sub", "Tensor")
const square = unaryResult("aten::square")
const add = unaryResult("aten::add", "Tensor")
const where = unaryResult("aten::where", "self")
const clamp = unaryResult("aten::clamp")
const notEqual = unaryResult("aten::ne", "Scalar")
const leaky = unaryResult("aten::leaky_relu")

/**
 * All inputs of a kernel that takes a list.
 *
 * @category getters
 * @since 0.1.0
 */
export const listed = (call: Call): ReadonlyArray<tf.TensorInfo> =>
  Object.values(call.inputs).filter((tensor) => tensor !== undefined)

const truncated = (call: Call, x: tf.TensorInfo, dtype: tf.DataType): number => {
  const { torch } = call
  if (dtype === "bool") return notEqual(torch, torch.input(x), 0)
  return toType(torch, torch.input(x), torch.typeOf(dtype))
}

/**
 * @category constants
 * @since 0.1.0
 */
export const elementwiseKernels: ReadonlyArray<TorchKernel> = [
  ...unaries.map(([kernel, op, dtype]) => unary(kernel, op, dtype)),
  ...binaries.map(([kernel, op, overload, dtype]) => binary(kernel, op, overload, dtype)),
  single(tf.SquaredDifference, (call) => {
    const [a, b] = [call.input("a"), call.input("b")]
    return {
      handle: square(call.torch, sub(call.torch, ...pair(call.torch, a, b))),
      shape: tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape),
      dtype: a.dtype
    }
  }),
  single(tf.AddN, (call) => {
    const [first, ...rest] = listed(call)
    if (first === undefined) throw new TypeError("AddN needs an input")
    const { torch } = call
    const start = rest.length === 0
      ? toType(torch, torch.input(first), torch.typeOf(first.dtype))
      : torch.input(first)
    return {
      handle: rest.reduce((sum, x) => add(torch, sum, torch.input(x)), start),
      shape: first.shape,
      dtype: first.dtype
    }
  }),
  single(tf.Select, (call) => {
    const [condition, t, e] = [call.input("condition"), call.input("t"), call.input("e")]
    const { torch } = call
    const mask = torch.input(condition)
    const aligned = condition.shape.length === 1 && t.shape.length > 1
      ? torch.addon.reshape(mask, [condition.shape[0] ?? 0, ...t.shape.slice(1).map(() => 1)])
      : mask
    return { handle: where(torch, aligned, ...pair(torch, t, e)), shape: t.shape, dtype: t.dtype }
  }),
  single(tf.ClipByValue, (call) => {
    const x = call.input("x")
    const limits = [call.number("clipValueMin"), call.number("clipValueMax")] as const
    return { handle: clamp(call.torch, call.torch.input(x), ...limits), shape: x.shape, dtype: x.dtype }
  }),
  single(tf.LeakyRelu, (call) => {
    const x = call.input("x")
    return { handle: leaky(call.torch, call.torch.input(x), call.number("alpha")), shape: x.shape, dtype: x.dtype }
  }),
  {
    name: tf.Cast,
    run: (call) => {
      const x = call.input("x")
      const dtype = call.attribute("dtype")
      if (dtype !== "float32" && dtype !== "int32" && dtype !== "bool") {
        throw new TypeError(`a tensor cannot be cast to ${String(dtype)}`)
      }
      if (dtype === x.dtype) {
        call.torch.incRef(x.dataId)
        return { dataId: x.dataId, shape: x.shape, dtype }
      }
      return single(tf.Cast, () => ({ handle: truncated(call, x, dtype), shape: x.shape, dtype })).run(call)
    }
  }
]

/**
 * float32 of a handle, for sums.
 *
 * @category combinators
 * @since 0.1.0
 */
export const asFloat = (torch: TorchBackend, handle: number): number =>
  torch.low && torch.addon.dtype(handle) === scalarType.bfloat16
    ? toType(torch, handle, scalarType.float32)
    : handle
