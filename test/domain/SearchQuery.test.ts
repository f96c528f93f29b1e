import { assert, describe, it } from "@effect/vitest"
import * as SearchQuery from "../../src/domain/SearchQuery.ts"

describe("a long query", () => {
  it("is read up to 8192 characters, never half a one", () => {
    const { beginning } = SearchQuery
    assert.strictEqual(SearchQuery.mostCharacters, 8192)
    assert.strictEqual(beginning(""), "")
    assert.strictEqual(beginning("x".repeat(8192)).length, 8192)
    assert.strictEqual(beginning("x".repeat(8193)).length, 8192)
    assert.strictEqual(beginning(`${"x".repeat(8191)}😀`), "x".repeat(8191))
    assert.strictEqual(beginning(`${"x".repeat(8190)}😀y`), `${"x".repeat(8190)}😀`)
  })

  it("counts what ligatures stand for: NFKC makes eighteen characters of U+FDFA", () => {
    const { beginning } = SearchQuery
    const ligature = "\uFDFA"
    assert.strictEqual(ligature.normalize("NFKC").length, 18)
    // 455 of them are 8190 characters
    assert.strictEqual(beginning(ligature.repeat(455)).length, 455)
    assert.strictEqual(beginning(ligature.repeat(456)).length, 455)
    assert.strictEqual(beginning(ligature.repeat(9000)).length, 455)
    assert.strictEqual(beginning(`${"x".repeat(8000)}${ligature.repeat(20)}`).length, 8000 + 10)
    assert.strictEqual(beginning("é".repeat(8192)).length, 8192)
  })

  const words = (count: number) => Array.from({ length: count }, (_, index) => `w${index}`).join(" ")
  const split = (text: string) => text.split(" ")

  it("is searched for its first 1024 different terms that are known", () => {
    assert.strictEqual(SearchQuery.mostTerms, 1024)
    const count = SearchQuery.countTerms(split)
    assert.deepStrictEqual(count(words(1024)), { all: 1024, searched: 1024 })
    assert.deepStrictEqual(count(words(1025)), { all: 1025, searched: 1024 })
    assert.deepStrictEqual(count("a ".repeat(500).trim()), { all: 1, searched: 1 })
    assert.deepStrictEqual(SearchQuery.countTerms(split, (term) => term.endsWith("7"))(words(100)), {
      all: 10,
      searched: 10
    })
    // 256 characters hold no more terms than are searched, so they are not counted
    assert.deepStrictEqual(count("a ".repeat(128)), { all: 0, searched: 0 })
    assert.deepStrictEqual(count(`${"a ".repeat(128)}b`), { all: 2, searched: 2 })
  })

  it("counts where most is left out", () => {
    const counted = (all: number, searched: number): SearchQuery.CountTerms => () => ({ all, searched })
    const { worstCount } = SearchQuery
    assert.deepStrictEqual(worstCount([])("x"), { all: 0, searched: 0 })
    assert.deepStrictEqual(worstCount([counted(5, 4), counted(9, 6), counted(100, 99)])("x"), { all: 9, searched: 6 })
    assert.deepStrictEqual(worstCount([counted(5, 5)])("x"), { all: 0, searched: 0 })
  })

  it("is told what is left out of it", () => {
    const { countTerms, leftOut } = SearchQuery
    assert.isUndefined(leftOut("short", undefined))
    assert.isUndefined(leftOut(words(1024), countTerms(split)))
    assert.strictEqual(leftOut(words(1100), countTerms(split)), "of 1,100 terms the first 1,024 are searched")
    assert.strictEqual(leftOut("x".repeat(9000), undefined), "of 9,000 characters the first 8,192 are read")
    assert.strictEqual(
      leftOut(words(2000), countTerms(split)),
      `of ${words(2000).length.toLocaleString("en-US")} characters the first 8,192 are read, ` +
        `of ${
          new Set(split(words(2000).slice(0, 8192))).size.toLocaleString("en-US")
        } terms the first 1,024 are searched`
    )
  })
})
