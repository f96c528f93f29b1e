import { assert, describe, it } from "@effect/vitest"
import { evaluationText } from "../../src/cli/trainView.ts"
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
    assert.strictEqual(text, "EM .50 of 10  (1 hop .75, 2 hop .13)  searches 2.50")
  })

  it("names data sources where there are several, and what failed", () => {
    const dataSources = { nq: scores(6, 0.75), hotpotqa: scores(4, 0.125) }
    const text = evaluationText({ ...evaluation, dataSources, failed: 2 })
    assert.strictEqual(text, "EM .50 of 10  (nq .75, hotpotqa .13)  searches 2.50  failed 2")
  })
})
