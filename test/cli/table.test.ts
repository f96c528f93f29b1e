import { assert, describe, it } from "@effect/vitest"
import { table } from "../../src/cli/table.ts"
import { cut, width, wrap } from "../../src/cli/textWidth.ts"

const right = "right" as const

describe("the columns of a text", () => {
  it("are two for wide characters, none for marks and colours", () => {
    const cases: ReadonlyArray<readonly [text: string, columns: number]> = [
      ["abc", 3],
      ["日本語", 6],
      ["한국", 4],
      ["ﾊﾝｶｸ", 4],
      ["ＡＢ", 4],
      ["カー、", 6],
      ["é e\u0301", 3],
      ["a\u200Bb", 2],
      ["👩‍👩‍👧 ok", 5],
      ["❤️", 2],
      ["\u001B[31m日\u001B[0m", 2],
      ["Größe–…×", 8]
    ]
    for (const [text, columns] of cases) assert.strictEqual(width(text), columns, text)
  })

  it("are what a text is cut and broken to", () => {
    assert.deepStrictEqual(["abcdef", "日本語", "abc"].map((text) => cut(text, 4)), ["abc…", "日…", "abc"])
    assert.strictEqual(cut("\u001B[31mabcdef\u001B[0m", 3), "\u001B[31mab…\u001B[0m")
    assert.deepStrictEqual(wrap("one two three", 7), ["one two", "three"])
    assert.deepStrictEqual(wrap("東京は日本の首都", 6), ["東京は", "日本の", "首都"])
  })
})

describe("a table", () => {
  const columns = [{ heading: "run" }, { heading: "steps", align: right }, { heading: "state" }]
  const rows = [["20260101-120000-grpo", "3/10", "unfinished"], ["東京の実験", "10/10", "done"]]
  const lines = (most?: number) => table(columns, rows, most).split("\n")

  it("sets columns flush, wide characters counted as two", () => {
    assert.deepStrictEqual(lines(), [
      "run                   steps  state",
      "────────────────────  ─────  ──────────",
      "20260101-120000-grpo   3/10  unfinished",
      "東京の実験            10/10  done"
    ])
  })

  it("cuts texts to fit, the widest first, and never numbers", () => {
    assert.deepStrictEqual(lines(33), [
      "run             steps  state",
      "──────────────  ─────  ──────────",
      "20260101-1200…   3/10  unfinished",
      "東京の実験      10/10  done"
    ])
  })

  it("turns rows into blocks where columns do not fit", () => {
    assert.deepStrictEqual(lines(24), [
      "20260101-120000-grpo",
      "  steps  3/10",
      "  state  unfinished",
      "東京の実験",
      "  steps  10/10",
      "  state  done"
    ])
  })

  it("is never wider than it may be", () => {
    for (let most = 12; most < 60; most++) {
      for (const line of lines(most)) assert.isAtMost(width(line), most, `${most}: ${line}`)
    }
  })
})
