/**
 * Training and decoding at the shapes of Qwen2.5 0.5B and 3B, random weights, on the device `torch`: the engine's own
 * forward and backward pass, optimizer, generation step and cache. `--shape NAME` runs one shape (`tiny` is for trying it
 * out on a processor), `--device cpu|cuda`, `--storage float32|bfloat16`, `--addon FILE`.
 *
 * `--all DIR` then goes on with what a card is for, in DIR and by the product's own commands: the main job; three steps of
 * GRPO with random weights of the first shape, with seconds by phase and the card's busy share; and `--instruct MODEL`
 * (SmolLM2-135M-Instruct) warmed up and trained over real questions and passages (`--data`, ../shared/data), with exact
 * match before and after, with search and without. It says what is missing. `--toy` tries all of it out on a processor.
 *
 * `trainMfu` counts `6 n T + 6 L D S T` operations (n weights, T tokens, S a sequence's length, half of the attention
 * for its mask) against 989 TFLOP/s; `roofline` is the time that the weights and the read part of the cache take at
 * 3.0 TB/s over the time that a step takes.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as tf from "@tensorflow/tfjs-core"
import { Effect, Layer, Stream } from "effect"
import { parseArgs } from "node:util"
import * as AdamW from "../src/domain/AdamW.ts"
import { ModelConfig } from "../src/domain/ModelConfig.ts"
import { elements, tensors } from "../src/domain/ModelTensors.ts"
import * as DeviceTorch from "../src/layers/device/DeviceTorch.ts"
import { disposeTensors } from "../src/layers/device/tfjs.ts"
import { TorchBackend } from "../src/layers/device/torch/backend.ts"
import { AdamState } from "../src/layers/policy/engine/AdamState.ts"
import { Gradients } from "../src/layers/policy/engine/Gradients.ts"
import { blockSize, KvCache } from "../src/layers/policy/engine/KvCache.ts"
import * as Network from "../src/layers/policy/engine/Network.ts"
import type { Network as Decoder } from "../src/layers/policy/engine/Packed.ts"
import { predict, predictBackward } from "../src/layers/policy/engine/Predictions.ts"
import { read } from "../src/layers/policy/engine/read.ts"
import { step, type StepSequence } from "../src/layers/policy/engine/Step.ts"
import { Device } from "../src/services/Device.ts"
import { missing, runAll } from "./support/gpuJobs.ts"

interface Shape {
  readonly config: ModelConfig
  readonly training: { readonly sequences: number; readonly length: number; readonly optimizer: boolean }
  readonly decoding: { readonly batches: ReadonlyArray<number>; readonly prompt: number; readonly tokens: number }
}

const qwen = (hiddenSize: number, layers: number, heads: number, intermediateSize: number, headDim: number) =>
  new ModelConfig({
    architecture: "qwen2",
    vocabularySize: 151_936,
    hiddenSize,
    intermediateSize,
    layers,
    heads,
    keyValueHeads: 2,
    headDim,
    maxPositions: 4096,
    slidingWindow: null,
    rmsNormEps: 1e-6,
    ropeTheta: 1e6,
    ropeScaling: null,
    tieWordEmbeddings: true,
    attentionBias: true,
    bosTokenIds: [],
    eosTokenIds: [],
    padTokenId: null,
    precision: "bfloat16",
    others: {}
  })

const shapes: Readonly<Record<string, Shape>> = {
  "0.5B": {
    config: qwen(896, 24, 14, 4864, 64),
    training: { sequences: 16, length: 2048, optimizer: true },
    decoding: { batches: [64, 256], prompt: 512, tokens: 64 }
  },
  "3B": {
    config: qwen(2048, 36, 16, 11_008, 128),
    training: { sequences: 4, length: 2048, optimizer: false },
    decoding: { batches: [64, 256], prompt: 512, tokens: 48 }
  },
  tiny: {
    config: new ModelConfig({ ...qwen(64, 2, 4, 160, 16), vocabularySize: 500 }),
    training: { sequences: 4, length: 64, optimizer: true },
    decoding: { batches: [3, 20], prompt: 40, tokens: 8 }
  }
}

/** Cheap numbers that look random, uniform in (-1, 1). */
const random = (seed: number) => {
  let state = seed
  return () => {
    state = Math.imul(state, 1664525) + 1013904223 | 0
    return state / 2 ** 31
  }
}

const weights = (config: ModelConfig) =>
  Stream.fromIterable(tensors(config)).pipe(Stream.map(({ name, shape }, i) => {
    const next = random(i + 1)
    const scale = shape.length === 1 ? 0 : 1 / Math.sqrt(shape[1] ?? 1)
    const data = new Float32Array(elements(shape))
    for (let j = 0; j < data.length; j++) data[j] = next() * scale
    return { name, shape, data: name.endsWith("norm.weight") ? data.fill(1) : data }
  }))

const now = Effect.sync(() => performance.now())
const say = (line: string) => Effect.sync(() => process.stderr.write(`${line}\n`))

/** One step over all sequences: cross-entropy, its gradient, clipping and AdamW. */
const train = Effect.fnUntraced(function*(network: Decoder, adam: AdamState, shape: Shape["training"]) {
  const device = yield* Device
  const { length, optimizer, sequences } = shape
  const next = random(sequences)
  const ids = Int32Array.from(
    { length: sequences * length },
    () => Math.floor(Math.abs(next()) * network.config.vocabularySize)
  )
  const cuSeqlens = Int32Array.from({ length: sequences + 1 }, (_, i) => i * length)
  const weight = new Float32Array(ids.length).fill(-1 / ids.length)
  const none = new Float32Array(ids.length)
  const gradients = new Gradients()
  const predicted = yield* device.pieces(() => predict(network, { ids, cuSeqlens }, 1, "everything"))
  const [logProbs] = yield* read(device, [predicted.result.logProb])
  yield* device.pieces(() => predictBackward(network, predicted, weight, none, 1, gradients.add))
  yield* device.run(() => disposeTensors(predicted))
  if (optimizer) {
    const square = yield* device.run(() => gradients.sumSquares())
    const [values] = yield* read(device, [square])
    square.dispose()
    const scale = Math.min(1, 1 / Math.sqrt(values?.[0] ?? 1))
    yield* device.run(() => adam.update(network.parameters, gradients, AdamW.reference, 1e-6, scale))
  }
  yield* device.run(() => gradients.dispose())
  yield* device.settled
  let sum = 0
  for (const value of logProbs ?? none) sum += value
  return -sum / ids.length
})

const timeTraining = Effect.fnUntraced(function*(network: Decoder, shape: Shape["training"], weightCount: number) {
  const device = yield* Device
  const adam = new AdamState()
  if (shape.optimizer) yield* device.run(() => adam.prepare(network.parameters))
  const losses = [yield* train(network, adam, shape), yield* train(network, adam, shape)]
  const steps = 5
  const begin = yield* now
  for (let i = 0; i < steps; i++) losses.push(yield* train(network, adam, shape))
  const seconds = ((yield* now) - begin) / 1000 / steps
  yield* device.run(() => adam.dispose())
  const { hiddenSize, layers } = network.config
  const count = shape.sequences * shape.length
  const operations = 6 * weightCount * count + 6 * layers * hiddenSize * shape.length * count
  yield* say(`training: ${(seconds * 1000).toFixed(0)} ms a step, losses ${losses.map((x) => x.toFixed(3)).join(" ")}`)
  return {
    trainTokensPerSecond: Math.round(count / seconds),
    trainMfu: Number((operations / seconds / 989e12).toFixed(3))
  }
})

const timeDecoding = Effect.fnUntraced(
  function*(network: Decoder, shape: Shape["decoding"], batch: number, weightCount: number) {
    const device = yield* Device
    const { prompt, tokens } = shape
    const perSequence = Math.ceil((prompt + tokens + 4) / blockSize)
    const cache = yield* device.run(() => new KvCache(network.config, batch * perSequence + 1))
    const owned = Array.from(
      { length: batch },
      (_, row) => Array.from({ length: perSequence }, (_, b) => 1 + row * perSequence + b)
    )
    const blocks = (row: number) => owned[row] ?? []
    const next = random(batch)
    const uniform = () => Math.abs(next())
    const draw = () => ({ temperature: 1, topK: 0, topP: 1, uniform: uniform() })
    const run = Effect.fnUntraced(function*(sequences: ReadonlyArray<StepSequence>) {
      const drawn = yield* device.pieces(() => step(network, cache, sequences))
      if (drawn === undefined) return new Int32Array()
      const [ids, logProbs] = yield* read(device, [drawn.ids, drawn.logProb, drawn.modelLogProb])
      tf.dispose([drawn.ids, drawn.logProb, drawn.modelLogProb])
      if (logProbs?.some((x) => !Number.isFinite(x))) return yield* Effect.die("not finite")
      return Int32Array.from(ids ?? [])
    })
    const { vocabularySize } = network.config
    const promptIds = () => Array.from({ length: prompt }, () => Math.floor(uniform() * vocabularySize))
    const last = new Int32Array(batch)
    const group = Math.max(1, Math.floor(8192 / prompt))
    const beginPrefill = yield* now
    for (let begin = 0; begin < batch; begin += group) {
      const rows = Array.from({ length: Math.min(group, batch - begin) }, (_, i) => begin + i)
      last.set(
        yield* run(rows.map((row) => ({ ids: promptIds(), cached: 0, blocks: blocks(row), draw: draw() }))),
        begin
      )
    }
    const prefill = ((yield* now) - beginPrefill) / 1000
    let cached = prompt
    const decode = Effect.suspend(() =>
      run(Array.from(last, (id, row) => ({ ids: [id], cached, blocks: blocks(row), draw: draw() })))
    ).pipe(Effect.map((ids) => {
      last.set(ids.subarray(0, batch))
      cached++
    }))
    for (let i = 0; i < 3; i++) yield* decode
    const begin = yield* now
    for (let i = 0; i < tokens; i++) yield* decode
    const seconds = ((yield* now) - begin) / 1000 / tokens
    yield* device.run(() => cache.dispose())
    const { headDim, keyValueHeads, layers } = network.config
    const bytes = 2 * weightCount + 2 * 2 * layers * keyValueHeads * headDim * batch * (prompt + tokens / 2)
    yield* say(
      `decoding ${batch}: ${(seconds * 1000).toFixed(2)} ms a step, prefill ${
        Math.round(batch * prompt / prefill)
      } tokens/s`
    )
    return {
      tokensPerSecond: Math.round(batch / seconds),
      roofline: Number((bytes / 3.0e12 / seconds).toFixed(3)),
      prefillTokensPerSecond: Math.round(batch * prompt / prefill)
    }
  }
)

const measure = Effect.fnUntraced(function*(name: string, shape: Shape) {
  const { config } = shape
  const weightCount = tensors(config).reduce((sum, spec) => sum + elements(spec.shape), 0)
  const network = yield* Network.make(config, weights(config), { positions: 2560 })
  yield* say(`${name}: ${(weightCount / 1e9).toFixed(2)} G weights`)
  const decode: Record<string, Effect.Success<ReturnType<typeof timeDecoding>>> = {}
  for (const batch of shape.decoding.batches) {
    decode[batch] = yield* timeDecoding(network, shape.decoding, batch, weightCount)
  }
  return { ...(yield* timeTraining(network, shape.training, weightCount)), decode }
})

/** The shape's configuration; a tiny one gets a vocabulary that a tokenizer has. */
const configOf = (name: string, toy: boolean): ModelConfig => {
  const shape = shapes[name]
  if (shape === undefined) throw new RangeError(`there is no shape ${name}: ${Object.keys(shapes).join(", ")}`)
  return toy ? new ModelConfig({ ...shape.config, vocabularySize: 151_936, precision: "float32" }) : shape.config
}

export const run = async (args: ReadonlyArray<string>): Promise<Readonly<Record<string, unknown>>> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      shape: { type: "string", multiple: true },
      device: { type: "string" },
      storage: { type: "string" },
      addon: { type: "string" },
      all: { type: "string" },
      data: { type: "string", default: "../shared/data" },
      instruct: { type: "string" },
      toy: { type: "boolean", default: false }
    }
  })
  const names = values.shape ?? (values.toy ? ["tiny"] : ["0.5B", "3B"])
  const storage = values.storage === "float32" || values.storage === "bfloat16" ? values.storage : undefined
  const layer = DeviceTorch.layer({ device: values.device, storage, addon: values.addon })
  const [first = "0.5B"] = names
  const jobs = values.all === undefined ? undefined : {
    directory: values.all,
    data: values.data,
    instruct: values.instruct,
    toy: values.toy,
    random: { config: configOf(first, values.toy), weights }
  }
  const program = Effect.gen(function*() {
    const device = yield* Device
    const gpuName = () => {
      const backend: unknown = tf.backend()
      return backend instanceof TorchBackend && backend.isCard ? backend.addon.cardName() : "none"
    }
    const gpu = yield* device.run(gpuName)
    const lacking = jobs === undefined ? [] : missing(jobs, gpu === "none" ? undefined : gpu)
    if (lacking.length > 0) {
      yield* say(`--all needs what is missing here:\n${lacking.map((line) => `- ${line}`).join("\n")}`)
      return { gpu, missing: lacking }
    }
    const result: Record<string, unknown> = { gpu, storage: device.capabilities.storage }
    for (const name of names) {
      const shape = shapes[name]
      if (shape === undefined) return yield* Effect.die(`there is no shape ${name}: ${Object.keys(shapes).join(", ")}`)
      const measured = yield* Effect.scoped(measure(name, shape))
      if (name === names[0]) Object.assign(result, { shape: name }, measured)
      else result[name] = measured
    }
    return result
  })
  const measured = await Effect.runPromise(program.pipe(Effect.provide(layer.pipe(Layer.provide(NodeServices.layer)))))
  if ("missing" in measured) process.exitCode = 1
  return jobs === undefined || "missing" in measured ? measured : { ...measured, ...(await runAll(jobs)) }
}
