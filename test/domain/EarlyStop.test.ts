import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as EarlyStop from "../../src/domain/EarlyStop.ts"
import { base } from "../../src/domain/RunConfigDefaults.ts"

const config = { ...base.earlyStop, patience: 3, maxSkippedUpdates: 3 }

const good: EarlyStop.Observed = {
  meanReward: 1,
  validActionRatio: 1,
  gradNorm: 1,
  kl: 0.1,
  learned: true,
  skipped: [false]
}

const bad = { ...good, meanReward: 0.4 }

/** Why each of the steps would end the run, or null. */
const verdicts = (steps: ReadonlyArray<EarlyStop.Observed>, settings = config) => {
  let state = EarlyStop.initial
  return steps.map((seen) => {
    const verdict = EarlyStop.next(settings, state, seen)
    state = verdict.state
    return verdict.reason
  })
}

describe("early stopping", () => {
  it("waits for as many steps in a row as its patience says: one good step begins anew", () => {
    assert.deepStrictEqual(verdicts([good, bad, bad, good, bad, bad, good]), Array.from({ length: 7 }, () => null))
    assert.deepStrictEqual(verdicts([good, bad, bad, bad]), [
      null,
      null,
      null,
      "for 3 steps: the mean reward fell to 0.400 from 1.000"
    ])
  })

  it.each<readonly [string, Partial<EarlyStop.Observed>, string]>([
    ["reward", { meanReward: 0.49 }, "the mean reward fell to 0.490 from 1.000"],
    ["valid actions", { validActionRatio: 0.19 }, "only 19 % of the turns hold a valid action"],
    ["gradient", { gradNorm: 10.5 }, "the gradient's norm is 10.5"],
    ["divergence", { kl: 2.5 }, "the divergence from the reference policy is 2.50"],
    ["updates", { learned: false }, "nothing was updated"]
  ])("sees a sign in the %s", (_, part, sign) => {
    const strict = { ...config, patience: 1, minValidActions: 0.2, maxGradNorm: 10, maxKl: 2 }
    assert.deepStrictEqual(verdicts([good, { ...good, ...part }], strict), [null, `for 1 step: ${sign}`])
    assert.deepStrictEqual(verdicts([good, { ...good, ...part }], { ...strict, enabled: false }), [null, null])
  })

  it("sees no sign in what was not measured, or is at its limit", () => {
    const strict = { ...config, patience: 1, minValidActions: 0.2, maxGradNorm: 10, maxKl: 2 }
    const nothing = { ...good, meanReward: null, validActionRatio: null, gradNorm: null, kl: null }
    const limits = { ...good, meanReward: 0.5, validActionRatio: 0.2, gradNorm: 10, kl: 2 }
    assert.deepStrictEqual(verdicts([good, nothing, limits], strict), [null, null, null])
    // a run that never earned anything cannot lose it
    const poor = { ...good, meanReward: 0 }
    assert.deepStrictEqual(verdicts([poor, poor], strict), [null, null])
  })

  it("counts updates without a finite gradient across steps", () => {
    const skipping = (...skipped: ReadonlyArray<boolean>) => ({ ...good, skipped })
    assert.deepStrictEqual(
      verdicts([skipping(true, true), skipping(false, true), skipping(true), skipping(true, false)]),
      [null, null, null, null]
    )
    assert.strictEqual(
      verdicts([skipping(true, true), skipping(true)])[1],
      "3 updates in a row had no finite gradient"
    )
  })

  it("is remembered by checkpoints", () => {
    const { state } = EarlyStop.next(config, EarlyStop.next(config, EarlyStop.initial, good).state, bad)
    assert.deepStrictEqual(state, { bestReward: 1, signs: 1, skipped: 0 })
    assert.deepStrictEqual(Schema.decodeUnknownSync(EarlyStop.EarlyStopState)(state), state)
  })
})
