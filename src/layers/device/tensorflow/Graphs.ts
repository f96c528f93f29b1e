/**
 * Computations recorded as graphs of TensorFlow: one call instead of one for each operation, and fused where TensorFlow
 * knows how.
 *
 * @since 0.1.0
 */
// A graph is loaded in the middle of a synchronous computation, and only from a directory.
// @effect-diagnostics nodeBuiltinImport:off
import * as tf from "@tensorflow/tfjs-core"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { CapturedInput } from "../ops/captured.ts"
import type { TensorFlowBackend } from "./backend.ts"
import { type GraphNode, savedModel, tag } from "./graphDef.ts"
import { releaseConstants } from "./Program.ts"
import { Recorder, type Recording } from "./Recorder.ts"

interface Graph {
  readonly recording: Recording
  /** The recording without the sizes of its inputs: equal for computations that differ in sizes alone. */
  readonly form: Buffer
  /** Sizes of all inputs and of the state, one behind the other. */
  readonly sizes: ReadonlyArray<number>
  /** Which of these a run may have otherwise. */
  readonly free: Array<boolean>
  readonly inputNames: string
  readonly outputNames: string
  model: number | undefined
}

interface Known {
  readonly id: number
  readonly tensor: tf.Tensor
}

/** Graphs loaded at once, and recordings kept of one computation. */
const limits = { loaded: 64, recordings: 16 }

/** Replaces the sizes of inputs by those given. */
const withSizes = (
  nodes: ReadonlyArray<GraphNode>,
  size: (index: number, size: number) => number
): ReadonlyArray<GraphNode> => {
  let index = 0
  return nodes.map((node) =>
    node.kind === "input" ? { ...node, shape: node.shape.map((dim) => size(index++, dim)) } : node
  )
}

/**
 * The graphs of one backend, by key. The first run of a computation is an ordinary one that is written down; the next one
 * of the same sizes runs the graph. Where the record at other sizes has the same operations with the same constants, one
 * graph serves all of the sizes in which the two differ.
 *
 * @category models
 * @since 0.1.0
 */
export class Graphs {
  readonly #backend: TensorFlowBackend
  readonly #graphs = new Map<string, Array<Graph>>()
  readonly #refused = new Map<string, string>()
  #loaded: Array<Graph> = []
  #replays = 0

  constructor(backend: TensorFlowBackend) {
    this.#backend = backend
  }

  /** How many graphs are loaded, how many runs they did, and why computations are not recorded, by key. */
  get statistics() {
    return { loaded: this.#loaded.length, replays: this.#replays, refused: new Map(this.#refused) }
  }

  run(
    key: string,
    inputs: Readonly<Record<string, CapturedInput>>,
    state: ReadonlyArray<tf.Tensor>,
    compute: (inputs: (name: string) => tf.Tensor) => ReadonlyArray<tf.Tensor>
  ): ReadonlyArray<tf.Tensor> {
    const tensors = new Map(
      Object.entries(inputs).map(([name, { shape, values }]) => [
        name,
        tf.tensor(values, [...shape], values instanceof Int32Array ? "int32" : "float32")
      ])
    )
    const evaluate = () =>
      compute((name) => {
        const tensor = tensors.get(name)
        if (tensor === undefined) throw new RangeError(`the computation has no input ${name}`)
        return tensor
      })
    try {
      if (this.#refused.has(key)) return evaluate()
      const known = this.#distinct([...tensors.values(), ...state])
      const sizes = known.flatMap(({ tensor }) => tensor.shape)
      const graph = this.#graphs.get(key)?.find((graph) =>
        graph.sizes.length === sizes.length &&
        sizes.every((size, i) => size === graph.sizes[i] || (graph.free[i] && size > 1))
      )
      if (graph === undefined) return this.#record(key, known, sizes, evaluate)
      if (graph.model === undefined) this.#load(key, graph)
      return graph.model === undefined ? evaluate() : this.#replay(graph, graph.model, known)
    } finally {
      tf.dispose([...tensors.values()])
    }
  }

  /** Tensors with their ids, each once. */
  #distinct(tensors: ReadonlyArray<tf.Tensor>): ReadonlyArray<Known> {
    const seen = new Map<number, Known>()
    this.#backend.getInputTensorIds(tensors).forEach((id, i) => {
      const tensor = tensors[i]
      if (tensor !== undefined && !seen.has(id)) seen.set(id, { id, tensor })
    })
    return [...seen.values()]
  }

  #replay(graph: Graph, model: number, known: ReadonlyArray<Known>): ReadonlyArray<tf.Tensor> {
    this.#replays++
    const ids = known.map(({ id }) => id)
    const { binding } = this.#backend
    const results = binding.runSavedModel(model, ids, graph.inputNames, graph.outputNames)
    const tensors: Array<tf.Tensor> = []
    try {
      for (const result of results) tensors.push(this.#backend.createOutputTensor(result))
    } catch (cause) {
      tf.dispose(tensors)
      // The one that was refused is deleted already.
      for (const { id } of results.slice(tensors.length + 1)) binding.deleteTensor(id)
      throw cause
    }
    return tensors
  }

  #record(
    key: string,
    known: ReadonlyArray<Known>,
    sizes: ReadonlyArray<number>,
    evaluate: () => ReadonlyArray<tf.Tensor>
  ): ReadonlyArray<tf.Tensor> {
    const backend = this.#backend
    const real = backend.binding
    const recorder = new Recorder(real)
    const types = { float32: real.TF_FLOAT, int32: real.TF_INT32, bool: real.TF_BOOL }
    const typeOf = ({ dtype }: tf.Tensor) => dtype === "int32" || dtype === "bool" ? types[dtype] : types.float32
    for (const { id, tensor } of known) recorder.input(id, typeOf(tensor), tensor.shape)
    let results: ReadonlyArray<tf.Tensor>
    backend.binding = recorder.binding
    try {
      results = evaluate()
    } finally {
      backend.binding = real
      releaseConstants(recorder.binding)
    }
    const ids = backend.getInputTensorIds(results)
    const recording = recorder.finish(
      results.map((tensor, i) => ({ id: ids[i] ?? -1, dtype: typeOf(tensor) })),
      real.TF_ATTR_TYPE
    )
    if (recorder.refusal !== undefined) this.#refuse(key, recorder.refusal)
    else this.#keep(key, recording, sizes)
    return results
  }

  #keep(key: string, recording: Recording, sizes: ReadonlyArray<number>): void {
    const form = Buffer.from(savedModel(withSizes(recording.nodes, () => -1)))
    const graphs = this.#graphs.get(key) ?? []
    this.#graphs.set(key, graphs)
    const same = graphs.find((graph) => graph.sizes.length === sizes.length && graph.form.equals(form))
    // What a size of 1 (which is spread over others) or 0 shows does not hold for other sizes.
    const differing = same === undefined ? [] : sizes.map((size, i) => size !== same.sizes[i])
    if (same !== undefined && differing.every((own, i) => !own || ((sizes[i] ?? 0) > 1 && (same.sizes[i] ?? 0) > 1))) {
      differing.forEach((own, i) => {
        if (own) same.free[i] = true
      })
      this.#unload(same)
      return
    }
    const [oldest] = graphs
    if (graphs.length >= limits.recordings && oldest !== undefined) {
      this.#unload(oldest)
      graphs.shift()
    }
    const inputNames = recording.nodes.flatMap((node) => node.kind === "input" ? [`${node.name}:0`] : [])
    graphs.push({
      recording,
      form,
      sizes,
      free: sizes.map(() => false),
      inputNames: inputNames.join(),
      outputNames: recording.outputs.map((name) => `${name}:0`).join(),
      model: undefined
    })
  }

  #load(key: string, graph: Graph): void {
    const [oldest] = this.#loaded
    if (this.#loaded.length >= limits.loaded && oldest !== undefined) this.#unload(oldest)
    const directory = mkdtempSync(join(tmpdir(), "search-r1-graph-"))
    try {
      const nodes = withSizes(graph.recording.nodes, (i, size) => graph.free[i] ? -1 : size)
      writeFileSync(join(directory, "saved_model.pb"), savedModel(nodes))
      graph.model = this.#backend.binding.loadSavedModel(directory, tag)
      this.#loaded.push(graph)
    } catch (cause) {
      this.#refuse(key, cause instanceof Error ? cause.message : String(cause))
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }

  #unload(graph: Graph): void {
    if (graph.model === undefined) return
    this.#backend.binding.deleteSavedModel(graph.model)
    graph.model = undefined
    this.#loaded = this.#loaded.filter((other) => other !== graph)
  }

  #refuse(key: string, reason: string): void {
    this.#refused.set(key, reason)
    for (const graph of this.#graphs.get(key) ?? []) this.#unload(graph)
    this.#graphs.delete(key)
  }

  dispose(): void {
    for (const graph of this.#loaded) this.#unload(graph)
    this.#graphs.clear()
    this.#refused.clear()
    this.#replays = 0
  }
}
