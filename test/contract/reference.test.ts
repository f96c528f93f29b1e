/** The float64 definitions that devices are held against, held against other implementations themselves. */
import { assert, describe, it } from "@effect/vitest"
import warpers from "../fixtures/warpers.json" with { type: "json" }
import adamWGolden from "../golden/numpy/adam-w.json" with { type: "json" }
import tokenGolden from "../golden/numpy/token-log-prob.json" with { type: "json" }
import { adamW, from, samplingDistribution, tokenLogProb } from "./reference.ts"

describe("the sampling distribution", () => {
  // TemperatureLogitsWarper, TopKLogitsWarper and TopPLogitsWarper in the order of generate.
  for (const { probabilities, temperature, topK, topP } of warpers.cases) {
    it(`is that of transformers 5.23: temperature ${temperature}, top-k ${topK}, top-p ${topP}`, () => {
      const found = samplingDistribution(Float64Array.from(warpers.logits), temperature, topK, topP)
      for (const [id, p] of probabilities.entries()) assert.closeTo(found[id]!, p, 1e-8, `id ${id}`)
    })
  }
})

/** Equal up to the nine digits that a golden file holds. */
const assertEqual = (actual: ArrayLike<number>, expected: ReadonlyArray<number>): void => {
  assert.strictEqual(actual.length, expected.length)
  expected.forEach((value, at) => assert.closeTo(actual[at] ?? Number.NaN, value, 1e-8 * (1 + Math.abs(value))))
}

describe("log-probability and entropy of a token", () => {
  for (const { dim, expected, head, hidden, targets, temperature } of tokenGolden.cases) {
    it(`are NumPy's at temperature ${temperature}`, () => {
      assertEqual(tokenLogProb(from(hidden), from(head), Int32Array.from(targets), dim, temperature), expected)
    })
  }
})

describe("AdamW", () => {
  for (const { expected, grad, m, options, param, v } of adamWGolden.cases) {
    it(`is NumPy's at step ${options.step}, weight decay ${options.weightDecay}`, () => {
      const after = adamW({ param: from(param), m: from(m), v: from(v) }, from(grad), options)
      assertEqual(after.param, expected.param)
      assertEqual(after.m, expected.m)
      assertEqual(after.v, expected.v)
    })
  }
})
