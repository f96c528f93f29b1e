/**
 * Computations recorded as CUDA graphs.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import type { CapturedInput } from "../ops/captured.ts"
import type { Handle } from "./addon.ts"
import type { Stored, TorchBackend } from "./backend.ts"
import { unaryResult } from "./operators.ts"

const clone = unaryResult("aten::clone")

interface Recorded {
  readonly inputs: ReadonlyMap<string, Stored>
  /** Handles of the state when it was recorded. */
  state: ReadonlyArray<Handle>
  graph?: { readonly id: number; readonly outputs: ReadonlyArray<Stored> }
  refused: boolean
}

/** Graphs kept at once; each holds the activations of its largest step only once, in a pool that all share. */
const limit = 64

const same = (a: ReadonlyArray<Handle>, b: ReadonlyArray<Handle>): boolean =>
  a.length === b.length && a.every((handle, i) => handle === b[i])

/**
 * The graphs of one backend, by key. The first run of a key is an ordinary one, which makes everything that is made only
 * once; the second is recorded.
 *
 * @category models
 * @since 0.1.0
 */
export class Graphs {
  readonly #torch: TorchBackend
  readonly #recorded = new Map<string, Recorded>()
  #pool = -1

  constructor(torch: TorchBackend) {
    this.#torch = torch
  }

  /** Tensors over data that this object keeps. */
  #tensor(data: Stored): tf.Tensor {
    data.references++
    return tf.engine().makeTensorFromDataId(data, [...data.shape], data.dtype, this.#torch)
  }

  #handles(state: ReadonlyArray<tf.Tensor>): ReadonlyArray<Handle> {
    return state.map((tensor) => {
      const data = this.#torch.stored(tensor)
      return data.low === 0 ? data.handle : data.low
    })
  }

  #release(key: string, recorded: Recorded): void {
    const { graph, inputs } = recorded
    if (graph !== undefined) {
      this.#torch.addon.releaseGraph(graph.id)
      for (const data of graph.outputs) this.#torch.disposeData(data)
    }
    for (const data of inputs.values()) this.#torch.disposeData(data)
    this.#recorded.delete(key)
  }

  #prepare(key: string, inputs: Readonly<Record<string, CapturedInput>>): Recorded {
    for (const [oldest, recorded] of this.#recorded) {
      if (this.#recorded.size < limit) break
      this.#release(oldest, recorded)
    }
    const own = new Map(
      Object.entries(inputs).map(([name, { shape, values }]) => {
        const data = this.#torch.upload(values, shape, values instanceof Int32Array ? "int32" : "float32")
        data.host = undefined
        return [name, data] as const
      })
    )
    const recorded: Recorded = { inputs: own, state: [], refused: false }
    this.#recorded.set(key, recorded)
    return recorded
  }

  /** Records the computation; it has not run when this returns. */
  #record(recorded: Recorded, compute: () => ReadonlyArray<tf.Tensor>): void {
    const { addon } = this.#torch
    if (this.#pool === -1) this.#pool = addon.newPool()
    let outputs: ReadonlyArray<Stored> = []
    let failure: unknown
    addon.beginCapture(this.#pool)
    try {
      outputs = compute().map((tensor) => this.#torch.stored(tensor))
    } catch (cause) {
      failure = cause
    }
    try {
      const id = addon.endCapture()
      if (failure === undefined) {
        for (const data of outputs) data.references++
        recorded.graph = { id, outputs }
        return
      }
      addon.releaseGraph(id)
    } catch (cause) {
      failure ??= cause
    }
    recorded.refused = true
  }

  run(
    key: string,
    inputs: Readonly<Record<string, CapturedInput>>,
    state: ReadonlyArray<tf.Tensor>,
    compute: (inputs: (name: string) => tf.Tensor) => ReadonlyArray<tf.Tensor>
  ): ReadonlyArray<tf.Tensor> {
    const torch = this.#torch
    const known = this.#recorded.get(key)
    if (known !== undefined && known.state.length > 0 && !same(known.state, this.#handles(state))) {
      this.#release(key, known)
    }
    const existing = this.#recorded.get(key)
    const recorded = existing ?? this.#prepare(key, inputs)
    const evaluate = () =>
      compute((name) => {
        const data = recorded.inputs.get(name)
        if (data === undefined) throw new RangeError(`the computation has no input ${name}`)
        return this.#tensor(data)
      })
    if (existing === undefined) {
      const results = evaluate()
      recorded.state = this.#handles(state)
      return results
    }
    for (const [name, data] of recorded.inputs) {
      const values = inputs[name]?.values
      if (values !== undefined) torch.guard(() => torch.addon.write(data.handle, values))
    }
    if (recorded.graph === undefined && !recorded.refused) this.#record(recorded, evaluate)
    const { graph } = recorded
    if (graph === undefined) return evaluate()
    torch.guard(() => torch.addon.replay(graph.id))
    return graph.outputs.map((data) => {
      const copy = torch.adopt(clone(torch, data.handle), data.shape, data.dtype)
      return tf.engine().makeTensorFromDataId(copy.dataId, copy.shape, copy.dtype, torch)
    })
  }

  /** Graphs notice by their state that something has gone. */
  forget(): void {}

  dispose(): void {
    for (const [key, recorded] of this.#recorded) this.#release(key, recorded)
  }
}
