/**
 * Kernels for TensorFlow out of its own eager operations: fused operations as short programs that tfjs does not see the
 * inside of, and plain ones that tfjs-node starts slowly.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { isTensorFlowBackend } from "./backend.ts"
import { type Handle, Program } from "./Program.ts"

const backendName = "tensorflow"

interface Call {
  readonly program: Program
  readonly input: (name: string) => Handle
  readonly number: (name: string) => number
  readonly flag: (name: string) => boolean
  readonly list: (name: string) => ReadonlyArray<number>
}

/** A kernel whose body is a program; what the body returns is what the kernel returns. */
const kernel = (kernelName: string, body: (call: Call) => ReadonlyArray<Handle>): tf.KernelConfig => ({
  kernelName,
  backendName,
  kernelFunc: ({ attrs, backend, inputs }) => {
    if (!isTensorFlowBackend(backend)) throw new TypeError(`${kernelName} needs the tensorflow backend`)
    const program = new Program(backend)
    const attribute = (name: string): unknown => attrs?.[name]
    try {
      const results = body({
        program,
        input: (name) => {
          const tensor = inputs[name]
          if (tensor === undefined) throw new TypeError(`the input ${name} of ${kernelName} is missing`)
          return program.input(tensor)
        },
        number: (name) => Number(attribute(name)),
        flag: (name) => attribute(name) === true,
        list: (name) => {
          const value = attribute(name)
          return Array.isArray(value) ? value.map(Number) : []
        }
      })
      if (results.length > 0) {
        const outputs = program.finish(...results)
        const [only] = outputs
        return outputs.length === 1 && only !== undefined ? only : outputs
      }
      program.finish()
      return tf.scalar(0)
    } catch (cause) {
      program.abandon()
      throw cause
    }
  }
})

/** Two-dimensional products go to `MatMul`, which starts faster than `BatchMatMulV2`. */
const matMul = kernel("BatchMatMul", ({ flag, input, program }) => [
  program.matMul(input("a"), input("b"), flag("transposeA"), flag("transposeB"))
])

const reshape = kernel("Reshape", ({ input, list, program }) => [program.reshape(input("x"), list("shape"))])

const inverseRms = (program: Program, x: Handle, eps: Handle): Handle =>
  program.unary("Rsqrt", program.binary("AddV2", program.reduce("Mean", program.unary("Square", x), -1, true), eps))

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
    const total = target.shape.reduce((size, dim) => size * dim, 1)
    const flat = program.reshape(target, [total / width, width])
    program.run("InplaceUpdate", [flat.id, slots.id, program.reshape(values, [values.shape[0] ?? 0, width]).id])
  }
  return []
})

/**
 * Registers the kernels above over those of tfjs-node.
 *
 * @category constructors
 * @since 0.1.0
 */
export const registerKernels = (): void => {
  for (const config of [matMul, reshape, rmsNorm, swiGlu, kvAppend]) {
    if (tf.getKernel(config.kernelName, backendName) !== undefined) tf.unregisterKernel(config.kernelName, backendName)
    tf.registerKernel(config)
  }
}
