/**
 * Computations that were recorded once and are repeated in one call from JavaScript.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { type CapturedInput, reading, tensorOf } from "../ops/captured.ts"
import { command, sectionWords } from "./abi.ts"
import type { WasmBackend } from "./Backend.ts"
import { checkRange } from "./kernel.ts"
import { Recording } from "./Recording.ts"

/** Programs kept at once; recording one again costs little more than running its computation. */
const limit = 8
/** Share of the device's memory that programs may hold together. */
const memoryShare = 0.25

type Inputs = Readonly<Record<string, CapturedInput>>

interface Output {
  readonly address: number
  readonly shape: ReadonlyArray<number>
  readonly dtype: tf.DataType
}

interface Program {
  readonly key: string
  /** Data of the tensors that the computation uses beside its inputs. */
  readonly state: ReadonlyArray<object>
  /** The backend's count of packed copies dropped when the program was recorded: it holds addresses of such copies. */
  readonly generation: number
  readonly recording: Recording
  readonly inputs: ReadonlyMap<string, number>
  readonly outputs: ReadonlyArray<Output>
  readonly address: number
  readonly sections: number
  readonly tickets: number
}

/**
 * The programs of one backend, the one used last at the end.
 *
 * @category models
 * @since 0.1.0
 */
export class Programs {
  readonly #backend: WasmBackend
  #programs: Array<Program> = []
  readonly #refused = new Set<string>()

  constructor(backend: WasmBackend) {
    this.#backend = backend
  }

  /** Runs a computation as `CapturingBackend.captured` describes. */
  run(
    key: string,
    inputs: Inputs,
    state: ReadonlyArray<tf.Tensor>,
    compute: (input: (name: string) => tf.Tensor) => ReadonlyArray<tf.Tensor>
  ): ReadonlyArray<tf.Tensor> {
    const known = this.#find(key, state)
    if (known !== undefined && this.#repeat(known, inputs)) return this.#results(known)
    if (known !== undefined) this.#drop(known)
    if (this.#refused.has(key) || this.#backend.pool.recording !== undefined) return this.#plainly(inputs, compute)
    return this.#record(key, inputs, state, compute)
  }

  /** Gives all memory back; says whether there was any. */
  clear(): boolean {
    const any = this.#programs.length > 0
    for (const program of this.#programs) this.#drop(program)
    return any
  }

  #find(key: string, state: ReadonlyArray<tf.Tensor>): Program | undefined {
    const { generation } = this.#backend
    for (const program of this.#programs) {
      if (program.generation !== generation) this.#drop(program)
      else if (
        program.key === key && program.state.length === state.length &&
        program.state.every((dataId, i) => dataId === state[i]?.dataId)
      ) return program
    }
    return undefined
  }

  #drop(program: Program): void {
    this.#programs = this.#programs.filter((other) => other !== program)
    program.recording.abandon()
    this.#backend.pool.heap.release(program.address)
  }

  #write(address: number, { values }: CapturedInput): void {
    const { pool } = this.#backend
    if (values instanceof Int32Array) pool.i32.set(values, address / 4)
    else pool.f32.set(values, address / 4)
  }

  /** Repeats a program; false where the inputs ask for other kernel calls. */
  #repeat(program: Program, inputs: Inputs): boolean {
    const { pool } = this.#backend
    for (const [name, address] of program.inputs) {
      const input = inputs[name]
      if (input === undefined) throw new RangeError(`the computation's input ${name} is missing`)
      this.#write(address, input)
    }
    const { checks, guards } = program.recording
    for (const { address, bound, length, what } of checks.values()) {
      checkRange(what, pool.i32, address / 4, length, bound)
    }
    if (!guards.every((guard) => guard())) return false
    pool.execute(program.address, program.sections, program.tickets)
    if (this.#programs.at(-1) !== program) {
      this.#programs = [...this.#programs.filter((other) => other !== program), program]
    }
    return true
  }

  #results({ outputs }: Program): ReadonlyArray<tf.Tensor> {
    const backend = this.#backend
    return outputs.map(({ address, dtype, shape }) => {
      const size = shape.reduce((product, dim) => product * dim, 1)
      const all = dtype === "int32" ? backend.pool.i32 : backend.pool.f32
      const info = backend.makeTensorInfo(shape, dtype, all.subarray(address / 4, address / 4 + size))
      return tf.engine().makeTensorFromTensorInfo(info, backend)
    })
  }

  #plainly(
    inputs: Inputs,
    compute: (input: (name: string) => tf.Tensor) => ReadonlyArray<tf.Tensor>
  ): ReadonlyArray<tf.Tensor> {
    return tf.tidy(() => [...compute((name) => this.#tensor(name, inputs))])
  }

  #tensor(name: string, inputs: Inputs): tf.Tensor {
    const input = inputs[name]
    if (input === undefined) throw new RangeError(`the computation has no input ${name}`)
    return tensorOf(input)
  }

  #record(
    key: string,
    inputs: Inputs,
    state: ReadonlyArray<tf.Tensor>,
    compute: (input: (name: string) => tf.Tensor) => ReadonlyArray<tf.Tensor>
  ): ReadonlyArray<tf.Tensor> {
    const backend = this.#backend
    const { pool } = backend
    const [first] = Object.values(inputs)
    const recording = new Recording(
      { allocate: (bytes) => pool.allocateOwn(bytes), release: (address) => pool.heap.release(address) },
      first?.shape[0] ?? 1,
      pool.threads
    )
    const addresses = new Map<string, number>()
    const outputs: Array<Output> = []
    const given: Array<tf.Tensor> = []
    const { generation } = backend
    let done = false
    pool.recording = recording
    try {
      const computed = tf.tidy(() => {
        const tensors = new Map<string, tf.Tensor>()
        // All inputs before anything else, each in memory of its own.
        for (const name of Object.keys(inputs)) {
          const tensor = this.#tensor(name, inputs)
          const address = backend.at(tensor)
          recording.pin(address)
          addresses.set(name, address)
          tensors.set(name, tensor)
        }
        return [...compute(reading(tensors))]
      })
      for (const tensor of computed) {
        const { dtype, shape } = tensor
        outputs.push({ address: backend.at(tensor), shape, dtype })
        recording.pin(backend.at(tensor))
        if (dtype !== "float32" && dtype !== "int32") recording.refuse(`its result is ${dtype}`)
      }
      pool.recording = undefined
      for (const tensor of computed) given.push(tf.tensor(tensor.dataSync(), tensor.shape, tensor.dtype))
      pool.recording = recording
      tf.dispose(computed)
      done = true
    } finally {
      pool.recording = undefined
      if (!done || !this.#keep({ key, state, generation, recording, inputs: addresses, outputs })) recording.abandon()
    }
    return given
  }

  /** Writes the commands into the device's memory; false where the computation cannot be repeated. */
  #keep(
    recorded: Omit<Program, "state" | "address" | "sections" | "tickets"> & { readonly state: ReadonlyArray<tf.Tensor> }
  ): boolean {
    const { pool } = this.#backend
    const { key, recording, state } = recorded
    const { commands } = recording
    if (recording.escaped) recording.refuse("a tensor that it made outlives it")
    if (commands.some(({ args }) => args.length > command.args)) recording.refuse("a kernel has too many arguments")
    if (recording.refusal !== undefined) {
      this.#refused.add(key)
      return false
    }
    while (this.#programs.length >= limit || this.#heldBytes() + recording.bytes > memoryShare * pool.limitBytes) {
      const oldest = this.#programs[0]
      if (oldest === undefined) return false
      this.#drop(oldest)
    }
    const { sections } = recording
    const tableBytes = Math.ceil(sections.length * sectionWords * 4 / 64) * 64
    const address = pool.heap.allocate(tableBytes + commands.length * command.words * 4)
    if (address === 0) return false
    let tickets = 0
    let at = address + tableBytes
    sections.forEach((section, i) => {
      pool.writeSection(address + i * sectionWords * 4, at, section.commands.length, section.tickets, tickets)
      tickets += section.tickets
      for (const own of section.commands) {
        pool.writeCommand(at, own)
        at += command.words * 4
      }
    })
    const dataIds = state.map(({ dataId }) => dataId)
    this.#programs.push({ ...recorded, state: dataIds, address, sections: sections.length, tickets })
    return true
  }

  #heldBytes(): number {
    return this.#programs.reduce((sum, { recording }) => sum + recording.bytes, 0)
  }
}
