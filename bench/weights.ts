/**
 * How fast weights are saved and loaded, and what loading holds beside the result. The model is made up (`--layers N`,
 * 8, at width 512 and 32,768 tokens) or the one at `--model DIR`. The baseline reads the same files as they are.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Result, Stream } from "effect"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import * as HuggingFaceConfig from "../src/domain/HuggingFaceConfig.ts"
import * as ModelTensors from "../src/domain/ModelTensors.ts"
import * as Weights from "../src/layers/model/Weights.ts"

const repeats = 5

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const seconds = async (run: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await run()
  return (performance.now() - start) / 1000
}

const config = (layers: number) =>
  Result.getOrThrow(HuggingFaceConfig.decode({
    model_type: "llama",
    vocab_size: 32_768,
    hidden_size: 512,
    intermediate_size: 1376,
    num_hidden_layers: layers,
    num_attention_heads: 8,
    max_position_embeddings: 2048,
    dtype: "bfloat16"
  }))

export const run = async (args: ReadonlyArray<string>) => {
  const { values } = parseArgs({ args: [...args], options: { model: { type: "string" }, layers: { type: "string" } } })
  const folder = mkdtempSync(join(tmpdir(), "bench-weights-"))
  const directory = values.model ?? join(folder, "model")
  const numbers = Float32Array.from({ length: 1 << 16 }, (_, i) => Math.sin(i) / 8)
  const fill = (spec: ModelTensors.TensorSpec) => {
    const data = new Float32Array(ModelTensors.elements(spec.shape))
    for (let i = 0; i < data.length; i += numbers.length) data.set(numbers.subarray(0, data.length - i), i)
    return Effect.succeed(data)
  }
  const made = config(Number(values.layers ?? 8))
  const save = Weights.save(join(folder, "model"), { config: made, read: fill }).pipe(
    Effect.provide(NodeServices.layer)
  )
  const saving: Array<number> = []
  for (let repeat = 0; repeat < repeats; repeat++) saving.push(await seconds(() => Effect.runPromise(save)))

  let weights = 0
  let peak = 0
  let largest = 0
  const load = Weights.read(directory).pipe(
    Effect.flatMap(({ tensors }) =>
      Stream.runForEach(tensors, ({ data }) =>
        Effect.sync(() => {
          weights += data.length
          largest = Math.max(largest, data.byteLength)
        }))
    ),
    Effect.provide(NodeServices.layer)
  )
  const loading: Array<number> = []
  const reading: Array<number> = []
  const files = readdirSync(directory).filter((name) => name.endsWith(".safetensors")).map((name) =>
    join(directory, name)
  )
  let bytes = 0
  for (let repeat = 0; repeat < repeats; repeat++) {
    weights = 0
    loading.push(await seconds(() => Effect.runPromise(load)))
    bytes = 0
    reading.push(
      await seconds(async () => {
        for (const file of files) bytes += readFileSync(file).length
      })
    )
  }
  // A collection behind each tensor shows what is held at once; it would spoil the times above.
  const watched = Weights.read(directory).pipe(
    Effect.flatMap(({ tensors }) =>
      Stream.runForEach(tensors, () =>
        Effect.sync(() => {
          globalThis.gc?.()
          peak = Math.max(peak, process.memoryUsage().arrayBuffers)
        }))
    ),
    Effect.provide(NodeServices.layer)
  )
  globalThis.gc?.()
  const before = process.memoryUsage().arrayBuffers
  await Effect.runPromise(watched)
  rmSync(folder, { recursive: true })
  const megabytes = (value: number) => Math.round(value / 1e5) / 10
  return {
    weights,
    fileMegabytes: megabytes(bytes),
    saveMegabytesPerSecond: megabytes(2 * ModelTensors.parameterCount(made) / median(saving)),
    loadMegabytesPerSecond: megabytes(bytes / median(loading)),
    readFileMegabytesPerSecond: megabytes(bytes / median(reading)),
    ratioToReadFile: Math.round(100 * median(reading) / median(loading)) / 100,
    largestTensorMegabytes: megabytes(largest),
    heldBesideMegabytes: megabytes(peak - before - largest)
  }
}
