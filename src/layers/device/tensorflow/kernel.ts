/**
 * How kernels for TensorFlow are written: as programs of its own operations.
 *
 * @since 0.1.0
 */
import type * as tf from "@tensorflow/tfjs-core"
import { scalar } from "@tensorflow/tfjs-core"
import { isTensorFlowBackend } from "./backend.ts"
import { type Handle, Program } from "./Program.ts"

/**
 * The name that tfjs-node registers its backend under.
 *
 * @category constants
 * @since 0.1.0
 */
export const backendName = "tensorflow"

/**
 * What the body of a kernel gets: inputs and attributes by name.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  readonly program: Program
  readonly input: (name: string) => Handle
  readonly has: (name: string) => boolean
  readonly number: (name: string) => number
  readonly flag: (name: string) => boolean
  readonly list: (name: string) => ReadonlyArray<number>
}

/**
 * A kernel whose body is a program; what the body returns is what the kernel returns.
 *
 * @category constructors
 * @since 0.1.0
 */
export const kernel = (kernelName: string, body: (call: Call) => ReadonlyArray<Handle>): tf.KernelConfig => ({
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
        has: (name) => inputs[name] !== undefined,
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
      return scalar(0)
    } catch (cause) {
      program.abandon()
      throw cause
    }
  }
})
