import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { analyze } from "../../src/domain/EnglishAnalyzer.ts"
import golden from "../fixtures/lucene-english-analyzer.json" with { type: "json" }

const Golden = Schema.decodeUnknownSync(Schema.Array(Schema.Tuple([Schema.String, Schema.Array(Schema.String)])))

describe("EnglishAnalyzer", () => {
  it("makes the terms that Lucene 9's EnglishAnalyzer makes", () => {
    for (const [text, terms] of Golden(golden)) assert.deepStrictEqual(analyze(text), [...terms], JSON.stringify(text))
  })

  it("cuts words where Lucene cuts them", () => {
    assert.deepStrictEqual(analyze("x".repeat(300)).map((term) => term.length), [255, 45])
    assert.deepStrictEqual(analyze(`é${"x".repeat(299)}`).map((term) => term.length), [255, 45])
  })

  it.prop("makes the same terms of ASCII text as of text with something else behind it", [
    Schema.Array(Schema.Literals(["a", "B", "7", "_", ".", "'", "’s", ":", ",", ";", "-", " ", "ing", "the"]))
  ], ([pieces]) => {
    const text = pieces.filter((piece) => piece !== "’s").join("")
    assert.deepStrictEqual(analyze(text), analyze(`${text} é`).slice(0, -1))
  }, { arbitrary: { runs: 500 } })

  it.prop("takes any text", [Schema.String], ([text]) => {
    for (const term of analyze(text)) assert.isAbove(term.length, 0)
  })
})
