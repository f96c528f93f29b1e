import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as JsonFlaw from "../../src/domain/JsonFlaw.ts"

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const found = (text: string) => {
  const flaw = JsonFlaw.find(text)
  return flaw === undefined ? "" : `${flaw.line}:${flaw.column}: ${flaw.reason}`
}

describe("the flaw of a text that is no JSON", () => {
  it("is told in a short message, whatever the text", () => {
    for (const text of ["x".repeat(100_000), `1${"x".repeat(100_000)}`, "[".repeat(100_000), "\"".repeat(9)]) {
      assert.isBelow(found(text).length, 200)
    }
    assert.strictEqual(found(`${"\n".repeat(70_000)}  x`), "70001:3: text stands in double quotes, and x does not")
  })

  const cases: ReadonlyArray<readonly [text: string, expected: string]> = [
    ["", "1:1: a value is missing"],
    ["{\n  \"a\": 1\n", "3:1: the text ends before its { is closed with }"],
    ["[1, 2", "1:6: the text ends before its [ is closed with ]"],
    ["{\"a\": 1,}", "1:8: there is a comma too many"],
    ["{\n\"a\": [1, 2,\n]}", "2:11: there is a comma too many"],
    ["[1,,2]", "1:3: there is a comma too many"],
    ["{'a': 1}", "1:2: the name of a field stands in double quotes"],
    ["{a: 1}", "1:2: the name of a field stands in double quotes"],
    ["{\"a\": 'b'}", "1:7: text stands in double quotes"],
    ["{\"a\": b}", "1:7: text stands in double quotes, and b does not"],
    ["{\"a\": True}", "1:7: True is written true"],
    ["{\"a\": None}", "1:7: None is written null"],
    ["{\"a\" 1}", "1:6: a colon behind a field's name is expected, and here is 1"],
    ["{\"a\": 1 \"b\": 2}", "1:9: , or } is expected, and here is \""],
    ["[1 2]", "1:4: , or ] is expected, and here is 2"],
    ["{\"a\": \"b}", "1:7: this text is not closed with \""],
    ["{\"a\": \"b\n\"}", "1:7: this text is not closed with \" on its line (a line break within a text is \\n)"],
    ["{\"a\": \"C:\\dir\"}", "1:10: \\d is no escape; a backslash is written \\\\"],
    ["{\"a\": 1} x", "1:10: there is something behind the end of the value"],
    ["// note\n{}", "1:1: JSON has no comments"],
    ["{\"a\": 1} // note", "1:10: there is something behind the end of the value"],
    ["{\"a\": 01}", "1:7: this is no number that JSON knows: 01"],
    ["{\"a\": .5}", "1:7: a value is expected, and here is ."],
    ["{\"a\": +1}", "1:7: a value is expected, and here is +"],
    ["\uFEFF{a: 1}", "1:2: the name of a field stands in double quotes"],
    ["{\"日本\": x}", "1:8: text stands in double quotes, and x does not"]
  ]

  for (const [text, expected] of cases) {
    it(`${JSON.stringify(text)}: ${expected}`, () => assert.strictEqual(found(text), expected))
  }

  it("is counted from where the text begins", () => {
    assert.deepInclude(JsonFlaw.find("{a", { line: 7, column: 3 }), { line: 7, column: 4 })
    assert.deepInclude(JsonFlaw.find("{\n\na", { line: 7, column: 3 }), { line: 9, column: 1 })
  })

  it("takes texts as deep as they come", () => {
    assert.isUndefined(JsonFlaw.find(`${"[".repeat(100_000)}${"]".repeat(100_000)}`))
  })

  it.prop("is there exactly where JSON.parse finds one", [
    Schema.Array(Schema.Struct({ a: Schema.String, b: Schema.Finite, c: Schema.NullOr(Schema.Boolean) })),
    Schema.Natural,
    Schema.Literals(["", ",", "\"", "}", "[", "]", ":", "\\", " ", "\n", "1", "-", "e", "t", "\u0001"]),
    Schema.Literals([0, 1, 3])
  ], ([value, at, put, out]) => {
    const text = JSON.stringify(value, null, at % 3)
    const where = at % (text.length + 1)
    const changed = text.slice(0, where) + put + text.slice(where + out)
    assert.strictEqual(JsonFlaw.find(changed) === undefined, isJson(changed), changed)
  })
})

describe("every kind of flaw", () => {
  const invisible = (code: string) => `there is an invisible character (${code}); a value is expected`
  it.each<readonly [string, string]>([
    ["[“a”]", "1:2: text stands in straight double quotes (\")"],
    ["[”a”]", "1:2: text stands in straight double quotes (\")"],
    ["['a']", "1:2: text stands in double quotes"],
    ["[/* a */ 1]", "1:2: JSON has no comments"],
    ["[// a\n1]", "1:2: JSON has no comments"],
    ["[# a\n1]", "1:2: JSON has no comments"],
    ["[1 # a\n]", "1:4: JSON has no comments"],
    ["[/]", "1:2: a value is expected, and here is /"],
    ["[\u00A01]", `1:2: ${invisible("U+00A0")}`],
    ["[\uFEFF1]", `1:2: ${invisible("U+FEFF")}`],
    ["[\u20031]", "1:2: a value is expected, and here is U+2003"],
    ["[\u0001]", "1:2: a value is expected, and here is U+0001"],
    ["[😀]", "1:2: a value is expected, and here is 😀"],
    ["[\u{E0001}]", "1:2: a value is expected, and here is U+E0001"],
    ["[é1]", "1:2: a value is expected, and here is é"],
    ["{1: 2}", "1:2: a field's name is expected, and here is 1"],
    ["{\"a\": 1, b: 2}", "1:10: the name of a field stands in double quotes"],
    ["{,}", "1:2: a field's name is expected, and here is ,"],
    ["{\"a\": }", "1:7: a value is expected, and here is }"],
    ["{\"a\":,}", "1:6: a value is expected, and here is ,"],
    ["[,]", "1:2: a value is expected, and here is ,"],
    ["[1, , 2]", "1:3: there is a comma too many"],
    ["[1,]", "1:3: there is a comma too many"],
    ["[1, }", "1:3: there is a comma too many"],
    ["{\"a\": [1], \"b\": ]}", "1:17: a value is expected, and here is ]"],
    ["]", "1:1: a value is expected, and here is ]"],
    ["[1}", "1:3: , or ] is expected, and here is }"],
    ["{\"a\": 1]", "1:8: , or } is expected, and here is ]"],
    ["{\"a\"", "1:5: the text ends before its { is closed with }"],
    ["{", "1:2: the text ends before its { is closed with }"],
    ["[", "1:2: the text ends before its [ is closed with ]"],
    [" \n ", "2:2: a value is missing"],
    ["1 2", "1:3: there is something behind the end of the value"],
    ["\"a\tb\"", "1:3: a control character within a text is written \\t"],
    ["\"a\u0001b\"", "1:3: a control character within a text is written \\u00…"],
    ["\"a\u001fb\"", "1:3: a control character within a text is written \\u00…"],
    ["[\"a\rb\"]", "1:2: this text is not closed with \" on its line (a line break within a text is \\n)"],
    ["\"\\u12G4\"", "1:2: \\u is no escape; a backslash is written \\\\"],
    ["\"\\x41\"", "1:2: \\x is no escape; a backslash is written \\\\"],
    ["\"a\\", "1:1: this text is not closed with \""],
    ["\"a\\\"", "1:1: this text is not closed with \""],
    ["{\"a", "1:2: this text is not closed with \""],
    ["1x", "1:1: this is no number that JSON knows: 1x"],
    ["[1.]", "1:2: this is no number that JSON knows: 1."],
    ["[1e]", "1:2: this is no number that JSON knows: 1e"],
    ["[1.2.3]", "1:2: this is no number that JSON knows: 1.2.3"],
    ["[-01]", "1:2: this is no number that JSON knows: -01"],
    ["[1-2]", "1:2: this is no number that JSON knows: 1-2"],
    ["[1+2]", "1:2: this is no number that JSON knows: 1+2"],
    ["[-]", "1:2: a value is expected, and here is -"],
    ["[-x]", "1:2: a value is expected, and here is -"],
    ["[-NaN]", "1:2: a value is expected, and here is -"],
    ["[-true]", "1:2: a value is expected, and here is -"],
    ["[-inf]", "1:2: inf is written Infinity"],
    ["[TRUE]", "1:2: TRUE is written true"],
    ["[False]", "1:2: False is written false"],
    ["[FALSE]", "1:2: FALSE is written false"],
    ["[NULL]", "1:2: NULL is written null"],
    ["[nil]", "1:2: nil is written null"],
    ["[undefined]", "1:2: undefined is written null"],
    ["[nan]", "1:2: nan is written NaN"],
    ["[inf]", "1:2: inf is written Infinity"],
    ["[truely]", "1:2: text stands in double quotes, and truely does not"],
    ["[$a_1]", "1:2: text stands in double quotes, and $a_1 does not"],
    ["[true false]", "1:7: , or ] is expected, and here is f"]
  ])("%j: %s", (text, expected) => assert.strictEqual(found(text), expected))

  it.each([
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u12aB\"",
    "[-Infinity, Infinity, NaN, -0.5e-3, 1E+2, 0, {}, [], [[]], {\"a\": {}}]",
    "\uFEFF[1]",
    " \t\r\n1 \t\r\n",
    "\"\u007f\u00a0\""
  ])("is none in %j", (text) => assert.strictEqual(found(text), ""))

  it("is said with its place", () => {
    assert.strictEqual(JsonFlaw.describe("{\n a}"), "line 2, column 2: the name of a field stands in double quotes")
    assert.strictEqual(
      JsonFlaw.describe("x", { line: 3, column: 5 }),
      "line 3, column 5: text stands in double quotes, and x does not"
    )
    assert.strictEqual(JsonFlaw.describe("[NaN]"), "NaN and Infinity are no numbers of JSON")
  })
})
