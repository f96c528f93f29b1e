import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Statistics from "../../src/domain/Statistics.ts"

const mask = (...bits: ReadonlyArray<number>) => Uint8Array.from(bits)
const empty = (statistic: string, selected: number, needed: number) =>
  Result.fail(new Statistics.EmptyMask({ statistic, selected, needed }))

describe("masked statistics", () => {
  it("take the mean of selected values", () => {
    assert.deepStrictEqual(Statistics.maskedMean([1, 100, 4], mask(1, 0, 1)), Result.succeed(2.5))
    assert.deepStrictEqual(Statistics.maskedMean([7], mask(1)), Result.succeed(7))
    assert.deepStrictEqual(Statistics.maskedMean([1, 2], mask(0, 0)), empty("mean", 0, 1))
    assert.deepStrictEqual(Statistics.maskedMean([1, 2], mask(2, 1)), Result.succeed(2))
  })

  it("take the moments of all rows together, with divisor n - 1", () => {
    assert.deepStrictEqual(
      Statistics.moments([[1, 100, 3], [50, 8]], [mask(1, 0, 1), mask(0, 1)]),
      // (3² + 1² + 4²) / 2
      Result.succeed({ mean: 4, variance: 13 })
    )
    assert.deepStrictEqual(Statistics.moments([[1, 3]], [mask(1, 1)]), Result.succeed({ mean: 2, variance: 2 }))
    assert.deepStrictEqual(Statistics.moments([[1, 3]], [mask(1, 0)]), empty("variance", 1, 2))
    assert.deepStrictEqual(Statistics.moments([], []), empty("variance", 0, 2))
  })

  it("say what they lack", () => {
    assert.strictEqual(
      new Statistics.EmptyMask({ statistic: "variance", selected: 1, needed: 2 }).message,
      "the variance needs at least 2 selected values, the mask selects 1"
    )
  })

  it("standardise by (x - mean) / √(variance + 1e-8)", () => {
    assert.deepStrictEqual(
      [...Statistics.standardise([1, 5], { mean: 3, variance: 3e-8 })],
      [Math.fround(-2 / 2e-4), Math.fround(2 / 2e-4)]
    )
    assert.deepStrictEqual([...Statistics.standardise([3], { mean: 3, variance: 0 })], [0])
  })

  it("whiten every value by the moments of the selected ones", () => {
    const whitened = Result.getOrThrow(Statistics.whiten([1, 3, 8], mask(1, 1, 0)))
    const scale = Math.sqrt(2 + 1e-8)
    assert.deepStrictEqual([...whitened], [-1 / scale, 1 / scale, 6 / scale].map(Math.fround))
    assert.deepStrictEqual(Statistics.whiten([1], mask(1)), empty("variance", 1, 2))
  })

  it("sum up rows", () => {
    const rows = [[1, 9], [-4]]
    assert.deepStrictEqual(Statistics.summaryOfRows("x", rows), { "x/mean": 2, "x/max": 9, "x/min": -4 })
    assert.deepStrictEqual(
      Statistics.summaryOfRows("x", rows, [mask(1, 0), mask(1)]),
      { "x/mean": -1.5, "x/max": 1, "x/min": -4 }
    )
    assert.deepStrictEqual(Statistics.summaryOfRows("x", rows, [mask(0, 0), mask(0)]), {})
    assert.deepStrictEqual(Statistics.summary("y", [2, 6], mask(0, 1)), { "y/mean": 6, "y/max": 6, "y/min": 6 })
    assert.deepStrictEqual(Statistics.summary("y", [2, 6]), { "y/mean": 4, "y/max": 6, "y/min": 2 })
    assert.deepStrictEqual(Statistics.summary("y", []), {})
  })
})
