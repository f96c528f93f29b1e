/**
 * Log-probabilities of whole sequences.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { contextLength } from "../../../domain/ModelConfig.ts"
import type { Device, DeviceError } from "../../../services/Device.ts"
import {
  ContextOverflow,
  type PolicyError,
  PolicyUnavailable,
  type SequenceLogProbs
} from "../../../services/Policy.ts"
import { held } from "./held.ts"
import type { Network } from "./Packed.ts"
import { headRows, predict, scatter } from "./Predictions.ts"
import { read } from "./read.ts"

/** Indices of sequences that are computed together: neighbours in length, as many tokens as `maxTokens` allows. */
const parts = (sequences: ReadonlyArray<Int32Array>, maxTokens: number): ReadonlyArray<ReadonlyArray<number>> => {
  const order = sequences.map((_, i) => i).sort((a, b) => (sequences[a]?.length ?? 0) - (sequences[b]?.length ?? 0))
  const out: Array<Array<number>> = []
  let part: Array<number> = []
  for (const i of order) {
    const length = sequences[i]?.length ?? 0
    if (part.length > 0 && length * (part.length + 1) > maxTokens) {
      out.push(part)
      part = []
    }
    part.push(i)
  }
  return part.length > 0 ? [...out, part] : out
}

/**
 * Packs sequences one behind the other.
 *
 * @category conversions
 * @since 0.1.0
 */
export const packIds = (
  sequences: ReadonlyArray<Int32Array>
): { readonly ids: Int32Array; readonly cuSeqlens: Int32Array } => {
  const cuSeqlens = new Int32Array(sequences.length + 1)
  sequences.forEach((sequence, i) => {
    cuSeqlens[i + 1] = (cuSeqlens[i] ?? 0) + sequence.length
  })
  const ids = new Int32Array(cuSeqlens.at(-1) ?? 0)
  sequences.forEach((sequence, i) => ids.set(sequence, cuSeqlens[i]))
  return { ids, cuSeqlens }
}

/**
 * Runs a computation over all sequences, some at a time: neighbours in length, at most `maxTokens` tokens together. When
 * the device runs out of memory, half as many are computed at a time, down to one.
 *
 * @category combinators
 * @since 0.1.0
 */
export const inParts = Effect.fnUntraced(function*(
  sequences: ReadonlyArray<Int32Array>,
  maxTokens: number,
  compute: (members: ReadonlyArray<number>) => Effect.Effect<void, DeviceError>
): Effect.fn.Return<void, DeviceError> {
  const queue = parts(sequences, maxTokens).toReversed()
  while (queue.length > 0) {
    const members = queue.pop() ?? []
    if (members.every((i) => (sequences[i]?.length ?? 0) === 0)) continue
    const result = yield* Effect.result(compute(members))
    if (result._tag === "Success") {
      yield* Effect.yieldNow
    } else if (result.failure._tag === "OutOfDeviceMemory" && members.length > 1) {
      const half = Math.ceil(members.length / 2)
      queue.push(members.slice(half), members.slice(0, half))
    } else {
      return yield* result.failure
    }
  }
})

/**
 * `Policy.logProbs` over a network.
 *
 * @category operations
 * @since 0.1.0
 */
export const logProbs = Effect.fn("Scoring.logProbs")(function*(
  device: Device["Service"],
  network: Network,
  sequences: ReadonlyArray<Int32Array>,
  options: { readonly temperature: number; readonly maxTokens: number }
): Effect.fn.Return<ReadonlyArray<SequenceLogProbs>, PolicyError> {
  const limit = contextLength(network.config)
  const vocabulary = network.config.vocabularySize
  for (const ids of sequences) {
    if (ids.length > limit) return yield* new ContextOverflow({ tokens: ids.length, limit })
    const foreign = ids.find((id) => id < 0 || id >= vocabulary)
    if (foreign !== undefined) {
      return yield* new PolicyUnavailable({
        reason: `token id ${foreign} is outside the model's vocabulary of ${vocabulary}`
      })
    }
  }
  const results: Array<SequenceLogProbs> = sequences.map((ids) => ({
    logProbs: new Float32Array(ids.length),
    entropy: new Float32Array(ids.length)
  }))
  const compute = Effect.fnUntraced(function*(members: ReadonlyArray<number>) {
    const { cuSeqlens, ids } = packIds(members.map((i) => sequences[i] ?? new Int32Array()))
    function* predicted() {
      const { result, selection } = yield* predict(
        network,
        { ids, cuSeqlens },
        options.temperature,
        "nothing",
        headRows(device, network)
      )
      return { selection, logProb: result.logProb, entropy: result.entropy }
    }
    const [allLogProbs, allEntropy] = yield* held(
      device,
      predicted,
      ({ entropy, logProb, selection }) =>
        Effect.map(read(device, [logProb, entropy]), ([lp = new Float32Array(), ent = new Float32Array()]) =>
          [
            scatter(selection, lp, ids.length),
            scatter(selection, ent, ids.length)
          ] as const)
    )
    members.forEach((member, i) => {
      const [begin, end] = [cuSeqlens[i], cuSeqlens[i + 1]]
      results[member]?.logProbs.set(allLogProbs.subarray(begin, end))
      results[member]?.entropy.set(allEntropy.subarray(begin, end))
    })
  })
  yield* inParts(sequences, options.maxTokens, compute).pipe(
    Effect.mapError((error) =>
      error._tag === "OutOfDeviceMemory" ? error : new PolicyUnavailable({ reason: error.message })
    )
  )
  return results
})
