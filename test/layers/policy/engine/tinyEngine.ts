/** Engines of a random model small enough for any test, which need no file. */
import { Effect, Layer, Stream } from "effect"
import * as Batch from "../../../../src/domain/Batch.ts"
import * as Loss from "../../../../src/domain/Loss.ts"
import * as ModelInit from "../../../../src/domain/ModelInit.ts"
import * as Vocabulary from "../../../../src/domain/world/Vocabulary.ts"
import * as WorldModel from "../../../../src/domain/world/WorldModel.ts"
import * as DeviceWasm from "../../../../src/layers/device/DeviceWasm.ts"
import * as Engine from "../../../../src/layers/policy/engine/Engine.ts"
import * as Network from "../../../../src/layers/policy/engine/Network.ts"
import * as Scheduler from "../../../../src/layers/policy/engine/Scheduler.ts"
import { Device } from "../../../../src/services/Device.ts"
import type { UpdateOptions } from "../../../../src/services/Optimizer.ts"
import { byteTokenizer } from "./fixtures.ts"

export const config = WorldModel.config({ vocabulary: Vocabulary.world, hiddenSize: 32, layers: 2, heads: 2 })

/** A random model; the same seed makes the same one. */
export const weights = (seed = "tiny") => ({
  config,
  tensors: Stream.fromIterable(ModelInit.weights(config, seed))
})

export const tokenizer = byteTokenizer(config.vocabularySize)

export const device = Layer.orDie(DeviceWasm.layer({ threads: 1 }))

export const engine = (options: Engine.EngineOptions = {}, seed?: string) =>
  Effect.suspend(() => Engine.make(weights(seed), tokenizer, { cacheTokens: 64, ...options }))

/** A scheduler by itself, whose policy has the version that `version` says. */
export const scheduler = Effect.fnUntraced(function*(
  options: { readonly version?: () => number } & Scheduler.SchedulerOptions = {}
) {
  const { version = () => 0, ...others } = options
  const { config, tensors } = weights()
  const network = yield* Network.make(config, tensors)
  return yield* Scheduler.make(yield* Device, network, tokenizer, version, others)
})

/** `count` ids that the model has, all unlike. */
export const ids = (count: number, first = 2): Int32Array =>
  Int32Array.from({ length: count }, (_, at) => first + at % (config.vocabularySize - first))

export const batch = Batch.miniBatch([Batch.demonstration({ key: "a", ids: ids(20) })])

/** Supervised updates without a bound on the gradient. */
export const update: UpdateOptions = {
  loss: Loss.negativeLogLikelihood,
  learningRate: 1e-3,
  adamW: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, maxGradNorm: null },
  temperature: 1,
  microBatch: { maxTokens: 4096 }
}
