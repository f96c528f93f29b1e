/** What is drawn has the distribution that the logits and the settings say, on every device. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ModelConfig } from "../../../../src/domain/ModelConfig.ts"
import { elements, embedding, finalNorm, outputHead, tensors } from "../../../../src/domain/ModelTensors.ts"
import { greedy, onPolicy, type Sampling } from "../../../../src/domain/Sampling.ts"
import * as Network from "../../../../src/layers/policy/engine/Network.ts"
import * as Scheduler from "../../../../src/layers/policy/engine/Scheduler.ts"
import * as Scoring from "../../../../src/layers/policy/engine/Scoring.ts"
import { Device } from "../../../../src/services/Device.ts"
import type { Generation } from "../../../../src/services/Policy.ts"
import { samplingDistribution } from "../../../contract/reference.ts"
import { byteTokenizer, devices } from "./fixtures.ts"

/** The tokenizer has no text for the last ids: the embedding is padded. */
const [known, vocabulary] = [40, 48] as const

const config = new ModelConfig({
  architecture: "llama",
  vocabularySize: vocabulary,
  hiddenSize: 4,
  intermediateSize: 4,
  layers: 1,
  heads: 1,
  keyValueHeads: 1,
  headDim: 2,
  maxPositions: 128,
  slidingWindow: null,
  rmsNormEps: 1e-6,
  ropeTheta: 10_000,
  ropeScaling: null,
  tieWordEmbeddings: false,
  attentionBias: false,
  bosTokenIds: [],
  eosTokenIds: [],
  padTokenId: null,
  precision: "float32",
  others: {}
})

/** Logits between -2 and 2, the greatest at an id that the tokenizer lacks. */
const logits = Float64Array.from({ length: vocabulary }, (_, id) => id === 44 ? 2.5 : 2 * Math.sin(1 + 7 * id * id))

/** A model that has the same logits whatever it has read, so that 100,000 draws are of one distribution. */
const weights = Stream.fromIterable(
  tensors(config).map(({ name, shape }) => {
    const data = new Float32Array(elements(shape))
    if (name === embedding || name === finalNorm || name.endsWith("layernorm.weight")) data.fill(1)
    // The hidden state is all ones but for the norm's epsilon.
    if (name === outputHead) data.set(Float32Array.from(data, (_, i) => logits[Math.floor(i / 4)]! / 4))
    return { name, shape, data }
  })
)

const softmax = (values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const total = values.reduce((sum, value) => sum + Math.exp(value), 0)
  return values.map((value) => Math.exp(value) / total)
}

const distribution = ({ temperature, topK, topP }: Sampling): ReadonlyArray<number> => [
  ...samplingDistribution(logits.slice(0, known), temperature, topK, topP)
]

const settings = [
  ["temperature 1", onPolicy],
  ["temperature 0.7", { temperature: 0.7, topK: 0, topP: 1 }],
  ["top-k", { temperature: 1, topK: 7, topP: 1 }],
  ["top-p", { temperature: 1, topK: 0, topP: 0.6 }],
  ["temperature 1.3, top-k and top-p", { temperature: 1.3, topK: 20, topP: 0.8 }]
] as const

const check = (what: string, sampling: Sampling, drawn: ReadonlyArray<Generation>) => {
  const expected = distribution(sampling)
  const model = softmax([...logits])
  const counts = new Float64Array(vocabulary)
  let draws = 0
  let worst = 0
  for (const { ids, logProbs, modelLogProbs } of drawn) {
    ids.forEach((id, i) => {
      counts[id]!++
      draws++
      const own = Math.abs(logProbs[i]! - Math.log(expected[id] ?? 0))
      worst = Math.max(worst, own, Math.abs(modelLogProbs[i]! - Math.log(model[id]!)))
    })
  }
  // Infinite where an id was drawn that has no probability.
  assert.isBelow(worst, 1e-4, `${what}: log-probabilities`)
  const chiSquare = expected.reduce(
    (sum, p, id) => p === 0 ? sum : sum + (counts[id]! - draws * p) ** 2 / (draws * p),
    0
  )
  const freedom = expected.filter((p) => p > 0).length - 1
  // Five standard deviations above the mean; the seeds are fixed, so the draws are, too.
  assert.isBelow(
    chiSquare,
    freedom + 5 * Math.sqrt(2 * freedom),
    `${what}: chi-square with ${freedom} degrees of freedom`
  )
  return draws
}

for (const device of devices) {
  describe.skipIf(device.absent !== undefined)(`sampling on ${device.name}`, () => {
    const draw = Effect.fnUntraced(function*(sessions: number, samplingOf: (session: number) => Sampling) {
      const network = yield* Network.make(config, weights)
      const scheduler = yield* Scheduler.make(yield* Device, network, byteTokenizer(known), () => 0, {
        maxSequences: sessions,
        cacheTokens: sessions * 64
      })
      return yield* Effect.forEach(
        Array.from({ length: sessions }, (_, i) => i),
        Effect.fnUntraced(function*(i) {
          const session = yield* scheduler.session({
            promptKey: "p",
            sample: i,
            ids: Int32Array.of(0),
            seed: `seed ${i}`
          })
          return yield* session.generate({ maxTokens: 40, sampling: samplingOf(i), stop: [] })
        }, Effect.scoped),
        { concurrency: "unbounded" }
      )
    })

    // Plain JavaScript runs the operations that TensorFlow runs, far more slowly.
    const sessions = device.name === "DeviceCpu" ? 500 : 2500

    it.effect(
      `draws ${sessions * 40} tokens from the softmax, none that the tokenizer lacks`,
      () =>
        Effect.gen(function*() {
          const drawn = yield* draw(sessions, () => onPolicy)
          assert.strictEqual(check("on policy", onPolicy, drawn), sessions * 40)
        }).pipe(Effect.provide(device.layer)),
      60_000
    )

    it.effect(
      "draws from what temperature, top-k and top-p leave, each session by its own",
      () =>
        Effect.gen(function*() {
          const drawn = yield* draw(sessions / 2, (i) => settings[i % settings.length]![1])
          settings.forEach(([what, sampling], s) => {
            check(what, sampling, drawn.filter((_, i) => i % settings.length === s))
          })
        }).pipe(Effect.provide(device.layer)),
      60_000
    )

    it.effect("takes the likeliest id that the tokenizer has", () =>
      Effect.gen(function*() {
        const device = yield* Device
        const network = yield* Network.make(config, weights)
        const scheduler = yield* Scheduler.make(device, network, byteTokenizer(known), () => 0)
        const ids = Int32Array.of(3, 44)
        const session = yield* scheduler.session({ promptKey: "p", sample: 0, ids, seed: "s" })
        const generation = yield* session.generate({ maxTokens: 2, sampling: greedy, stop: [] })
        const best = Array.from(logits.slice(0, known)).reduce(
          (best, value, id, all) => value > all[best]! ? id : best,
          0
        )
        assert.deepStrictEqual([...generation.ids], [best, best])
        // Scores count all ids in, those of the padding as well.
        const [scores, single] = yield* Scoring.logProbs(
          device,
          network,
          [Int32Array.of(3, 44, best), Int32Array.of(3)],
          { temperature: 1, maxTokens: 64 }
        )
        assert.closeTo(scores!.logProbs[1]!, Math.log(softmax([...logits])[44]!), 1e-4)
        assert.closeTo(scores!.logProbs[2]!, generation.modelLogProbs[0]!, 1e-4)
        assert.deepStrictEqual(single, { logProbs: new Float32Array(1), entropy: new Float32Array(1) })
      }).pipe(Effect.scoped, Effect.provide(device.layer)))
  })
}
