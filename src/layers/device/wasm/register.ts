/**
 * Registers a backend with tfjs under a name of its own.
 *
 * @since 0.1.0
 */
// Registers the plain kernels.
// oxlint-disable-next-line import/no-unassigned-import
import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import { WasmBackend } from "./Backend.ts"
import { elementwise } from "./elementwise.ts"
import * as Fused from "./fused.ts"
import { type Kernel, kernelFunc } from "./kernel.ts"
import * as Learning from "./learning.ts"
import { batchMatMul, fusedMatMul, matMulAdd } from "./matmul.ts"
import type { Pool } from "./Pool.ts"
import * as Reduce from "./reduce.ts"
import { shapeKernels } from "./shape.ts"

/** Our own kernels; all others are those of @tensorflow/tfjs-backend-cpu on the same memory. */
const own: Readonly<Record<string, Kernel>> = {
  BatchMatMul: batchMatMul,
  _FusedMatMul: fusedMatMul,
  ...elementwise,
  ...shapeKernels,
  Sum: Reduce.sum,
  Mean: Reduce.mean,
  Max: Reduce.max,
  Min: Reduce.min,
  Softmax: Reduce.softmax,
  LogSoftmax: Reduce.logSoftmax,
  SrRmsNorm: Fused.rmsNorm,
  SrRmsNormGrad: Fused.rmsNormGrad,
  SrRmsNormGradAdd: Fused.rmsNormGrad,
  SrMatMulAdd: matMulAdd,
  SrRope: Fused.rope,
  SrAttention: Fused.attention,
  SrAttentionGrad: Fused.attentionGrad,
  SrPagedAttention: Fused.pagedAttention,
  SrKvAppend: Fused.kvAppend,
  SrSwiGlu: Fused.swiGlu,
  SrSwiGluGrad: Fused.swiGluGrad,
  SrTokenLogProb: Learning.tokenLogProb,
  SrTokenLogProbGrad: Learning.tokenLogProbGrad,
  SrEmbeddingGrad: Fused.embeddingGrad,
  SrAdamW: Learning.adamW,
  SrSumSquares: Learning.sumSquares,
  SrSample: Learning.sample
}

let count = 0

/**
 * A backend over a pool, known to tfjs by the returned name. The pool stays the caller's.
 *
 * @category constructors
 * @since 0.1.0
 */
export const register = (pool: Pool): { readonly name: string; readonly backend: WasmBackend } => {
  const name = `search-r1-wasm-${++count}`
  const backend = new WasmBackend(pool)
  const plain = new Map(tf.getKernelsForBackend("cpu").map(({ kernelFunc, kernelName }) => [kernelName, kernelFunc]))
  for (const kernelName of new Set([...plain.keys(), ...Object.keys(own)])) {
    const kernel: Kernel = own[kernelName] ?? ((_, call) => call.plain())
    tf.registerKernel({
      kernelName,
      backendName: name,
      kernelFunc: kernelFunc(kernelName, backend, kernel, plain.get(kernelName))
    })
  }
  tf.registerBackend(name, () => backend, 0)
  return { name, backend }
}

/**
 * Takes a backend from tfjs again.
 *
 * @category destructors
 * @since 0.1.0
 */
export const unregister = (name: string): void => {
  for (const { kernelName } of tf.getKernelsForBackend(name)) tf.unregisterKernel(kernelName, name)
  tf.removeBackend(name)
}
