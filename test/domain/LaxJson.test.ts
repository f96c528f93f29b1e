import { assert, describe, it } from "@effect/vitest"
import * as LaxJson from "../../src/domain/LaxJson.ts"

/** As pydantic 2 reads them in lax mode. */
describe("LaxJson", () => {
  it("reads integers of 64 bits", () => {
    assert.deepStrictEqual([LaxJson.integer(7n), LaxJson.finite(3n)], [7, 3])
  })

  it.each<readonly [unknown, number | undefined]>([
    [3, 3],
    [3.5, undefined],
    [-2, -2],
    [Number.NaN, undefined],
    [Infinity, undefined],
    [true, 1],
    [false, 0],
    ["3", 3],
    ["3.0", 3],
    ["3.000", 3],
    ["3.5", undefined],
    ["3.", undefined],
    [" +3 ", 3],
    ["-3", -3],
    ["-0", 0],
    ["1_000", 1000],
    ["1_000_000", 1000000],
    ["1__000", undefined],
    ["_1", undefined],
    ["1_", undefined],
    ["12 3", undefined],
    ["x3", undefined],
    ["3x", undefined],
    ["", undefined],
    [null, undefined],
    [undefined, undefined],
    [[3], undefined],
    [{}, undefined]
  ])("a whole number in %j", (value, expected) => assert.strictEqual(LaxJson.integer(value), expected))

  it.each<readonly [boolean, ReadonlyArray<unknown>]>([
    [true, [true, 1, "1", "true", "t", "yes", "y", "on", "TRUE", "Yes", "ON", "T"]],
    [false, [false, 0, "0", "false", "f", "no", "n", "off", "FALSE", "No", "OFF"]]
  ])(
    "%s in many spellings",
    (expected, spellings) => assert.deepStrictEqual(spellings.map(LaxJson.boolean), spellings.map(() => expected))
  )

  it("is no truth otherwise", () => {
    for (const value of ["", "ye", 2, -1, null, undefined, [], "nope"]) assert.isUndefined(LaxJson.boolean(value))
  })

  it.each<readonly [unknown, number | undefined]>([
    [1.5, 1.5],
    [Infinity, undefined],
    [Number.NaN, undefined],
    ["1.5", 1.5],
    [" -1.5e-3 ", -0.0015],
    ["+2", 2],
    ["1E+2", 100],
    ["10.", 10],
    [".5", 0.5],
    [".", undefined],
    ["1e", undefined],
    ["e5", undefined],
    ["0x10", undefined],
    ["1.5x", undefined],
    ["x1.5", undefined],
    ["1e999", undefined],
    ["", undefined],
    ["NaN", undefined],
    [true, undefined],
    [null, undefined]
  ])("a finite number in %j", (value, expected) => assert.strictEqual(LaxJson.finite(value), expected))
})
