/**
 * Writing down the operations that a computation runs.
 *
 * @since 0.1.0
 */
import type { Binding } from "./backend.ts"
import type { GraphNode } from "./graphDef.ts"

/**
 * What was recorded: nodes in the order of their operations, and the names of the results asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Recording {
  readonly nodes: ReadonlyArray<GraphNode>
  readonly outputs: ReadonlyArray<string>
}

/**
 * Stands in for the binding while a computation runs: everything runs as ever and is written down. Tensors that are
 * neither inputs nor made meanwhile refuse the recording, as do reading values and changing in place what was read before.
 *
 * @category models
 * @since 0.1.0
 */
export class Recorder {
  readonly binding: Binding
  /** Why the computation cannot be repeated from the recording. */
  refusal: string | undefined
  readonly #real: Binding
  readonly #inputs = new Set<number>()
  /** Inputs that the computation gave up. */
  #deleted: Array<number> = []
  readonly #names = new Map<number, string>()
  readonly #nodes: Array<GraphNode> = []
  /** How many operations have read a name. */
  readonly #readers = new Map<string, number>()
  /** Operations that write in place. */
  readonly #updates = new Set<string>()

  constructor(real: Binding) {
    this.#real = real
    this.binding = Object.create(real, {
      createTensor: {
        value: (shape: ReadonlyArray<number>, dtype: number, values: Int32Array | Float32Array | Uint8Array) => {
          const id = real.createTensor(shape, dtype, values)
          this.#constant(id, shape, dtype, values)
          return id
        }
      },
      executeOp: {
        value: (...call: Parameters<Binding["executeOp"]>) => {
          const outputs = real.executeOp(...call)
          this.#operation(call, outputs.map(({ id }) => id))
          return outputs
        }
      },
      tensorDataSync: {
        value: (id: number) => {
          this.refusal ??= "it reads values back"
          return real.tensorDataSync(id)
        }
      },
      deleteTensor: {
        value: (id: number) => {
          if (this.#inputs.has(id)) this.#deleted.push(id)
          else real.deleteTensor(id)
        }
      },
      rebind: { value: (id: number, updated: number) => this.#rebind(id, updated) }
    })
  }

  /** Names an existing tensor as an input. It stays until {@link release}, whatever the computation does. */
  input(id: number, dtype: number, rank: number): void {
    const name = `i${this.#nodes.length}`
    this.#names.set(id, name)
    this.#inputs.add(id)
    this.#nodes.push({ kind: "input", name, dtype, rank })
  }

  #constant(id: number, shape: ReadonlyArray<number>, dtype: number, values: unknown): void {
    const name = `c${this.#nodes.length}`
    this.#names.set(id, name)
    if (!ArrayBuffer.isView(values)) {
      this.refusal ??= "it has constants that are not numbers"
      return
    }
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice()
    this.#nodes.push({ kind: "constant", name, dtype, shape: [...shape], bytes })
  }

  #operation([op, attrs, ids]: Parameters<Binding["executeOp"]>, outputs: ReadonlyArray<number>): void {
    const inputs = ids.map((id) => this.#names.get(id))
    if (inputs.includes(undefined)) this.refusal ??= `${op} uses a tensor that is not an input`
    const name = `n${this.#nodes.length}`
    const known = inputs.filter((input) => input !== undefined)
    this.#nodes.push({ kind: "operation", name, op, attrs: [...attrs], inputs: known })
    outputs.forEach((id, i) => this.#names.set(id, i === 0 ? name : `${name}:${i}`))
    if (op !== "Shape") { for (const input of known) this.#readers.set(input, (this.#readers.get(input) ?? 0) + 1) }
  }

  #rebind(id: number, updated: number): void {
    const [before, after] = [this.#names.get(id), this.#names.get(updated)]
    if (before === undefined || after === undefined) return
    // The write itself is one reader. Nothing orders another one before it.
    if ((this.#readers.get(before) ?? 0) > 1) this.refusal ??= "it writes in place what it has read"
    this.#names.set(id, after)
    this.#updates.add(after.replace(/:.*/, ""))
  }

  /** Deletes the inputs that the computation gave up. */
  release(): void {
    for (const id of this.#deleted) this.#real.deleteTensor(id)
    this.#deleted = []
  }

  /** Ends the recording: results come after everything that is written in place. */
  finish(results: ReadonlyArray<{ readonly id: number; readonly dtype: number }>, typeAttr: number): Recording {
    const outputs = results.map(({ dtype, id }, i) => {
      const source = this.#names.get(id)
      if (source === undefined) this.refusal ??= "a result is not made by it"
      const inputs = [source ?? "", ...(i === 0 ? [...this.#updates].map((name) => `^${name}`) : [])]
      const name = `o${i}`
      this.#nodes.push({
        kind: "operation",
        name,
        op: "Identity",
        attrs: [{ name: "T", type: typeAttr, value: dtype }],
        inputs
      })
      return name
    })
    return { nodes: this.#nodes, outputs }
  }
}
