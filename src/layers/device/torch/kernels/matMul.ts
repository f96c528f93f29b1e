/**
 * Matrix products.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { type Handle, scalarType } from "../addon.ts"
import type { TorchBackend } from "../backend.ts"
import { unaryResult } from "../operators.ts"
import { type Call, type Made, single, type TorchKernel } from "./define.ts"

const matmul = unaryResult("aten::matmul")
const mm = unaryResult("aten::mm")
const linear = unaryResult("aten::linear")
const wideMm = unaryResult("aten::mm", "dtype")
const turned = unaryResult("aten::transpose", "int")
const toType = unaryResult("aten::_to_copy")
const add = unaryResult("aten::add", "Tensor")
const activations: Readonly<Record<string, ReturnType<typeof unaryResult>>> = {
  relu: unaryResult("aten::relu"),
  sigmoid: unaryResult("aten::sigmoid"),
  elu: unaryResult("aten::elu"),
  relu6: unaryResult("aten::relu6")
}

/** From this width on a product of stored precision is a row of logits, and kept in float32. */
const logitsWidth = 8192

const flip = (torch: TorchBackend, x: Handle, transpose: boolean): Handle => transpose ? turned(torch, x, -2, -1) : x

/**
 * A product in float32 of two matrices in the precision of storage.
 *
 * @category combinators
 * @since 0.1.0
 */
export const wideProduct = (torch: TorchBackend, a: Handle, b: Handle, transposeB: boolean): Handle => {
  const right = flip(torch, b, transposeB)
  if (!torch.low) return mm(torch, a, right)
  if (torch.isCard) return wideMm(torch, a, right, scalarType.float32)
  return mm(torch, toType(torch, a, scalarType.float32), toType(torch, right, scalarType.float32))
}

const product = (call: Call): Made => {
  const [a, b] = [call.input("a"), call.input("b")]
  const [transposeA, transposeB] = [call.flag("transposeA"), call.flag("transposeB")]
  const { torch } = call
  const [left, right] = [torch.compute(a), torch.compute(b)]
  const rows = a.shape.at(transposeA ? -1 : -2) ?? 0
  const columns = b.shape.at(transposeB ? -2 : -1) ?? 0
  const inner = [a.shape.at(transposeA ? -2 : -1), b.shape.at(transposeB ? -1 : -2)] as const
  if (inner[0] !== inner[1]) {
    throw new TypeError(`matrices [${a.shape.join(", ")}] and [${b.shape.join(", ")}] cannot be multiplied`)
  }
  if (a.shape.length === 2 && b.shape.length === 2) {
    const shape = [rows, columns]
    const wide = torch.low && columns >= logitsWidth && !transposeA
    const handle = wide
      ? wideProduct(torch, left, right, transposeB)
      : transposeB && !transposeA
      ? linear(torch, left, right)
      : mm(torch, flip(torch, left, transposeA), flip(torch, right, transposeB))
    return { handle, shape, dtype: "float32" }
  }
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2))
  return {
    handle: matmul(torch, flip(torch, left, transposeA), flip(torch, right, transposeB)),
    shape: [...batch, rows, columns],
    dtype: "float32"
  }
}

/**
 * @category constants
 * @since 0.1.0
 */
export const matMulKernels: ReadonlyArray<TorchKernel> = [
  single(tf.BatchMatMul, product),
  single(tf._FusedMatMul, (call) => {
    const { torch } = call
    const { dtype, handle, shape } = product(call)
    const bias = call.optional("bias")
    const biased = bias === undefined ? handle : add(torch, handle, torch.compute(bias))
    const name = call.attribute("activation")
    if (name === undefined || name === null || name === "linear") return { handle: biased, shape, dtype }
    const activation = activations[String(name)]
    if (activation === undefined) throw new TypeError(`the activation ${String(name)} is not supported`)
    return { handle: activation(torch, biased), shape, dtype }
  })
]
