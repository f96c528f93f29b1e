import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as Json from "../../src/domain/Json.ts"

const parse = (text: string) => Result.getOrThrow(Json.parse(text))

describe("Json.parse", () => {
  it.each<[string, unknown]>([
    ["9007199254740991", 9007199254740991],
    ["9007199254740993", 9007199254740993n],
    ["-9007199254740993", -9007199254740993n],
    ["1161888007138312193", 1161888007138312193n],
    ["18446744073709551615", 18446744073709551615n],
    ["123456789012345678901234567890123456789", 123456789012345678901234567890123456789n],
    // what a number gives back to the letter stays one: all that JSON.stringify writes
    ["1161888007138312200", 1161888007138312200],
    ["100000000000000000000", 100000000000000000000],
    ["1e300", 1e300],
    ["9007199254740993.5", 9007199254740994],
    ["-0", -0],
    ["{\"a\":[1,{\"b\":1161888007138312193}],\"c\":\"1161888007138312193\"}", {
      a: [1, { b: 1161888007138312193n }],
      c: "1161888007138312193"
    }],
    ["[1161888007138312192,1161888007138312193]", [1161888007138312192n, 1161888007138312193n]],
    [
      "{\"__proto__\":1161888007138312193}",
      JSON.parse("{\"__proto__\":0}", (_, value) => value === 0 ? 1161888007138312193n : value)
    ]
  ])("%s", (text, expected) => {
    assert.deepStrictEqual(parse(text), expected)
  })

  it("says what the parser says", () => {
    assert.isTrue(Result.isFailure(Json.parse("{oops")))
  })

  it("reads the numbers that only Python writes", () => {
    assert.deepStrictEqual(
      parse("{\"a\": NaN, \"b\": [-Infinity, Infinity, 1161888007138312193], \"NaN\": \"a \\\" NaN\"}"),
      { a: Number.NaN, b: [-Infinity, Infinity, 1161888007138312193n], NaN: "a \" NaN" }
    )
    assert.isTrue(Result.isFailure(Json.parse("{\"a\": NaN,}")))
    assert.isTrue(Result.isFailure(Json.parse("{\"a\": xNaN}")))
  })

  it("nests as deep as JSON.parse", () => {
    const depth = 100_000
    assert.isTrue(Result.isSuccess(Json.parse(`${"[".repeat(depth)}1${"]".repeat(depth)}`)))
  })

  it.prop("is JSON.parse for all that JSON.stringify writes", [Schema.Json], ([value]) => {
    const text = JSON.stringify(value)
    assert.deepStrictEqual(parse(text), JSON.parse(text))
  })

  it.prop("keeps the digits of every integer", [Schema.BigInt], ([integer]) => {
    for (const value of [integer, integer ** 3n]) {
      assert.strictEqual(String(parse(`{"id": ${value}}`)), "[object Object]")
      const [read] = parse(`[${value}]`) as ReadonlyArray<unknown>
      assert.strictEqual(Object.is(read, -0) ? "0" : BigInt(String(read)).toString(), String(value))
    }
  })
})
