/**
 * Kernels by operations of our own, see `native/tensorflow`.
 *
 * @since 0.1.0
 */
import type { KernelConfig } from "@tensorflow/tfjs-core"
import { kernel } from "./kernel.ts"

const rmsNormGrad = kernel("SrRmsNormGrad", ({ input, number, program }) => {
  const inputs = ["x", "weight", "dy"].map(input)
  return program.all("SrRmsNormGrad", inputs, [program.float("eps", number("eps"))], 2)
})

const rmsNorm = kernel("SrRmsNorm", ({ input, number, program }) => [
  program.bare("SrRmsNorm", [input("x"), input("weight")], program.float("eps", number("eps")))
])

const rope = kernel("SrRope", ({ flag, input, program }) => {
  const inputs = ["x", "positions", "cos", "sin"].map(input)
  return [program.bare("SrRope", inputs, program.flag("inverse", flag("inverse")))]
})

const swiGlu = kernel("SrSwiGlu", ({ input, program }) => [program.bare("SrSwiGlu", [input("gate"), input("up")])])

const swiGluGrad = kernel(
  "SrSwiGluGrad",
  ({ input, program }) => program.all("SrSwiGluGrad", ["gate", "up", "dy"].map(input), [], 2)
)

const kvAppend = kernel("SrKvAppend", ({ input, program }) => {
  const pools = [input("kPool"), input("vPool")]
  const updated = program.all("SrKvAppend", [...pools, input("k"), input("v"), input("slots")], [], 2)
  pools.forEach((pool, i) => program.changed(pool, updated[i] ?? pool))
  return []
})

const pagedAttention = kernel("SrPagedAttention", ({ input, number, program }) => {
  const inputs = ["q", "kPool", "vPool", "blockTable", "tokenSeq", "tokenPos"].map(input)
  return [program.bare("SrPagedAttention", inputs, program.float("scale", number("scale")))]
})

/** What changes from step to step is a tensor: TensorFlow keeps a kernel for each value of an attribute. */
const adamW = kernel("SrAdamW", ({ input, number, program }) => {
  const [lr, step, beta1, beta2] = [number("lr"), number("step"), number("beta1"), number("beta2")]
  const coefficients = program.numbers([
    number("gradScale"),
    beta1,
    beta2,
    1 / Math.sqrt(1 - beta2 ** step),
    number("eps"),
    lr / (1 - beta1 ** step),
    1 - lr * number("weightDecay")
  ])
  return program.all("SrAdamW", [...["param", "m", "v", "grad"].map(input), coefficients], [], 3)
})

/**
 * What is registered where the operations are loaded.
 *
 * @category constants
 * @since 0.1.0
 */
export const ownKernels: ReadonlyArray<KernelConfig> = [
  rmsNorm,
  rmsNormGrad,
  rope,
  swiGlu,
  swiGluGrad,
  adamW,
  kvAppend,
  pagedAttention
]
