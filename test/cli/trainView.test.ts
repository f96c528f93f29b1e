import { assert, describe, it } from "@effect/vitest"
import { plain } from "../../src/cli/style.ts"
import { evaluationText, stepText } from "../../src/cli/trainView.ts"
import type { Evaluation, Scores } from "../../src/programs/Evaluate.ts"

const scores = (n: number, em: number): Scores => ({ n, em, subEm: em, f1: em, passAt: em, answered: 1, searches: 2.5 })

const evaluation: Evaluation = {
  total: scores(10, 0.5),
  failed: 0,
  failures: {},
  dataSources: { nq: scores(6, 0.75) },
  hops: {}
}

describe("the line of an evaluation", () => {
  it("names hops where questions have them", () => {
    assert.strictEqual(evaluationText(evaluation), "EM .50 of 10  searches 2.50")
    const text = evaluationText({ ...evaluation, hops: { 1: scores(6, 0.75), 2: scores(4, 0.125) } })
    assert.strictEqual(text, "EM .50 of 10  (1 hop .75, 2 hops .13)  searches 2.50")
  })

  it("names data sources where there are several, and what failed", () => {
    const dataSources = { nq: scores(6, 0.75), hotpotqa: scores(4, 0.125) }
    const text = evaluationText({ ...evaluation, dataSources, failed: 2 })
    assert.strictEqual(text, "EM .50 of 10  (nq .75, hotpotqa .13)  searches 2.50  failed 2")
  })
})

describe("the line of a step", () => {
  const line = (metrics: Record<string, number>, steps = 2) =>
    stepText(
      {
        step: 1,
        steps,
        metrics: { "answer/em": 0.5, ...metrics },
        evaluation: null,
        failures: {},
        trajectories: [],
        seconds: { rollout: 1, prepare: 0, update: 0, total: 1 },
        retries: 0,
        learned: true,
        advice: [],
        stopped: null
      },
      1,
      plain
    )

  it("says what the numbers behind exact match are, and leaves them out where hops are unknown", () => {
    assert.include(
      line({ "answer/em_hops/1": 0.75, "answer/em_hops/2": 0.125 }),
      "  EM .50 (1 hop .75, 2 hops .13)  searches "
    )
    assert.include(line({}), "  EM .50  searches ")
  })
})
