import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as EnglishAnalyzer from "../../src/domain/EnglishAnalyzer.ts"
import { analyze } from "../../src/domain/MultilingualAnalyzer.ts"

const isTermOf = (term: string, text: string) => assert.include(analyze(text), term)

describe("MultilingualAnalyzer", () => {
  it.prop("makes of plain English what EnglishAnalyzer makes", [
    Schema.Array(Schema.Literals(["a", "B", "7", "_", ".", "'", ":", ",", ";", "-", " ", "ing", "the", "'s"]))
  ], ([pieces]) => assert.deepStrictEqual(analyze(pieces.join("")), EnglishAnalyzer.analyze(pieces.join(""))))

  it("takes characters for the same letters for one", () => {
    for (
      const [a, b] of [
        ["Ｌｉｓｂｏｎ １９９８", "Lisbon 1998"],
        ["cafe\u0301", "café"],
        ["ﬁne", "fine"],
        ["O’Neil’s l‘heure Hawaiʻi п\u02BCять", "O'Neil's l'heure Hawai'i п'ять"],
        ["צה״ל ג׳ירפה", "צה\"ל ג'ירפה"],
        ["co\u00ADoperative re\u00ADfrigerators", "cooperative refrigerators"],
        ["می\u200Cنویسد", "مینویسد"],
        ["क्\u200Dषमा", "क्षमा"],
        ["\uFEFFdate \u202Bname\u202C", "date name"],
        ["☎\uFE0F", "☎"],
        ["ｶﾞｲﾄﾞ", "ガイド"],
        ["한글", "한글".normalize("NFD")]
      ] as const
    ) assert.deepStrictEqual(analyze(a), analyze(b), a)
  })

  it("knows a name without its possessive", () => {
    for (const text of ["Orvane's", "Orvane’s", "Orvane＇s", "ORVANE’S"]) {
      assert.deepStrictEqual(analyze(text), ["orvan"])
    }
  })

  it("separates words at spaces of no width, and numbers and punctuation at narrow ones", () => {
    assert.deepStrictEqual(analyze("tea\u200Bcup"), ["tea", "cup"])
    assert.deepStrictEqual(analyze("Bonjour\u202F! 10\u202F000"), ["bonjour", "10", "000"])
  })

  it("gives every two letters of scripts without spaces, and of those that write endings behind words", () => {
    assert.deepStrictEqual(analyze("ภาษาไทย"), ["ภา", "าษ", "ษา", "าไ", "ไท", "ทย"])
    assert.deepStrictEqual(analyze("กรุง ณ"), ["กร", "ร\u0E38", "\u0E38ง", "ณ"])
    isTermOf("ゲーム", "ゲーム")
    for (const term of analyze("ゲーム").slice(1)) isTermOf(term, "コンピューターゲーム")
    assert.deepStrictEqual(analyze("서울은"), ["서울은", "서울", "울은"])
    isTermOf("전자", "LG전자는")
    assert.deepStrictEqual(analyze("東京の"), ["東", "京", "の"])
  })

  it("knows scripts that came to Unicode lately", () => {
    for (const text of ["𞤆𞤵𞤤𞤢𞤪", "𐒰𐓏𐓘", "ᲐᲑᲒ", "𐴀𐴁", "𖬖𖬰"]) assert.lengthOf(analyze(text), 1, text)
  })

  it.prop("takes any text", [Schema.String], ([text]) => {
    for (const term of analyze(text)) assert.isAbove(term.length, 0)
  })

  it.each([
    ["_", "\u0301"],
    ["_\u200D", "x"],
    ["\u200D", "#"],
    ["ก\u0E31", "_"],
    ["א'", "\""],
    ["👍\u200D", "🏻\uFE0F"],
    ["1,", "a."],
    ["ア_", "\u200D"],
    ["한", "\u200D"],
    ["#\u20E3", "*"]
  ])("reads a long text in a time that grows with its length: %j %j", (a, b) => {
    const millis = (length: number) => {
      const text = `é${Array.from({ length }, (_, at) => at % 3 === 0 ? a : b).join("")}`
      const start = performance.now()
      analyze(text)
      EnglishAnalyzer.analyze(text)
      return performance.now() - start
    }
    millis(1000)
    // a time that grows with the square is some thousand times longer here
    assert.isBelow(Math.min(millis(60_000), millis(60_000)), 40 * Math.max(10, millis(2000), millis(2000)))
  })
})
