/**
 * A policy small enough to follow by hand and real enough to learn: a softmax over whole turns, one row of logits per
 * number of observations seen. Its optimizer takes the project's own losses through their derivatives, so training
 * programs are tested against true policy gradients without a tensor.
 */
import { Effect, Layer } from "effect"
import type { MiniBatch } from "../../src/domain/Batch.ts"
import * as MicroBatch from "../../src/domain/MicroBatch.ts"
import { addMetrics, policyLoss } from "../../src/domain/PolicyLoss.ts"
import * as Prng from "../../src/domain/Prng.ts"
import * as TokenizerBytes from "../../src/layers/tokenizer/TokenizerBytes.ts"
import { NonFiniteGradient, Optimizer } from "../../src/services/Optimizer.ts"
import { Policy } from "../../src/services/Policy.ts"
import { ReferencePolicy } from "../../src/services/ReferencePolicy.ts"
import { Tokenizer } from "../../src/services/Tokenizer.ts"

/** What a turn can be: the context so far to the text. */
export const turns: ReadonlyArray<(context: string) => string> = [
  () => "<search> key </search>",
  (context) => `<answer> ${/holds (\w+)/.exec(context)?.[1] ?? "unknown"} </answer>`,
  () => "I do not know."
]

const states = 3
const encoder = new TextEncoder()

/** An engine answers from another thread: whatever else is ready runs before it does. */
const hop = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

const softmax = (logits: Float64Array): Float64Array => {
  const top = Math.max(...logits)
  const weights = logits.map((logit) => Math.exp(logit - top))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map((weight) => weight / sum)
}

interface Choice {
  readonly position: number
  readonly state: number
  readonly choice: number
}

export interface TabularOptions {
  /** Fails the updates with these numbers (counted from 0) as a gradient that is not finite. */
  readonly nonFiniteUpdates?: ReadonlySet<number> | undefined
}

/** Policy, optimizer and frozen reference policy over one table, with the tokenizer they use. */
export const layer = (
  options: TabularOptions = {}
): Layer.Layer<Policy | Optimizer | ReferencePolicy | Tokenizer> =>
  Layer.effectContext(
    Effect.gen(function*() {
      const tokenizer = yield* Tokenizer
      const rows = Array.from({ length: states }, () => new Float64Array(turns.length))
      const frozen = rows.map((row) => row.slice())
      const choices = new Map<string, ReadonlyArray<Choice>>()
      let version = 0
      let attempts = 0

      const keyOf = (ids: Int32Array) => tokenizer.decode(ids)
      const logProbsOf = (table: ReadonlyArray<Float64Array>) => (sequences: ReadonlyArray<Int32Array>) =>
        Effect.sync(() =>
          sequences.map((ids) => {
            const logProbs = new Float32Array(ids.length)
            const entropy = new Float32Array(ids.length)
            for (const { choice, position, state } of choices.get(keyOf(ids)) ?? []) {
              const p = softmax(table[state] ?? new Float64Array(turns.length))
              logProbs[position] = Math.log(p[choice] ?? 0)
              entropy[position] = -p.reduce((sum, q) => sum + q * Math.log(q), 0)
            }
            return { logProbs, entropy }
          })
        )

      const policy = Policy.of({
        contextLength: 100_000,
        version: Effect.sync(() => version),
        session: ({ ids, seed }) =>
          Effect.sync(() => {
            const prng = Prng.make(seed)
            let context = tokenizer.decode(ids)
            let tokens = ids.length
            let state = 0
            const made: Array<Choice> = []
            return {
              append: (ids) =>
                Effect.sync(() => {
                  context += tokenizer.decode(ids)
                  tokens += ids.length
                  state = Math.min(state + 1, states - 1)
                }),
              generate: ({ sampling }) =>
                Effect.sync(() => {
                  const p = softmax(rows[state] ?? new Float64Array(turns.length))
                  let choice = sampling.temperature === 0 ? p.indexOf(Math.max(...p)) : 0
                  if (sampling.temperature > 0) {
                    for (let u = prng.float(); choice < p.length - 1 && u >= (p[choice] ?? 0); choice++) {
                      u -= p[choice] ?? 0
                    }
                  }
                  const text = turns[choice]?.(context) ?? ""
                  const generated = new Int32Array(encoder.encode(text))
                  made.push({ position: tokens, state, choice })
                  context += text
                  tokens += generated.length
                  choices.set(context, [...made])
                  const logProbs = new Float32Array(generated.length)
                  logProbs[0] = Math.log(p[choice] ?? 0)
                  return {
                    ids: generated,
                    logProbs,
                    modelLogProbs: logProbs,
                    text,
                    surplus: "",
                    finish: choice === 2 ? "eos" : "stop",
                    policyVersion: version
                  }
                })
            }
          }),
        logProbs: (sequences) => Effect.andThen(hop, logProbsOf(rows)(sequences))
      })

      const optimizer = Optimizer.of({
        update: (batch: MiniBatch, update) =>
          Effect.gen(function*() {
            if (options.nonFiniteUpdates?.has(attempts++) === true) {
              return yield* new NonFiniteGradient({ network: "actor", norm: "NaN", loss: "NaN" })
            }
            const gradient = rows.map((row) => new Float64Array(row.length))
            const metrics: Record<string, number> = {}
            const packs = MicroBatch.microBatches(batch, update.microBatch)
            for (const pack of packs) {
              const sequences = Array.from(
                { length: pack.sequenceOffsets.length - 1 },
                (_, i) => pack.ids.slice(pack.sequenceOffsets[i], pack.sequenceOffsets[i + 1])
              )
              const now = yield* logProbsOf(rows)(sequences)
              const logProbs = new Float32Array(pack.ids.length)
              const entropy = new Float32Array(pack.ids.length)
              now.forEach((one, i) => {
                logProbs.set(one.logProbs, pack.sequenceOffsets[i])
                entropy.set(one.entropy, pack.sequenceOffsets[i])
              })
              const loss = policyLoss(update.loss, { ...pack, logProbs, entropy }, {
                ...batch.normaliser,
                microBatches: packs.length
              })
              addMetrics(metrics, loss.metrics)
              sequences.forEach((ids, i) => {
                for (const { choice, position, state } of choices.get(keyOf(ids)) ?? []) {
                  const g = loss.gradLogProbs[(pack.sequenceOffsets[i] ?? 0) + position] ?? 0
                  const p = softmax(rows[state] ?? new Float64Array(turns.length))
                  const row = gradient[state]
                  if (row === undefined) continue
                  for (let k = 0; k < row.length; k++) {
                    row[k] = (row[k] ?? 0) + g * ((k === choice ? 1 : 0) - (p[k] ?? 0))
                  }
                }
              })
            }
            let norm = 0
            gradient.forEach((row, state) =>
              row.forEach((g, k) => {
                norm += g * g
                const logits = rows[state]
                if (logits !== undefined) logits[k] = (logits[k] ?? 0) - update.learningRate * g
              })
            )
            version++
            return {
              metrics: { ...metrics, "actor/grad_norm": Math.sqrt(norm), "actor/lr": update.learningRate },
              policyVersion: version
            }
          }),
        state: Effect.sync(() => ({
          info: { version },
          blobs: { rows: new Uint8Array(Float64Array.from(rows.flatMap((row) => [...row])).buffer.slice(0)) }
        })),
        restore: ({ blobs, info }) =>
          Effect.sync(() => {
            const flat = new Float64Array((blobs["rows"] ?? new Uint8Array()).slice().buffer)
            rows.forEach((row, state) => row.set(flat.subarray(state * turns.length, (state + 1) * turns.length)))
            version = typeof info === "object" && info !== null && "version" in info ? Number(info["version"]) : 0
          })
      })

      const reference = ReferencePolicy.of({ logProbs: logProbsOf(frozen) })
      return Layer.mergeAll(
        Layer.succeed(Policy, policy),
        Layer.succeed(Optimizer, optimizer),
        Layer.succeed(ReferencePolicy, reference),
        Layer.succeed(Tokenizer, tokenizer)
      )
    }).pipe(Effect.flatMap((services) => Layer.build(services)))
  ).pipe(Layer.provide(TokenizerBytes.layer))
