import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as Advantage from "../../src/domain/Advantage.ts"
import { discountedReturns, gae } from "../../src/domain/Gae.ts"
import * as OutcomeAdvantage from "../../src/domain/OutcomeAdvantage.ts"
import * as Prng from "../../src/domain/Prng.ts"
import { EmptyMask, maskedMean, moments, whiten } from "../../src/domain/Statistics.ts"
import * as TokenMask from "../../src/domain/TokenMask.ts"
import { tokenCount } from "../../src/domain/Trajectory.ts"
import { randomScored, scoredTrajectory, segmentOf, uniform } from "../support/samples.ts"

const Seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

const assertClose = (actual: ArrayLike<number>, expected: ReadonlyArray<number>, tolerance = 2e-6): void => {
  assert.strictEqual(actual.length, expected.length)
  expected.forEach((value, index) => assert.closeTo(actual[index] ?? Number.NaN, value, tolerance, `[${index}]`))
}

const A3 = {
  rewards: [[0, 0, 0, 1, 0], [0, 0, 0.5, 0, 0]],
  values: [[0.1, 0.2, 0.3, 0.4, 0.7], [0.5, 0.1, 0.2, 0.9, 0]],
  mask: Uint8Array.of(1, 1, 1, 1, 0, 1, 1, 1, 0, 0)
}

const referenceGae = (gamma: number, lambda: number) => {
  const rows = A3.rewards.map((rewards, row) => gae({ rewards, values: A3.values[row] ?? [], gamma, lambda }))
  const raw = rows.flatMap((row) => [...row.advantages])
  return {
    raw,
    returns: rows.flatMap((row) => [...row.returns]),
    whitened: Result.getOrThrow(whiten(raw, A3.mask))
  }
}

describe("Advantage: golden vectors of the reference", () => {
  it("GAE over all columns, gamma = lambda = 1 (A.3)", () => {
    const { raw, returns, whitened } = referenceGae(1, 1)
    assertClose(raw, [0.9, 0.8, 0.7, 0.6, -0.7, 0, 0.4, 0.3, -0.9, 0])
    assertClose(returns, [1, 1, 1, 1, 0, 0.5, 0.5, 0.5, 0, 0])
    assertClose(whitened, [
      1.180194,
      0.862449,
      0.544705,
      0.226961,
      -3.903717,
      -1.679506,
      -0.408529,
      -0.726273,
      -4.539206,
      -1.679506
    ])
  })

  it("GAE over all columns, gamma .99, lambda .95 (A.3)", () => {
    const { raw, whitened } = referenceGae(0.99, 0.95)
    assertClose(raw, [0.802116, 0.748662, 0.692888, 0.63465, -0.7, -0.004063, 0.422049, 0.34455, -0.9, 0])
    assertClose(whitened, [
      0.986846,
      0.79978,
      0.6046,
      0.400794,
      -4.269845,
      -1.834396,
      -0.343207,
      -0.614418,
      -4.96975,
      -1.820179
    ])
  })

  it("whiten transforms what the mask leaves out too (A.3)", () => {
    assertClose(Result.getOrThrow(whiten([1, 2, 3, 10], Uint8Array.of(1, 1, 1, 0))), [-1, 0, 1, 8])
  })

  it("GRPO with sample deviation; a group of one has mean 0 and deviation 1 (A.4)", () => {
    const scores = [1, 0, 1, 0, 0.3, 0, 1, 1, 0, 0, 0, 2, 2]
    const keys = ["a", "a", "b", "a", "c", "a", "d", "d", "d", "d", "d", "e", "e"]
    assertClose(
      OutcomeAdvantage.grpo(scores, keys),
      [
        1.499997,
        -0.499999,
        0.999999,
        -0.499999,
        0.3,
        -0.499999,
        1.095443,
        1.095443,
        -0.730295,
        -0.730295,
        -0.730295,
        0,
        0
      ]
    )
  })
})

describe("Statistics", () => {
  it("an empty mask is a typed failure, not NaN", () => {
    const empty = maskedMean([1, 2], Uint8Array.of(0, 0))
    assert.deepStrictEqual(empty, Result.fail(new EmptyMask({ statistic: "mean", selected: 0, needed: 1 })))
    const alone = moments([[1, 2]], [Uint8Array.of(0, 1)])
    assert.deepStrictEqual(alone, Result.fail(new EmptyMask({ statistic: "variance", selected: 1, needed: 2 })))
    assert.deepStrictEqual(maskedMean([1, 3, 9], Uint8Array.of(1, 1, 0)), Result.succeed(2))
  })
})

describe("OutcomeAdvantage", () => {
  it.prop("group estimators: leave-one-out, centring and shifts", [Seed], ([seed]) => {
    const prng = Prng.make(`outcome/${seed}`)
    const scores = Array.from({ length: 2 + prng.below(10) }, () => prng.below(5) / 4)
    const keys = scores.map(() => `g${prng.below(3)}`)
    const rloo = OutcomeAdvantage.rloo(scores, keys)
    const drGrpo = OutcomeAdvantage.drGrpo(scores, keys)
    const shifted = OutcomeAdvantage.grpo(scores.map((score) => score + 3), keys)
    const grpo = OutcomeAdvantage.grpo(scores, keys)
    for (const group of OutcomeAdvantage.groupsOf(keys)) {
      for (const index of group) {
        const others = group.filter((other) => other !== index).map((other) => scores[other] ?? 0)
        const baseline = others.length === 0 ? 0 : others.reduce((a, b) => a + b) / others.length
        assert.closeTo(rloo[index] ?? Number.NaN, (scores[index] ?? 0) - baseline, 1e-9)
        if (others.length > 0) assert.closeTo(shifted[index] ?? Number.NaN, grpo[index] ?? 0, 1e-6)
      }
      if (group.length > 1) {
        assert.closeTo(group.reduce((sum, index) => sum + (drGrpo[index] ?? 0), 0), 0, 1e-9)
        assert.closeTo(group.reduce((sum, index) => sum + (grpo[index] ?? 0), 0), 0, 1e-6)
      }
    }
  }, { arbitrary: { runs: 50 } })

  it("REINFORCE keeps the score or takes the batch's mean off", () => {
    assertClose(OutcomeAdvantage.reinforce([1, 0, 0.5], "none"), [1, 0, 0.5])
    assertClose(OutcomeAdvantage.reinforce([1, 0, 0.5], "batchMean"), [0.5, -0.5, 0])
  })
})

const batchOf = (seed: number) =>
  Array.from({ length: 6 }, (_, index) => randomScored(`${seed}/${index}`, `p${index % 2}`, index))

const lengthsOf = (batch: ReturnType<typeof batchOf>) => batch.map((one) => tokenCount(one.trajectory.segments))

const config = (changes: Partial<Advantage.AdvantageConfig>): Advantage.AdvantageConfig => ({
  ...Advantage.grpo,
  ...changes
})

describe("Advantage.estimate", () => {
  it.prop("aligns with the tokens and is 0 where nothing is learned, whatever the estimator", [Seed], ([seed]) => {
    const batch = batchOf(seed)
    const prng = Prng.make(`estimate/${seed}`)
    const inputs = {
      values: lengthsOf(batch).map((tokens) => uniform(prng, tokens, -1, 1)),
      logProbs: lengthsOf(batch).map((tokens) => uniform(prng, tokens, -3, 0)),
      refLogProbs: lengthsOf(batch).map((tokens) => uniform(prng, tokens, -3, 0))
    }
    for (const estimator of Advantage.Estimator.literals) {
      const estimate = Advantage.estimate(
        config({ estimator, rewardKl: { coefficient: 0.1, estimator: "k1", clamp: "pre20" } }),
        batch,
        inputs
      )
      if (Result.isFailure(estimate)) {
        assert.strictEqual(estimate.failure._tag, "EmptyMask")
        continue
      }
      batch.forEach((scored, index) => {
        const mask = TokenMask.mask(scored.trajectory.segments, "loss")
        const advantages = estimate.success.advantages[index] ?? new Float32Array()
        assert.strictEqual(advantages.length, mask.length)
        advantages.forEach((value, position) => {
          assert.isTrue(Number.isFinite(value))
          if (mask[position] === 0) assert.strictEqual(Math.abs(value), 0)
        })
      })
      assert.isTrue(Object.values(estimate.success.metrics).every(Number.isFinite))
    }
  }, { arbitrary: { runs: 30 } })

  it.prop("observations change nothing for the policy's tokens in the fixed scope", [Seed], ([seed]) => {
    const prng = Prng.make(`scope/${seed}`)
    const [first, second] = [1 + prng.below(4), 1 + prng.below(4)]
    const values = uniform(prng, 3 + first + second, -1, 1)
    const reward = prng.float()
    const run = (observation: number) => {
      const scored = scoredTrajectory({
        promptKey: "p",
        reward,
        segments: [
          segmentOf("Prompt", 3),
          segmentOf("Sampled", first),
          segmentOf("Observation", observation),
          segmentOf("Sampled", second)
        ]
      })
      const spread = Float32Array.of(
        ...values.subarray(0, 3 + first),
        ...uniform(prng, observation, -50, 50),
        ...values.subarray(3 + first)
      )
      const estimate = Result.getOrThrow(
        Advantage.estimate(config({ estimator: "gae", gamma: 0.9, lambda: 0.8 }), [scored], { values: [spread] })
      )
      const mask = TokenMask.mask(scored.trajectory.segments, "loss")
      const select = (rows: ReadonlyArray<Float32Array>) => [...(rows[0] ?? [])].filter((_, at) => mask[at] === 1)
      return [select(estimate.advantages), select(estimate.returns)]
    }
    const [without, withObservation] = [run(0), run(7)]
    assertClose(withObservation[0] ?? [], without[0] ?? [], 1e-5)
    assertClose(withObservation[1] ?? [], without[1] ?? [], 1e-5)
  }, { arbitrary: { runs: 30 } })

  it("the reference's scope takes observations as time steps", () => {
    const scored = scoredTrajectory({
      promptKey: "p",
      reward: 1,
      segments: [segmentOf("Prompt", 1), segmentOf("Sampled", 1), segmentOf("Observation", 2), segmentOf("Sampled", 1)]
    })
    const values = Float32Array.of(9, 0.1, 0.2, 0.3, 0.4)
    const estimate = Result.getOrThrow(
      Advantage.estimate(
        config({ estimator: "gae", gamma: 0.5, gaeScope: "attention", whitenMask: "attention" }),
        [scored],
        { values: [values] }
      )
    )
    assertClose(estimate.returns[0] ?? [], [0, 0.125, 0.25, 0.5, 1])
    assert.strictEqual(Math.abs(estimate.advantages[0]?.[2] ?? Number.NaN), 0)
  })

  it("puts the KL penalty into the reward (4.3)", () => {
    const scored = scoredTrajectory({
      promptKey: "p",
      reward: 1,
      segments: [segmentOf("Prompt", 1), segmentOf("Sampled", 2), segmentOf("Observation", 1)]
    })
    const estimate = Result.getOrThrow(Advantage.estimate(
      config({ estimator: "reinforce", rewardKl: { coefficient: 0.1, estimator: "k1", clamp: "pre20" } }),
      [scored],
      { logProbs: [Float32Array.of(0, -1, -2, 5)], refLogProbs: [Float32Array.of(0, -1.5, -4, -5)] }
    ))
    assertClose(estimate.advantages[0] ?? [], [0, 0.75, 0.75, 0])
    assert.closeTo(estimate.metrics["critic/kl"] ?? Number.NaN, 1.25, 1e-6)
    assert.closeTo(estimate.metrics["critic/rewards/mean"] ?? Number.NaN, 0.75, 1e-6)
    assert.strictEqual(estimate.metrics["critic/score/mean"], 1)
  })

  it("REINFORCE++ normalises token-level returns over the batch", () => {
    assertClose(discountedReturns([0, 0.5, 7, 1], 0.5, Uint8Array.of(0, 1, 0, 1)), [0, 1, 0, 1])
    const one = (sample: number, reward: number) =>
      scoredTrajectory({
        promptKey: "p",
        sample,
        reward,
        segments: [
          segmentOf("Prompt", 1),
          segmentOf("Sampled", 1),
          segmentOf("Observation", 1),
          segmentOf("Sampled", 1)
        ]
      })
    const { advantages, returns } = Result.getOrThrow(
      Advantage.estimate(config({ estimator: "reinforce++", gamma: 0.5 }), [one(0, 1), one(1, 0)])
    )
    assertClose(returns[0] ?? [], [0, 0.5, 0, 1])
    assertClose(returns[1] ?? [], [0, 0, 0, 0])
    // .5, 1, 0, 0 have the mean .375 and the sample variance .6875 / 3
    const deviation = Math.sqrt(0.6875 / 3)
    assertClose(advantages[0] ?? [], [0, 0.125 / deviation, 0, 0.625 / deviation])
    assertClose(advantages[1] ?? [], [0, -0.375 / deviation, 0, -0.375 / deviation])
  })

  it("groups by the prompt's instance, or by the index in the question's id as the reference does (Q30)", () => {
    const member = (promptKey: string, questionId: string, reward: number) =>
      scoredTrajectory({ promptKey, questionId, reward, segments: [segmentOf("Prompt", 1), segmentOf("Sampled", 1)] })
    const batch = [member("nq/12", "test_12", 1), member("hotpotqa/12", "dev-12", 0), member("x", "no number", 1)]
    const last = (groupKey: Advantage.AdvantageConfig["groupKey"]) =>
      Result.getOrThrow(Advantage.estimate(config({ estimator: "dr-grpo", groupKey }), batch)).advantages.map((row) =>
        row[1]
      )
    assert.deepStrictEqual(last("promptInstance"), [1, 0, 1])
    assert.deepStrictEqual(last("index"), [0.5, -0.5, 1])
    assert.strictEqual(Advantage.groupKeyOf(member("x", "no number", 1), "index"), "0")
    // a data set's name may hold a number, too
    assert.strictEqual(Advantage.groupKeyOf(member("x", "2wiki_test_12", 1), "index"), "12")
  })

  it("dynamic sampling keeps groups that teach something", () => {
    const member = (promptKey: string, sample: number, reward: number) =>
      scoredTrajectory({ promptKey, sample, reward, segments: [segmentOf("Prompt", 1), segmentOf("Sampled", 1)] })
    const batch = [member("a", 0, 1), member("b", 0, 0), member("a", 1, 1), member("b", 1, 1), member("c", 0, 0)]
    assert.deepStrictEqual(Advantage.informative(batch).map((one) => one.trajectory.promptKey), ["b", "b", "c"])
  })

  it("says what is missing or misaligned", () => {
    const batch = batchOf(1)
    const missing = Advantage.estimate(config({ estimator: "gae" }), batch)
    assert.isTrue(Result.isFailure(missing))
    if (Result.isFailure(missing)) {
      assert.strictEqual(missing.failure.message, "gae needs values for every trajectory")
    }
    const misaligned = Advantage.estimate(config({ estimator: "gae" }), batch, {
      values: batch.map(() => new Float32Array(1))
    })
    assert.strictEqual(Result.isFailure(misaligned) && misaligned.failure._tag, "MisalignedTokens")
    const empty = Advantage.estimate(config({ estimator: "reinforce++" }), [])
    assert.strictEqual(Result.isFailure(empty) && empty.failure._tag, "EmptyMask")
    assert.isTrue(Result.isSuccess(Advantage.estimate(Advantage.grpo, [])))
  })
})
