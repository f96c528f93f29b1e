import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as Batch from "../../src/domain/Batch.ts"
import * as Loss from "../../src/domain/Loss.ts"
import * as MicroBatch from "../../src/domain/MicroBatch.ts"
import * as Prng from "../../src/domain/Prng.ts"
import * as TokenMask from "../../src/domain/TokenMask.ts"
import { tokenCount } from "../../src/domain/Trajectory.ts"
import { randomScored, scoredTrajectory, segmentOf, uniform } from "../support/samples.ts"

const Seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

const signalsOf = (tokens: number, prng: Prng.Prng): Batch.TokenSignals => ({
  advantages: uniform(prng, tokens, -1, 1),
  oldLogProbs: uniform(prng, tokens, -3, -0.1),
  refLogProbs: uniform(prng, tokens, -3, -0.1),
  oldValues: uniform(prng, tokens, -1, 1),
  returns: uniform(prng, tokens, -1, 1)
})

const randomSequences = (seed: number): ReadonlyArray<Batch.TrainingSequence> => {
  const prng = Prng.make(`batch/${seed}`)
  return Array.from({ length: 1 + prng.below(12) }, (_, index) => {
    const scored = randomScored(`${seed}/${index}`, `prompt-${Math.floor(index / 3)}`, index % 3)
    return Result.getOrThrow(
      Batch.sequence(scored, signalsOf(tokenCount(scored.trajectory.segments), prng), { behaviour: true })
    )
  })
}

const key = (sequence: Batch.TrainingSequence) => `${sequence.promptKey}#${sequence.sample}`

describe("TokenMask", () => {
  it("selects what the policy sampled, or everything behind the prompt, and never position 0", () => {
    const segments = [
      segmentOf("Prompt", 2),
      segmentOf("Sampled", 2),
      segmentOf("Observation", 1),
      segmentOf("Sampled", 1)
    ]
    assert.deepStrictEqual([...TokenMask.mask(segments, "loss")], [0, 0, 1, 1, 0, 1])
    assert.deepStrictEqual([...TokenMask.mask(segments, "attention")], [0, 0, 1, 1, 1, 1])
    assert.deepStrictEqual([...TokenMask.mask([segmentOf("Sampled", 2)], "loss")], [0, 1])
  })
})

describe("Prng", () => {
  it("repeats itself for a seed and for no other", () => {
    const draw = (seed: string) => {
      const prng = Prng.make(seed)
      return [prng.uint32(), prng.float(), prng.below(10)]
    }
    assert.deepStrictEqual(draw("a/1"), draw("a/1"))
    assert.notDeepEqual(draw("a/1"), draw("a/2"))
  })

  it("draws uniformly: chi-square of 100,000 draws over 16 cells", () => {
    for (const seed of ["x", "y", "z"]) {
      const prng = Prng.make(seed)
      const cells = new Float64Array(16)
      for (let draw = 0; draw < 100_000; draw++) {
        const cell = draw % 2 === 0 ? prng.below(16) : Math.floor(prng.float() * 16)
        cells[cell] = (cells[cell] ?? 0) + 1
      }
      const chiSquare = cells.reduce((sum, count) => sum + (count - 6250) ** 2 / 6250, 0)
      assert.isBelow(chiSquare, 45, "15 degrees of freedom: p < 1e-4 above 45")
    }
  })

  it("shuffles to a permutation, every position equally likely", () => {
    const counts = [0, 0, 0, 0]
    for (let round = 0; round < 4000; round++) {
      const order = Prng.shuffle(Prng.make(`shuffle/${round}`), [0, 1, 2, 3])
      assert.deepStrictEqual(order.toSorted(), [0, 1, 2, 3])
      counts[order.indexOf(0)] = (counts[order.indexOf(0)] ?? 0) + 1
    }
    counts.forEach((count) => assert.closeTo(count, 1000, 150))
  })
})

describe("Batch.sequence", () => {
  const scored = scoredTrajectory({
    promptKey: "p",
    reward: 1,
    segments: [segmentOf("Prompt", 2), segmentOf("Sampled", 2, { logProb: -0.25 }), segmentOf("Observation", 1)]
  })

  it("aligns ids, masks and signals, and takes the sampler's log-probabilities along", () => {
    const signals = signalsOf(5, Prng.make("s"))
    const sequence = Result.getOrThrow(
      Batch.sequence(scored, signals, { behaviour: true, valueScope: "attention" })
    )
    assert.deepStrictEqual([...sequence.lossMask], [0, 0, 1, 1, 0])
    assert.deepStrictEqual([...(sequence.valueMask ?? [])], [0, 0, 1, 1, 1])
    assert.deepStrictEqual([...(sequence.behaviourLogProbs ?? [])].slice(2, 4), [-0.25, -0.25])
    assert.strictEqual(sequence.advantages, signals.advantages)
  })

  it("trains on observations only where it is told to", () => {
    const sequence = Result.getOrThrow(Batch.sequence(scored, signalsOf(5, Prng.make("s")), { lossScope: "attention" }))
    assert.deepStrictEqual([...sequence.lossMask], [0, 0, 1, 1, 1])
  })

  it("refuses arrays of another length and numbers that are not finite where a loss would use them", () => {
    const signals = signalsOf(5, Prng.make("s"))
    const short = Batch.sequence(scored, { ...signals, oldLogProbs: new Float32Array(4) })
    assert.strictEqual(Result.isFailure(short) && short.failure._tag, "MisalignedTokens")
    const advantages = signals.advantages.slice()
    advantages[4] = Number.NaN
    assert.isTrue(Result.isSuccess(Batch.sequence(scored, { ...signals, advantages })))
    advantages[3] = Number.NaN
    const broken = Batch.sequence(scored, { ...signals, advantages })
    assert.isTrue(Result.isFailure(broken))
    if (Result.isFailure(broken)) {
      assert.strictEqual(broken.failure.message, "advantages of p sample 0 is not finite at token 3")
    }
  })

  it("looks at what the critic learns from where the critic learns: on observations too, if it is told so", () => {
    const signals = signalsOf(5, Prng.make("s"))
    for (const field of ["oldValues", "returns"] as const) {
      const broken = { ...signals, [field]: (signals[field] ?? new Float32Array(5)).with(4, Number.NaN) }
      assert.isTrue(Result.isSuccess(Batch.sequence(scored, broken, { valueScope: "loss" })))
      const found = Batch.sequence(scored, broken, { valueScope: "attention" })
      assert.strictEqual(
        Result.isFailure(found) && found.failure.message,
        `${field} of p sample 0 is not finite at token 4`
      )
    }
  })

  it("a demonstration is learned where its weight is not 0", () => {
    const sequence = Batch.demonstration({
      key: "d",
      ids: Int32Array.of(5, 6, 7, 8),
      weights: Float32Array.of(1, 0, 1, 0.5)
    })
    assert.deepStrictEqual([...sequence.lossMask], [0, 0, 1, 1])
    const loss = Loss.policyLoss(Loss.negativeLogLikelihood, {
      logProbs: Float32Array.of(0, -1, -2, -3),
      entropy: new Float32Array(4),
      sequenceOffsets: Int32Array.of(0, 4),
      lossMask: sequence.lossMask,
      advantages: sequence.advantages,
      oldLogProbs: sequence.oldLogProbs
    }, { ...Batch.normaliser([sequence]), microBatches: 1 })
    assert.closeTo(loss.value, (2 + 1.5) / 2, 1e-7)
  })
})

describe("Batch.miniBatches", () => {
  it.prop("every trainable sequence is in exactly one mini-batch, prompts stay together, sizes are even", [
    Seed,
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 }))
  ], ([seed, count]) => {
    const sequences = randomSequences(seed)
    const trainable = sequences.filter((sequence) => sequence.lossMask.includes(1))
    for (const unit of ["prompts", "trajectories"] as const) {
      for (const split of [{ by: "count", count } as const, { by: "size", size: count } as const]) {
        for (const shuffleSeed of [undefined, "s"]) {
          const batches = Batch.miniBatches(sequences, { unit, split, shuffleSeed })
          const members = batches.flatMap((batch) => batch.sequences.map(key))
          assert.deepStrictEqual(members.toSorted(), trainable.map(key).toSorted())
          if (shuffleSeed === undefined && unit === "trajectories") {
            assert.deepStrictEqual(members, trainable.map(key), "order is kept")
          }
          const units = batches.map((batch) =>
            unit === "trajectories"
              ? batch.sequences.length
              : new Set(batch.sequences.map((sequence) => sequence.promptKey)).size
          )
          if (unit === "prompts") {
            assert.strictEqual(
              units.reduce((a, b) => a + b, 0),
              new Set(trainable.map((sequence) => sequence.promptKey)).size,
              "no prompt is in two mini-batches"
            )
          }
          if (split.by === "count") assert.isAtMost(Math.max(0, ...units) - Math.min(...units, 1e9), 1)
          else units.slice(0, -1).forEach((size) => assert.strictEqual(size, count))
          assert.deepStrictEqual(batches, Batch.miniBatches(sequences, { unit, split, shuffleSeed }))
        }
      }
    }
  }, { arbitrary: { runs: 40 } })

  it("makes no mini-batch of nothing", () => {
    assert.deepStrictEqual(Batch.miniBatches([], { unit: "prompts", split: { by: "count", count: 4 } }), [])
  })
})

describe("MicroBatch", () => {
  it.prop("packs every sequence once, within the budget", [
    Seed,
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 })),
    Schema.Boolean
  ], ([seed, maxTokens, padded]) => {
    const sequences = randomSequences(seed)
    const parts = MicroBatch.split(sequences, { maxTokens, maxSequences: 4, padded })
    assert.deepStrictEqual(parts.flat().map(key).toSorted(), sequences.map(key).toSorted())
    for (const part of parts) {
      const lengths = part.map((sequence) => sequence.ids.length)
      const cost = padded ? Math.max(...lengths) * lengths.length : lengths.reduce((a, b) => a + b, 0)
      assert.isTrue(part.length === 1 || cost <= maxTokens)
      assert.isAtMost(part.length, 4)
      const packed = MicroBatch.pack(part)
      part.forEach((sequence, index) => {
        const [start, end] = [packed.sequenceOffsets[index], packed.sequenceOffsets[index + 1]]
        assert.deepStrictEqual(packed.ids.slice(start, end), sequence.ids)
        assert.deepStrictEqual(packed.lossMask.slice(start, end), sequence.lossMask)
        assert.deepStrictEqual(packed.refLogProbs?.slice(start, end), sequence.refLogProbs)
        assert.deepStrictEqual(packed.returns?.slice(start, end), sequence.returns)
      })
    }
  }, { arbitrary: { runs: 40 } })

  it.prop("gradient accumulation is exact: the loss and gradient do not depend on the cut", [
    Seed,
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 }))
  ], ([seed, maxTokens]) => {
    const batch = Batch.miniBatch(randomSequences(seed))
    for (const aggregation of ["tokenMean", "seqMean", "fixedLength"] as const) {
      const config: Loss.LossConfig = { ...Loss.ppo, aggregation, klCoefficient: 0.1, lldsCoefficient: 0.2 }
      const total = (budget: number) => {
        const micro = MicroBatch.microBatches(batch, { maxTokens: budget })
        const gradient: Array<number> = []
        const metrics: Record<string, number> = {}
        let value = 0
        for (const packed of micro) {
          const logProbs = packed.oldLogProbs.map((old, index) => old - 0.3 + 0.01 * ((packed.ids[index] ?? 0) % 50))
          const loss = Loss.policyLoss(
            config,
            { ...packed, logProbs, entropy: new Float32Array(logProbs.length).fill(0.5) },
            { ...batch.normaliser, microBatches: micro.length }
          )
          value += loss.value
          gradient.push(...loss.gradLogProbs)
          Loss.addMetrics(metrics, loss.metrics)
        }
        return { value, gradient, metrics }
      }
      const [whole, cut] = [total(1e9), total(maxTokens)]
      assert.closeTo(cut.value, whole.value, 1e-9)
      assert.deepStrictEqual(cut.gradient, whole.gradient)
      for (const [name, metric] of Object.entries(whole.metrics)) {
        assert.closeTo(cut.metrics[name] ?? Number.NaN, metric, 1e-9, name)
      }
    }
  }, { arbitrary: { runs: 30 } })
})
