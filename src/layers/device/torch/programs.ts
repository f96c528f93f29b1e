/**
 * Computations on the processor that the addon writes down while they run and repeats in one call.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { type CapturedInput, reading, tensorOf } from "../ops/captured.ts"
import type { RecordedComputations, Stored, TorchBackend } from "./backend.ts"
import { unaryResult } from "./operators.ts"

const clone = unaryResult("aten::clone")

type Inputs = Readonly<Record<string, CapturedInput>>
type Compute = (input: (name: string) => tf.Tensor) => ReadonlyArray<tf.Tensor>

interface Output {
  readonly shape: ReadonlyArray<number>
  readonly dtype: tf.DataType
}

interface Program {
  readonly id: number
  readonly inputs: ReadonlyArray<string>
  /** What the computation uses besides its inputs. */
  readonly state: ReadonlyArray<Stored>
  readonly outputs: ReadonlyArray<Output>
}

/** Programs kept at once; recording one again costs little more than running its computation. */
const limit = 16

/**
 * The programs of one backend, by key, the one used last at the end. A program goes when one of the tensors goes that it
 * uses.
 *
 * @category models
 * @since 0.1.0
 */
export class Programs implements RecordedComputations {
  readonly #torch: TorchBackend
  readonly #programs = new Map<string, Program>()
  readonly #refused = new Set<string>()
  #recording = false

  constructor(torch: TorchBackend) {
    this.#torch = torch
  }

  run(
    key: string,
    inputs: Inputs,
    state: ReadonlyArray<tf.Tensor>,
    compute: Compute
  ): ReadonlyArray<tf.Tensor> {
    const torch = this.#torch
    const known = this.#programs.get(key)
    if (known !== undefined) {
      this.#programs.delete(key)
      if (known.state.length === state.length && known.state.every((data, i) => data === state[i]?.dataId)) {
        this.#programs.set(key, known)
        return this.#repeat(known, inputs)
      }
      torch.addon.releaseProgram(known.id)
    }
    return this.#refused.has(key) || this.#recording
      ? tf.tidy(() => [...compute((name) => tensorOf(inputOf(inputs, name)))])
      : this.#record(key, inputs, state, compute)
  }

  #repeat({ id, inputs, outputs }: Program, given: Inputs): ReadonlyArray<tf.Tensor> {
    const torch = this.#torch
    const values = inputs.map((name) => inputOf(given, name).values)
    const handles = torch.guard(() => torch.addon.runProgram(id, values))
    return outputs.map(({ dtype, shape }, i) => {
      const { dataId } = torch.adopt(handles[i] ?? 0, shape, dtype)
      return tf.engine().makeTensorFromDataId(dataId, [...shape], dtype, torch)
    })
  }

  #record(key: string, inputs: Inputs, state: ReadonlyArray<tf.Tensor>, compute: Compute): ReadonlyArray<tf.Tensor> {
    const torch = this.#torch
    const { addon } = torch
    const own = new Map(Object.entries(inputs).map(([name, input]) => [name, tensorOf(input)] as const))
    for (const tensor of own.values()) torch.stored(tensor).host = undefined
    this.#scoped(() => {
      // What is made only once is made before anything is written down.
      for (const tensor of state) torch.compute(tensor)
      addon.beginRecording([...own.values()].map((tensor) => torch.input(tensor)))
    })
    let outputs: ReadonlyArray<tf.Tensor> = []
    let id: number | undefined
    this.#recording = true
    try {
      outputs = tf.tidy(() => [...compute(reading(own))])
      tf.dispose([...own.values()])
      id = this.#scoped(() => this.#end(outputs.map((tensor) => torch.input(tensor))))
    } finally {
      this.#recording = false
      if (id === undefined) addon.endRecording()
    }
    // The outputs themselves are overwritten by every repetition.
    const results = outputs.map((tensor) => this.#copy(tensor))
    tf.dispose([...outputs])
    if (id === 0) this.#refused.add(key)
    else {
      const used = state.map((tensor) => torch.stored(tensor))
      for (const data of used) data.recorded = true
      this.#keep(key, {
        id,
        inputs: [...own.keys()],
        state: used,
        outputs: results.map(({ dtype, shape }) => ({ dtype, shape }))
      })
    }
    return results
  }

  /** Releases the handles of other shapes that a body makes of what is there. */
  #scoped<A>(body: () => A): A {
    const { addon } = this.#torch
    addon.beginScope()
    try {
      return this.#torch.guard(body)
    } finally {
      addon.endScope()
    }
  }

  #copy(tensor: tf.Tensor): tf.Tensor {
    const torch = this.#torch
    const { dataId, dtype, shape } = this.#scoped(() => {
      const handle = clone(torch, torch.input(tensor))
      torch.addon.keep(handle)
      return torch.adopt(handle, tensor.shape, tensor.dtype)
    })
    return tf.engine().makeTensorFromDataId(dataId, shape, dtype, torch)
  }

  /** The program's id; 0 where the addon cannot repeat what it saw. */
  #end(outputs: ReadonlyArray<number>): number {
    try {
      return this.#torch.addon.endRecording(outputs)
    } catch {
      return 0
    }
  }

  #keep(key: string, program: Program): void {
    for (const [oldest, { id }] of this.#programs) {
      if (this.#programs.size < limit) break
      this.#torch.addon.releaseProgram(id)
      this.#programs.delete(oldest)
    }
    this.#programs.set(key, program)
  }

  /** Gives up the programs that use some data. */
  forget(data: Stored): void {
    for (const [key, { id, state }] of this.#programs) {
      if (!state.includes(data)) continue
      this.#torch.addon.releaseProgram(id)
      this.#programs.delete(key)
    }
  }

  dispose(): void {
    for (const { id } of this.#programs.values()) this.#torch.addon.releaseProgram(id)
    this.#programs.clear()
  }
}

const inputOf = (inputs: Inputs, name: string): CapturedInput => {
  const input = inputs[name]
  if (input === undefined) throw new RangeError(`the computation's input ${name} is missing`)
  return input
}
