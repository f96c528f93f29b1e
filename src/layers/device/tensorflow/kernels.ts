/**
 * Kernels for TensorFlow out of its own eager operations: fused operations as short programs that tfjs does not see the
 * inside of, and plain ones that tfjs-node starts slowly.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { rowAttention, rowAttentionGrad } from "./attention.ts"
import { backendName, kernel } from "./kernel.ts"
import { embeddingGrad, rmsNormGrad, sumSquares, swiGluGrad, tokenLogProb, tokenLogProbGrad } from "./learning.ts"
import { ownKernels } from "./ownKernels.ts"
import type { Handle, Program } from "./Program.ts"
import { sample } from "./sampling.ts"

/** Two-dimensional products go to `MatMul`, which starts faster than `BatchMatMulV2`. */
const matMul = kernel("BatchMatMul", ({ flag, input, program }) => [
  program.matMul(input("a"), input("b"), flag("transposeA"), flag("transposeB"))
])

/** The first size is left to TensorFlow, so that a recording does not depend on it. */
const reshape = kernel("Reshape", ({ input, list, program }) => {
  const [first, ...others] = list("shape")
  const known = first === undefined || first === 0 || others.some((size) => size <= 0)
  return [program.reshape(input("x"), known ? list("shape") : [-1, ...others])]
})

/** A size that is all there is becomes -1, so that a recording does not depend on it. */
const slice = kernel("Slice", ({ input, list, program }) => {
  const x = input("x")
  const [begin, size] = [list("begin"), list("size")]
  const open = size.map((own, axis) => begin[axis] === 0 && own === x.shape[axis] ? -1 : own)
  const index = program.type("Index", program.ints(begin).dtype)
  return [program.run("Slice", [x, program.ints(begin), program.ints(open)], index)]
})

/** tfjs-node reads all indices back to check them; TensorFlow checks them itself. */
const gather = kernel("GatherV2", ({ input, number, program }) => [
  program.gather(input("x"), input("indices"), number("axis"), number("batchDims"))
])

const inverseRms = (program: Program, x: Handle, eps: Handle): Handle =>
  program.unary("Rsqrt", program.binary("AddV2", program.reduce("Mean", program.unary("Square", x), [-1], true), eps))

const rmsNorm = kernel("SrRmsNorm", ({ input, number, program }) => {
  const x = input("x")
  const normalized = program.binary("Mul", x, inverseRms(program, x, program.scalar(number("eps"))))
  return [program.binary("Mul", normalized, input("weight"))]
})

const swiGlu = kernel("SrSwiGlu", ({ input, program }) => {
  const gate = input("gate")
  return [program.binary("Mul", program.binary("Mul", gate, program.unary("Sigmoid", gate)), input("up"))]
})

/**
 * `InplaceUpdate` writes rows into the buffer of its first input and returns it, so the pools never move. A reshaped
 * tensor shares its buffer with the original.
 */
const kvAppend = kernel("SrKvAppend", ({ input, program }) => {
  const slots = input("slots")
  for (const [pool, rows] of [["kPool", "k"], ["vPool", "v"]] as const) {
    const target = input(pool)
    const values = input(rows)
    const width = values.shape.slice(1).reduce((size, dim) => size * dim, 1)
    const flat = program.reshape(target, [-1, width])
    const updated = program.run("InplaceUpdate", [flat, slots, program.reshape(values, [-1, width])])
    program.changed(target, program.reshapeTo(updated, program.shape(target)))
  }
  return []
})

const plainKernels: ReadonlyArray<tf.KernelConfig> = [
  matMul,
  reshape,
  slice,
  gather,
  rmsNorm,
  rmsNormGrad,
  swiGlu,
  swiGluGrad,
  rowAttention,
  rowAttentionGrad,
  tokenLogProb,
  tokenLogProbGrad,
  embeddingGrad,
  sumSquares,
  kvAppend,
  sample
]

/**
 * Registers the kernels above over those of tfjs-node, with operations of our own where they are loaded.
 *
 * @category constructors
 * @since 0.1.0
 */
export const registerKernels = (own: boolean): void => {
  for (const config of [...plainKernels, ...(own ? ownKernels : [])]) {
    if (tf.getKernel(config.kernelName, backendName) !== undefined) tf.unregisterKernel(config.kernelName, backendName)
    tf.registerKernel(config)
  }
}
