/**
 * What a model says about one list of tokens: for holding it against other implementations.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect, type Scope } from "effect"
import { contextLength, ModelConfig } from "../../../domain/ModelConfig.ts"
import { greedy } from "../../../domain/Sampling.ts"
import { Device, type DeviceError } from "../../../services/Device.ts"
import { ContextOverflow, type PolicyError, PolicyUnavailable } from "../../../services/Policy.ts"
import { Tokenizer } from "../../../services/Tokenizer.ts"
import type { ModelLoadError } from "../../model/ModelFileErrors.ts"
import type { Weights } from "../../model/Weights.ts"
import * as TokenizerBytes from "../../tokenizer/TokenizerBytes.ts"
import { held } from "./held.ts"
import * as Network from "./Network.ts"
import type { Network as PackedNetwork } from "./Packed.ts"
import type { ParameterMismatch } from "./ParameterMismatch.ts"
import { headName, headRows, predict, scatter } from "./Predictions.ts"
import { read } from "./read.ts"
import * as Scheduler from "./Scheduler.ts"

/**
 * `lastLogits` of the shape `[vocabularySize]`, log-probability and entropy (in nats) of every token but the first given
 * those before it, shape `[ids - 1]`, and the likeliest tokens one after the other.
 *
 * @category models
 * @since 0.1.0
 */
export interface Probe {
  readonly lastLogits: Float32Array
  readonly tokenLogprobs: Float32Array
  readonly entropy: Float32Array
  readonly greedy: Int32Array
}

const score = Effect.fnUntraced(function*(network: PackedNetwork, ids: Int32Array) {
  const device = yield* Device
  function* predicted() {
    const { forward, result, selection } = yield* predict(
      network,
      { ids, cuSeqlens: Int32Array.of(0, ids.length) },
      1,
      "nothing",
      headRows(device, network)
    )
    const row = tf.gather(forward.hidden, tf.tensor1d([ids.length - 1], "int32"))
    const last = tf.matMul(row, network.parameters.get(headName(network)), false, true)
    return { tensors: [result.entropy, last, result.logProb], selection }
  }
  return yield* held(
    device,
    predicted,
    ({ selection, tensors }) =>
      Effect.map(read(device, tensors), ([entropies, logits, logProbs]) => {
        const behindFirst = (values: ArrayLike<number> | undefined) =>
          scatter(selection, values ?? [], ids.length).slice(1)
        return {
          lastLogits: Float32Array.from(logits ?? []),
          tokenLogprobs: behindFirst(logProbs),
          entropy: behindFirst(entropies)
        }
      })
  )
})

/**
 * Loads a model and asks it about `ids`, then for `steps` greedy tokens through its key-value cache; they go on behind
 * one that ends a text.
 *
 * @category constructors
 * @since 0.1.0
 */
export const probe = Effect.fn("Probe.probe")(function*(
  weights: Weights,
  ids: Int32Array,
  steps: number
): Effect.fn.Return<
  Probe,
  ModelLoadError | DeviceError | ParameterMismatch | PolicyError,
  Device | Scope.Scope
> {
  const device = yield* Device
  const limit = contextLength(weights.config)
  const vocabulary = weights.config.vocabularySize
  if (ids.length + steps > limit) return yield* new ContextOverflow({ tokens: ids.length + steps, limit })
  const foreign = ids.find((id) => id >= vocabulary)
  if (foreign !== undefined) {
    return yield* new PolicyUnavailable({
      reason: `token id ${foreign} is outside the model's vocabulary of ${vocabulary}`
    })
  }
  const endless = new ModelConfig({ ...weights.config, eosTokenIds: [] })
  const network = yield* Network.make(endless, weights.tensors, { positions: ids.length + steps })
  const scored = yield* score(network, ids)
  if (steps === 0) return { ...scored, greedy: new Int32Array() }
  // No text is asked for, so any tokenizer does; this one needs no files.
  const bytes = yield* Effect.provide(Tokenizer, TokenizerBytes.layer)
  const tokenizer = { ...bytes, endOfText: [], vocabularySize: vocabulary }
  const scheduler = yield* Scheduler.make(device, network, tokenizer, () => 0)
  const session = yield* scheduler.session({ promptKey: "probe", sample: 0, ids, seed: "probe" })
  const generation = yield* session.generate({ maxTokens: steps, sampling: greedy, stop: [] })
  return { ...scored, greedy: generation.ids }
})
