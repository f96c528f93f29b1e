import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as JsonRecords from "../../src/domain/JsonRecords.ts"

const split = (pieces: ReadonlyArray<string>) => {
  const splitter = JsonRecords.make()
  return [...pieces.flatMap((piece) => splitter.push(piece)), ...splitter.end()]
}

/** Cuts a text into pieces of the given lengths, in turn. */
const cut = (text: string, lengths: ReadonlyArray<number>): ReadonlyArray<string> => {
  const pieces: Array<string> = []
  let at = 0
  for (let i = 0; at < text.length; i++) {
    const length = 1 + (lengths[i % Math.max(1, lengths.length)] ?? text.length)
    pieces.push(text.slice(at, at + length))
    at += length
  }
  return pieces
}

describe("JSON lines", () => {
  it("are records with their lines; empty lines are skipped", () => {
    assert.deepStrictEqual(split(["\uFEFF\n{\"a\":1}\r\n\n  {\"a\":2}\nnot json\n{\"a\"", ":3}"]), [
      { line: 2, text: "{\"a\":1}\r" },
      { line: 4, text: "  {\"a\":2}" },
      { line: 5, text: "not json" },
      { line: 6, text: "{\"a\":3}" }
    ])
  })

  it("may be none", () => {
    assert.deepStrictEqual(split([]), [])
    assert.deepStrictEqual(split(["", " \n", "\n"]), [])
  })
})

describe("an array", () => {
  it("has elements with the lines on which they begin", () => {
    assert.deepStrictEqual(split(["[\n{\"a\":\n\"]}\\\"\"},\n [1], 2,", "\"x,\"]\n"]), [
      { line: 2, text: "{\"a\":\n\"]}\\\"\"}" },
      { line: 4, column: 2, text: "[1]" },
      { line: 4, column: 7, text: "2" },
      { line: 4, column: 9, text: "\"x,\"" }
    ])
    assert.deepStrictEqual(split(["[]"]), [])
  })

  it("that does not end, and text behind one, are flaws", () => {
    assert.deepStrictEqual(split(["[{\"a\":1},\n{\"a\""]).map((record) => "flaw" in record), [false, true])
    assert.deepStrictEqual(split(["["]).map((record) => "flaw" in record), [true])
    assert.deepStrictEqual(split(["[1]\n[2]"]), [
      { line: 1, column: 2, text: "1" },
      { line: 2, flaw: "there is text behind the end of the array" }
    ])
  })
})

describe("a record that is no JSON", () => {
  const reasons = (pieces: ReadonlyArray<string>) =>
    split(pieces).flatMap((record) => {
      const value = JsonRecords.value(record)
      return Result.isFailure(value) ? [value.failure.slice(0, value.failure.indexOf(";"))] : []
    })

  it("is placed in its file by line and column, however the text arrives", () => {
    const cases: ReadonlyArray<readonly [text: string, reason: string]> = [
      ["{\"a\":1}\n{\"a\":x}\n", "no JSON (line 2, column 6: text stands in double quotes, and x does not)"],
      ["\uFEFF {a}\n", "no JSON (line 1, column 3: the name of a field stands in double quotes)"],
      ["  {a}\n", "no JSON (line 1, column 4: the name of a field stands in double quotes)"],
      ["[\n 1,\n  {a}]", "no JSON (line 3, column 4: the name of a field stands in double quotes)"],
      ["[1, {\n\n a}]", "no JSON (line 3, column 2: the name of a field stands in double quotes)"],
      [" [1, {a}]", "no JSON (line 1, column 7: the name of a field stands in double quotes)"]
    ]
    for (const [text, reason] of cases) {
      for (const length of [1, 2, 3, 100]) {
        assert.deepStrictEqual(reasons(cut(text, [length - 1])), [reason], JSON.stringify(text))
      }
    }
  })
})

describe("properties", () => {
  const Values = Schema.Array(Schema.Struct({ text: Schema.String, list: Schema.Array(Schema.Finite) }))

  it.prop("any cut of any text gives the same records", [
    Values,
    Schema.Array(Schema.Literals([0, 1, 5, 40])),
    Schema.Boolean
  ], (
    [values, lengths, array]
  ) => {
    const text = array ? JSON.stringify(values, null, 1) : values.map((value) => JSON.stringify(value)).join("\n")
    const records = split(cut(text, lengths))
    assert.deepStrictEqual(
      records.map((record) => "text" in record ? JSON.stringify(JSON.parse(record.text)) : record.flaw),
      values.map((value) => JSON.stringify(value))
    )
  })
})

describe("what splits texts", () => {
  it("takes a bare carriage return for the end of a line, and a last one for none", () => {
    assert.deepStrictEqual(split(["{\"a\":1}\r{\"a\":2}\r\n{\"a\":3}\r"]), [
      { line: 1, text: "{\"a\":1}" },
      { line: 2, text: "{\"a\":2}" },
      { line: 3, text: "{\"a\":3}\r" }
    ])
  })

  it("counts from the line where the text begins", () => {
    const splitter = JsonRecords.make(7)
    assert.deepStrictEqual(splitter.push("\n1\n2"), [{ line: 8, text: "1" }])
    assert.deepStrictEqual(splitter.end(), [{ line: 9, text: "2" }])
    assert.deepStrictEqual(splitter.end(), [])
    assert.deepStrictEqual(JsonRecords.make().end(), [])
  })

  it("keeps the place of an element over strings, escapes, brackets and pieces of text", () => {
    const text = "\t[ {\"a\":\"]\\\\\"},\n\"x\\\"]\" ,[[1],{\"b\":[2]}],3 , null\n]\v\f\u0020\uFEFF"
    const expected = [
      { line: 1, column: 4, text: "{\"a\":\"]\\\\\"}" },
      { line: 2, text: "\"x\\\"]\" " },
      { line: 2, column: 9, text: "[[1],{\"b\":[2]}]" },
      { line: 2, column: 25, text: "3 " },
      { line: 2, column: 29, text: "null\n" }
    ]
    for (const length of [1, 2, 3, 5, 100]) assert.deepStrictEqual(split(cut(text, [length - 1])), expected)
  })

  it("says what is wrong around the records", () => {
    const cutOff = "the array does not end: the file is cut off, or a string or bracket in it is not closed"
    assert.deepStrictEqual(split(["[1,\n2,"]), [
      { line: 1, column: 2, text: "1" },
      { line: 2, text: "2" },
      { line: 2, flaw: cutOff }
    ])
    assert.deepStrictEqual(split(["[\"a"]), [{ line: 1, flaw: cutOff }])
    assert.deepStrictEqual(split(["[1]x\ny"]), [
      { line: 1, column: 2, text: "1" },
      { line: 1, flaw: "there is text behind the end of the array" }
    ])
    assert.deepStrictEqual(split(["[1]", " \n\t\r"]), [{ line: 1, column: 2, text: "1" }])
  })

  it("shows no more than 60 characters of a record that is none", () => {
    const failure = (text: string) => Result.getOrThrow(Result.flip(JsonRecords.value({ line: 1, text })))
    const why =
      "no JSON (line 1, column 1: text stands in double quotes, and x does not); a file holds one JSON object a " +
      "line or one JSON array: "
    assert.strictEqual(failure(`x ${"y".repeat(58)}`), `${why}x ${"y".repeat(58)}`)
    assert.strictEqual(failure(`x ${"y".repeat(59)} `), `${why}x ${"y".repeat(58)}…`)
    assert.strictEqual(Result.getOrThrow(Result.flip(JsonRecords.value({ line: 1, flaw: "broken" }))), "broken")
    assert.deepStrictEqual(
      JsonRecords.value({ line: 1, text: "[9007199254740993]" }),
      Result.succeed([9007199254740993n])
    )
  })
})
