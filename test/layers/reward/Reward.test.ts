import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import * as Presets from "../../../src/domain/Presets.ts"
import { base } from "../../../src/domain/RunConfigDefaults.ts"
import type { RunConfig } from "../../../src/domain/RunConfigSchema.ts"
import * as RewardComposite from "../../../src/layers/reward/RewardComposite.ts"
import * as RewardConfigured from "../../../src/layers/reward/RewardConfigured.ts"
import * as RewardExactMatch from "../../../src/layers/reward/RewardExactMatch.ts"
import * as RewardF1 from "../../../src/layers/reward/RewardF1.ts"
import * as RewardFormat from "../../../src/layers/reward/RewardFormat.ts"
import * as RewardPenalties from "../../../src/layers/reward/RewardPenalties.ts"
import * as RewardSearchCost from "../../../src/layers/reward/RewardSearchCost.ts"
import * as RewardSubEm from "../../../src/layers/reward/RewardSubEm.ts"
import { Reward } from "../../../src/services/Reward.ts"
import { rewardContract } from "../../contract/reward.ts"
import { trajectoryOf, type Turn } from "../../support/trajectories.ts"

const composite = RewardComposite.layer({
  answer: { weight: 1, reward: RewardF1.layer() },
  format: { weight: 0.5, reward: RewardFormat.layer({ outcome: false, weights: { retrieval: 0.1 } }) },
  penalties: { weight: 2, reward: RewardPenalties.layer() },
  searches: { weight: 1, reward: RewardSearchCost.layer({ price: 0.01 }) }
})

rewardContract("RewardExactMatch", RewardExactMatch.layer())
rewardContract("RewardF1", RewardF1.layer())
rewardContract("RewardSubEm", RewardSubEm.layer())
rewardContract("RewardFormat", RewardFormat.layer({ weights: { retrieval: 0.1 } }))
rewardContract("RewardSearchCost", RewardSearchCost.layer({ price: 0.1 }))
rewardContract("RewardPenalties", RewardPenalties.layer())
rewardContract("RewardComposite", composite)

const configured = (changes: Partial<RunConfig["reward"]>) =>
  RewardConfigured.layer({ ...base.reward, ...changes }, Presets.fixed)

rewardContract("RewardConfigured", configured({ kind: "format", searchPrice: 0.01, noAnswerPenalty: 0.1 }))

const score = <E>(layer: Layer.Layer<Reward, E>, turns: ReadonlyArray<Turn>, goldenAnswers?: ReadonlyArray<string>) =>
  Reward.use((reward) => reward.score(trajectoryOf(turns, goldenAnswers === undefined ? {} : { goldenAnswers }))).pipe(
    Effect.provide(layer)
  )

const search = { text: "<think>a</think><search>q</search>", documents: "Paris is" }
const right = { text: "<think>b</think><answer>Paris</answer>" }
const wrong = { text: "<think>b</think><answer>Rome, not Paris</answer>" }

describe("rewards of the answer", () => {
  it.effect("score what the policy wrote", () =>
    Effect.gen(function*() {
      const em = RewardExactMatch.layer()
      assert.strictEqual((yield* score(em, [search, right])).total, 1)
      assert.strictEqual((yield* score(em, [search, wrong])).total, 0)
      assert.strictEqual((yield* score(em, [search, { text: "Paris" }])).total, 0)
      assert.strictEqual((yield* score(RewardSubEm.layer(), [search, wrong])).total, 1)
      assert.closeTo((yield* score(RewardF1.layer(), [search, wrong])).total, 0.5, 1e-12)
      assert.deepStrictEqual((yield* score(em, [search, right])).metrics, { em: 1, subEm: 1, f1: 1, answered: 1 })
    }))

  it.effect("grade the prompt in the reference's scope only (Q20)", () =>
    Effect.gen(function*() {
      const turns = [{ text: "no idea" }]
      const reference = RewardExactMatch.layer({ answerScope: "fullText" })
      assert.strictEqual((yield* score(reference, turns, ["Beijing"])).total, 1)
      assert.strictEqual((yield* score(RewardExactMatch.layer(), turns, ["Beijing"])).total, 0)
    }))
})

describe("RewardFormat", () => {
  it.effect("gives the table's rewards", () =>
    Effect.gen(function*() {
      const layer = RewardFormat.layer({ weights: { retrieval: 0.1 } })
      assert.strictEqual((yield* score(layer, [search, right])).total, 1)
      assert.closeTo((yield* score(layer, [search, wrong])).total, 0.3, 1e-12)
      assert.closeTo((yield* score(layer, [{ text: "<answer>Paris</answer>" }])).total, 0.8, 1e-12)
      assert.strictEqual((yield* score(layer, [{ text: "hello" }])).total, 0)
      const reference = RewardFormat.layer({ scopes: Presets.reference })
      assert.strictEqual((yield* score(reference, [{ text: "hello" }])).total, 0.1)
    }))
})

describe("RewardSearchCost", () => {
  it.effect("charges for executed searches beyond the free ones", () =>
    Effect.gen(function*() {
      const turns = [search, search, right]
      assert.closeTo((yield* score(RewardSearchCost.layer({ price: 0.1 }), turns)).total, -0.2, 1e-12)
      assert.closeTo((yield* score(RewardSearchCost.layer({ price: 0.1, free: 1 }), turns)).total, -0.1, 1e-12)
      assert.strictEqual((yield* score(RewardSearchCost.layer({ price: 0.1, free: 9 }), turns)).total, 0)
      // the search of a final turn that nobody executes is free
      assert.strictEqual((yield* score(RewardSearchCost.layer({ price: 0.1 }), [{ text: search.text }])).total, 0)
    }))
})

describe("RewardPenalties", () => {
  it.effect("fine a missing answer and a missing search", () =>
    Effect.gen(function*() {
      const layer = RewardPenalties.layer({ noAnswer: 0.2, noSearch: 0.1 })
      assert.strictEqual((yield* score(layer, [search, wrong])).total, 0)
      assert.strictEqual((yield* score(layer, [wrong])).total, -0.1)
      assert.strictEqual((yield* score(layer, [search, { text: "x" }])).total, -0.2)
      assert.closeTo((yield* score(layer, [{ text: "x" }])).total, -0.3, 1e-12)
    }))
})

describe("RewardComposite", () => {
  it.effect("weighs its parts", () =>
    Effect.gen(function*() {
      const { components, metrics, total } = yield* score(composite, [search, wrong])
      assert.closeTo(components["answer/f1"] ?? Number.NaN, 0.5, 1e-12)
      assert.closeTo(components["format/format"] ?? Number.NaN, 0.1, 1e-12)
      assert.closeTo(components["format/retrieval"] ?? Number.NaN, 0.05, 1e-12)
      assert.closeTo(components["searches/searchCost"] ?? Number.NaN, -0.01, 1e-12)
      assert.closeTo(total, 0.64, 1e-12)
      assert.strictEqual(metrics["searches"], 1)
    }))

  it.effect.prop(
    "is linear in the weights",
    [Schema.Finite.check(Schema.isBetween({ minimum: -10, maximum: 10 })), Schema.Literals(["Paris", "Rome"])],
    ([weight, answer]) =>
      Effect.gen(function*() {
        const turns = [search, { text: `<answer>${answer}</answer>` }]
        const single = yield* score(RewardF1.layer(), turns)
        const weighted = yield* score(
          RewardComposite.layer({
            a: { weight, reward: RewardF1.layer() },
            b: { weight: 1, reward: RewardF1.layer() }
          }),
          turns
        )
        assert.closeTo(weighted.total, (weight + 1) * single.total, 1e-9)
      })
  )
})

describe("RewardConfigured", () => {
  it.effect("is the reward of its kind, with a price and penalties where they are set", () =>
    Effect.gen(function*() {
      const totals = yield* Effect.forEach(
        [
          { kind: "exactMatch" },
          { kind: "subEm" },
          { kind: "f1" },
          { kind: "format" },
          { kind: "f1", searchPrice: 0.1 },
          { kind: "f1", searchPrice: 0.1, freeSearches: 1 },
          { kind: "f1", noAnswerPenalty: 0.1, noSearchPenalty: 0.2 }
        ] as const,
        (changes) => Effect.map(score(configured(changes), [search, wrong]), ({ total }) => total)
      )
      for (const [index, expected] of [0, 1, 0.5, 0.2, 0.4, 0.5, 0.5].entries()) {
        assert.closeTo(totals[index] ?? Number.NaN, expected, 1e-12)
      }
      const silent = yield* score(configured({ noAnswerPenalty: 0.1, noSearchPenalty: 0.2 }), [{ text: "x" }])
      assert.closeTo(silent.total, -0.3, 1e-12)
    }))
})
