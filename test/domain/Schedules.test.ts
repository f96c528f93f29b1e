import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as KlController from "../../src/domain/KlController.ts"
import * as LearningRate from "../../src/domain/LearningRate.ts"
import golden from "../golden/numpy/kl-controller.json" with { type: "json" }

describe("KlController", () => {
  const adaptive: KlController.KlController = { kind: "adaptive", target: 6, horizon: 10_000 }

  it("adaptive: the reference's golden value (A.5)", () => {
    assert.closeTo(KlController.next(adaptive, 0.001, { kl: 12, trajectories: 512 }), 0.00101024, 1e-12)
  })

  it("adaptive: NumPy's values on both sides of the target and beyond the bounds", () => {
    for (const { coefficient, expected, horizon, kl, target, trajectories } of golden.cases) {
      const next = KlController.next({ kind: "adaptive", target, horizon }, coefficient, { kl, trajectories })
      assert.closeTo(next, expected, 1e-8 * expected)
    }
  })

  it("moves towards the target and keeps still on it, on NaN, and when fixed", () => {
    assert.isBelow(KlController.next(adaptive, 1, { kl: 5.9, trajectories: 10 }), 1)
    assert.strictEqual(KlController.next(adaptive, 1, { kl: 6, trajectories: 10 }), 1)
    assert.strictEqual(KlController.next(adaptive, 1, { kl: Number.NaN, trajectories: 10 }), 1)
    assert.strictEqual(KlController.next({ ...adaptive, kind: "fixed" }, 1, { kl: 60, trajectories: 10 }), 1)
  })
})

describe("LearningRate", () => {
  const run = (schedule: Partial<LearningRate.Schedule>, start: 0 | 1, totalSteps: number) =>
    Array.from(
      { length: totalSteps },
      (_, step) =>
        LearningRate.at({ ...LearningRate.constant, ...schedule }, { learningRate: 1, step, totalSteps, start })
    )

  it("warm-up lengths of the scripts (4.9)", () => {
    const steps = (warmupRatio: number, totalSteps: number) =>
      LearningRate.warmupSteps({ ...LearningRate.constant, warmupRatio }, totalSteps)
    assert.deepStrictEqual([steps(0.285, 1005), steps(0.015, 1005), steps(0.95, 305), steps(0.05, 305)], [
      286,
      15,
      289,
      15
    ])
  })

  it("the reference's first step has the rate 0, with and without warm-up; the fixed one does not", () => {
    assert.deepStrictEqual(run({}, 0, 3), [0, 1, 1])
    assert.deepStrictEqual(run({ warmupSteps: 4 }, 0, 6), [0, 0.25, 0.5, 0.75, 1, 1])
    assert.deepStrictEqual(run({}, 1, 3), [1, 1, 1])
    assert.deepStrictEqual(run({ warmupSteps: 4 }, 1, 6), [0.25, 0.5, 0.75, 1, 1, 1])
  })

  it("decays begin at the full rate and reach the floor at the end of the run, no sooner", () => {
    const linear = run({ kind: "linear", minRatio: 0.05 }, 1, 10)
    assert.strictEqual(linear[0], 1)
    assert.closeTo(linear[9] ?? 0, 0.05 + 0.95 / 10, 1e-12)
    const cosine = run({ kind: "cosine" }, 0, 5)
    assert.closeTo(cosine[0] ?? 9, 0, 1e-12)
    assert.closeTo(cosine[1] ?? 0, 0.5 * (1 + Math.cos(Math.PI / 5)), 1e-12)
  })

  it.prop("is between 0 and the full rate, rises in the warm-up and never rises behind it", [
    Schema.Literals(["constant", "linear", "cosine"]),
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 })),
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
    Schema.Literals([0, 1])
  ], ([kind, totalSteps, warmupRatio, start]) => {
    const rates = run({ kind, warmupRatio, minRatio: 0.1 }, start, totalSteps)
    const warmup = Math.max(1, Math.floor(warmupRatio * totalSteps))
    rates.forEach((rate, step) => {
      assert.isTrue(rate >= 0 && rate <= 1)
      const before = rates[step - 1]
      if (before === undefined) return
      if (step + start <= warmup) assert.isAtLeast(rate, before)
      else assert.isAtMost(rate, before)
    })
  })
})
