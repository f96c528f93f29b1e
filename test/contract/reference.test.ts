/** The float64 definitions that devices are held against, held against other implementations themselves. */
import { assert, describe, it } from "@effect/vitest"
import warpers from "../fixtures/warpers.json" with { type: "json" }
import { samplingDistribution } from "./reference.ts"

describe("the sampling distribution", () => {
  // TemperatureLogitsWarper, TopKLogitsWarper and TopPLogitsWarper in the order of generate.
  for (const { probabilities, temperature, topK, topP } of warpers.cases) {
    it(`is that of transformers 5.23: temperature ${temperature}, top-k ${topK}, top-p ${topP}`, () => {
      const found = samplingDistribution(Float64Array.from(warpers.logits), temperature, topK, topP)
      for (const [id, p] of probabilities.entries()) assert.closeTo(found[id]!, p, 1e-8, `id ${id}`)
    })
  }
})
