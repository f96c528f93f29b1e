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
import { type CapturedInput, reading, tensorOf } from "../ops/captured.ts"
import type { TensorFlowBackend } from "./backend.ts"
import { savedModel, tag } from "./graphDef.ts"
import { releaseConstants } from "./Program.ts"
import { Recorder, type Recording } from "./Recorder.ts"

interface Graph {
  /** The file of the graph, in which all sizes of inputs are left open. */
  readonly file: Uint8Array
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

/** Graphs loaded at once, and graphs kept of one computation. */
const limits = { loaded: 64, kept: 16 }

/**
 * The graphs of one backend, by key. A computation runs once to be written down; its results always come from the graph, so
 * they do not depend on what ran before. Where the record at other sizes has the same operations with the same constants,
 * one graph serves all of the sizes in which the two differ.
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
      Object.entries(inputs).map(([name, input]) => [name, tensorOf(input)])
    )
    const evaluate = () => compute(reading(tensors))
    try {
      if (this.#refused.has(key)) return evaluate()
      const known = this.#distinct([...tensors.values(), ...state])
      const sizes = known.flatMap(({ tensor }) => tensor.shape)
      const graph = this.#graphs.get(key)?.find((graph) =>
        graph.sizes.length === sizes.length &&
        sizes.every((size, i) => size === graph.sizes[i] || (graph.free[i] && size > 1))
      )
      if (graph === undefined) return this.#record(key, known, sizes, evaluate)
      return this.#replay(graph, known)
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

  #replay(graph: Graph, known: ReadonlyArray<Known>): ReadonlyArray<tf.Tensor> {
    const { binding } = this.#backend
    const model = graph.model ?? this.#load(graph)
    this.#replays++
    const ids = known.map(({ id }) => id)
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
    for (const { id, tensor } of known) recorder.input(id, typeOf(tensor), tensor.rank)
    let results: ReadonlyArray<tf.Tensor>
    backend.binding = recorder.binding
    try {
      results = tf.tidy(() => [...evaluate()])
    } catch (cause) {
      recorder.release()
      throw cause
    } finally {
      backend.binding = real
      releaseConstants(recorder.binding)
    }
    try {
      const ids = backend.getInputTensorIds(results)
      const recording = recorder.finish(
        results.map((tensor, i) => ({ id: ids[i] ?? -1, dtype: typeOf(tensor) })),
        real.TF_ATTR_TYPE
      )
      const graph = recorder.refusal ?? this.#keep(key, recording, sizes)
      if (typeof graph === "string") {
        this.#refuse(key, graph)
        return results
      }
      tf.dispose([...results])
      return this.#replay(graph, known)
    } finally {
      recorder.release()
    }
  }

  /** The graph that serves a recording, or why TensorFlow does not take it. */
  #keep(key: string, { nodes, outputs }: Recording, sizes: ReadonlyArray<number>): Graph | string {
    const file = savedModel(nodes)
    const graphs = this.#graphs.get(key) ?? []
    this.#graphs.set(key, graphs)
    const same = graphs.find((graph) => graph.sizes.length === sizes.length && Buffer.compare(graph.file, file) === 0)
    // What a size of 1 (which is spread over others) or 0 shows does not hold for other sizes.
    const differing = same === undefined ? [] : sizes.map((size, i) => size !== same.sizes[i])
    if (same !== undefined && differing.every((own, i) => !own || ((sizes[i] ?? 0) > 1 && (same.sizes[i] ?? 0) > 1))) {
      differing.forEach((own, i) => {
        if (own) same.free[i] = true
      })
      return same
    }
    const [oldest] = graphs
    if (graphs.length >= limits.kept && oldest !== undefined) {
      this.#unload(oldest)
      graphs.shift()
    }
    const graph = {
      file,
      sizes,
      free: sizes.map(() => false),
      inputNames: nodes.flatMap((node) => node.kind === "input" ? [`${node.name}:0`] : []).join(),
      outputNames: outputs.map((name) => `${name}:0`).join(),
      model: undefined
    }
    try {
      this.#load(graph)
    } catch (cause) {
      return cause instanceof Error ? cause.message : String(cause)
    }
    graphs.push(graph)
    return graph
  }

  #load(graph: Graph): number {
    const [oldest] = this.#loaded
    if (this.#loaded.length >= limits.loaded && oldest !== undefined) this.#unload(oldest)
    const directory = mkdtempSync(join(tmpdir(), "search-r1-graph-"))
    try {
      writeFileSync(join(directory, "saved_model.pb"), graph.file)
      const model = this.#backend.binding.loadSavedModel(directory, tag)
      graph.model = model
      this.#loaded.push(graph)
      return model
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
