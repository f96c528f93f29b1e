/**
 * Training and decoding speed of the engine on one device: a Llama-style decoder of 0.9 M weights (dim 128, 4 layers,
 * vocabulary 512, batch 32 x 160, decoding batch 64) and a larger one (dim 512, 8 layers, vocabulary 8192), the shapes of
 * a plain PyTorch loop. Each number is a median.
 *
 * Options: `--device wasm|tensorflow|torch|cpu`, `--small` (0.9 M only), `--threads N`, `--delay` (with
 * `--small`, too, trains in the engine's own thread and measures how late the event loop of this one is meanwhile).
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as tf from "@tensorflow/tfjs-core"
import { Context, Effect, FileSystem, Layer, Path, Stream } from "effect"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { parseArgs } from "node:util"
import * as Batch from "../src/domain/Batch.ts"
import * as Loss from "../src/domain/Loss.ts"
import * as ModelInit from "../src/domain/ModelInit.ts"
import { parameterCount } from "../src/domain/ModelTensors.ts"
import { onPolicy } from "../src/domain/Sampling.ts"
import * as Spans from "../src/domain/Spans.ts"
import { save } from "../src/layers/model/Weights.ts"
import * as Engine from "../src/layers/policy/engine/Engine.ts"
import type { StartOptions } from "../src/layers/policy/engine/EngineRpcs.ts"
import * as EngineServer from "../src/layers/policy/engine/EngineServer.ts"
import type { EngineServices } from "../src/layers/policy/engine/EngineServices.ts"
import * as PolicyEngine from "../src/layers/policy/PolicyEngine.ts"
import * as ChatTemplate from "../src/layers/tokenizer/ChatTemplate.ts"
import { Device } from "../src/services/Device.ts"
import type { UpdateOptions } from "../src/services/Optimizer.ts"
import type { Tokenizer } from "../src/services/Tokenizer.ts"
import { config, large, type Shape, small, trainedLength } from "./decoder.ts"

const training = { batch: 32, length: trainedLength, steps: 5 }
const decoding = { batch: 64, prompt: 48, tokens: 64, rounds: 3 }

const random = (shape: Shape) => {
  const own = config(shape)
  return { config: own, tensors: Stream.fromIterable(ModelInit.weights(own, "bench")) }
}

/** Floating-point operations of one trained token: matrix products and causal attention, forward and twice backward. */
const trainFlops = (shape: Shape): number => {
  const matrices = parameterCount(config(shape)) - shape.dim * (2 * shape.layers + 1)
  return 3 * (2 * matrices + 4 * shape.layers * shape.dim * training.length / 2)
}

const letters = (ids: Int32Array) => String.fromCharCode(...ids.map((id) => 97 + id % 26))
const codes = (text: string) => Int32Array.from(text, (c) => c.charCodeAt(0) - 97)
const tokenizer = (size: number): Tokenizer["Service"] => ({
  vocabularySize: size,
  endOfText: [],
  specialIds: [],
  encode: codes,
  encodeSpans: (spans) => codes(Spans.text(spans)),
  decode: letters,
  decoder: () => ({ push: letters, flush: () => "" }),
  ...ChatTemplate.none
})

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

/** Wall time and processor time (all threads) of an effect. Others on the machine stretch the first, hardly the second. */
const seconds = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const begin = performance.now()
    const before = process.cpuUsage()
    yield* effect
    const { system, user } = process.cpuUsage(before)
    return { wall: (performance.now() - begin) / 1000, processor: (system + user) / 1e6 }
  })

type Seconds = Effect.Success<ReturnType<typeof seconds>>

const medians = (times: ReadonlyArray<Seconds>): Seconds => ({
  wall: median(times.map(({ wall }) => wall)),
  processor: median(times.map(({ processor }) => processor))
})

const update: UpdateOptions = {
  loss: Loss.negativeLogLikelihood,
  learningRate: 1e-4,
  adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, maxGradNorm: 1 },
  temperature: 1,
  microBatch: { maxTokens: training.batch * training.length }
}

const batchOf = (vocabulary: number) =>
  Batch.miniBatch(Array.from({ length: training.batch }, (_, i) =>
    Batch.demonstration({
      key: `${i}`,
      ids: Int32Array.from({ length: training.length }, (_, t) => (t * 31 + i * 17 + t * t * i) % vocabulary)
    })))

const measure = Effect.fnUntraced(function*(shape: Shape) {
  const engine = yield* Engine.make(
    random(shape),
    tokenizer(shape.vocabulary),
    { cacheTokens: decoding.batch * 160, maxTokens: 4096 }
  )
  const batch = batchOf(shape.vocabulary)
  yield* engine.optimizer.update(batch, update)
  const trained: Array<Seconds> = []
  for (let i = 0; i < training.steps; i++) trained.push(yield* seconds(engine.optimizer.update(batch, update)))
  let round = 0
  const decode = Effect.suspend(() => {
    round++
    return Effect.forEach(
      Array.from({ length: decoding.batch }, (_, i) => i),
      Effect.fnUntraced(function*(i) {
        const ids = Int32Array.from({ length: decoding.prompt }, (_, t) => (t * 7 + i * 13 + round) % shape.vocabulary)
        const session = yield* engine.policy.session({ promptKey: `${i}`, sample: 0, ids, seed: `${round}/${i}` })
        yield* session.generate({ maxTokens: decoding.tokens, sampling: onPolicy, stop: [] })
      }, Effect.scoped),
      { concurrency: "unbounded", discard: true }
    )
  })
  yield* decode
  const decoded: Array<Seconds> = []
  for (let i = 0; i < decoding.rounds; i++) decoded.push(yield* seconds(decode))
  const [train, write] = [medians(trained), medians(decoded)]
  const [trainTokens, decodeTokens] = [training.batch * training.length, decoding.batch * decoding.tokens]
  const trainTokensPerSecond = trainTokens / train.wall
  return {
    parameters: parameterCount(engine.config),
    trainTokensPerSecond,
    trainGflops: trainTokensPerSecond * trainFlops(shape) / 1e9,
    decodeTokensPerSecond: decodeTokens / write.wall,
    trainTokensPerProcessorSecond: trainTokens / train.processor,
    decodeTokensPerProcessorSecond: decodeTokens / write.processor
  }
}, Effect.scoped)

const gemm = Effect.gen(function*() {
  const device = yield* Device
  const size = 1024
  const x = yield* device.resource(() => tf.randomUniform([size, size], -1, 1, "float32", "s"))
  const once = device.run(() => {
    tf.matMul(x, x).dispose()
  }).pipe(Effect.andThen(device.settled))
  yield* once
  const times: Array<Seconds> = []
  for (let i = 0; i < 9; i++) times.push(yield* seconds(once))
  return 2 * size ** 3 / medians(times).wall / 1e9
}).pipe(Effect.scoped)

/** Event-loop delay of this thread while the engine trains in its own, in milliseconds. */
const eventLoop = Effect.fnUntraced(function*(options: StartOptions) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = yield* fs.makeTempDirectoryScoped()
  const source = random(small)
  const local = yield* Engine.make(source, tokenizer(512))
  yield* save(directory, { config: source.config, read: local.readWeight })
  // All bytes and some pairs of them; the reader adds three special tokens.
  const pieces = Array.from({ length: 509 }, (_, id) => {
    const bytes = id < 256 ? [id] : [97, id - 256]
    return `${Buffer.from(bytes).toString("base64")} ${id}`
  })
  yield* fs.writeFileString(path.join(directory, "bench.tiktoken"), pieces.join("\n"))
  const services = yield* Layer.build(PolicyEngine.layer({ ...options, model: directory }))
  const engine = Context.get(services, PolicyEngine.Engine)
  const train = (engine: EngineServices) => engine.optimizer.update(batchOf(512), update)
  yield* train(engine)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  for (let i = 0; i < 4; i++) yield* train(engine)
  delay.disable()
  return { eventLoopP99Ms: delay.percentile(99) / 1e6 - 1, eventLoopMaxMs: delay.max / 1e6 - 1 }
}, Effect.scoped)

const round = (value: number) => Number(value.toPrecision(4))

export const run = async (args: ReadonlyArray<string>): Promise<Readonly<Record<string, unknown>>> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      device: { type: "string", default: "wasm" },
      threads: { type: "string" },
      small: { type: "boolean", default: false },
      delay: { type: "boolean", default: false }
    }
  })
  const name = (["wasm", "tensorflow", "torch", "cpu"] as const).find((known) => known === values.device)
  if (name === undefined) throw new RangeError(`there is no device ${values.device}`)
  const options: StartOptions = {
    model: "",
    device: name,
    ...(values.threads !== undefined && { threads: Number(values.threads) })
  }
  const program = Effect.gen(function*() {
    const device = yield* Device
    const gemmGflops = yield* gemm
    const tell = (what: string, shape: Shape) =>
      Effect.tap(measure(shape), (found) =>
        Effect.sync(() =>
          process.stderr.write(
            `${what}: training ${found.trainTokensPerSecond.toFixed(0)} tokens/s at ${found.trainGflops.toFixed(1)} ` +
              `GFLOP/s, ${(100 * found.trainGflops / gemmGflops).toFixed(0)} % of the device's ${
                gemmGflops.toFixed(0)
              }; decoding ${found.decodeTokensPerSecond.toFixed(0)} tokens/s\n`
          )
        ))
    const first = yield* tell("0.9 M", small)
    const second = values.small ? undefined : yield* tell("large", large)
    const loop = values.delay || !values.small ? yield* eventLoop(options) : {}
    return {
      device: device.name,
      threads: device.capabilities.threads,
      gemmGflops: round(gemmGflops),
      trainTokensPerSecond: round(first.trainTokensPerSecond),
      decodeTokensPerSecond: round(first.decodeTokensPerSecond),
      trainTokensPerProcessorSecond: round(first.trainTokensPerProcessorSecond),
      decodeTokensPerProcessorSecond: round(first.decodeTokensPerProcessorSecond),
      trainRoofline: round(first.trainGflops / gemmGflops),
      ...(second !== undefined && {
        large: {
          trainTokensPerSecond: round(second.trainTokensPerSecond),
          decodeTokensPerSecond: round(second.decodeTokensPerSecond),
          trainTokensPerProcessorSecond: round(second.trainTokensPerProcessorSecond),
          decodeTokensPerProcessorSecond: round(second.decodeTokensPerProcessorSecond),
          trainRoofline: round(second.trainGflops / gemmGflops)
        }
      }),
      ...loop
    }
  })
  return Effect.runPromise(
    program.pipe(
      Effect.provide(EngineServer.deviceLayer(options).pipe(Layer.provideMerge(NodeServices.layer))),
      Effect.scoped
    )
  )
}
