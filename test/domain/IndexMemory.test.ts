import { assert, describe, it } from "@effect/vitest"
import type { Document } from "../../src/domain/Document.ts"
import * as IndexMemory from "../../src/domain/IndexMemory.ts"
import { analyze } from "../../src/domain/MultilingualAnalyzer.ts"

const gathered = (documents: Iterable<Document>, passages?: number) => {
  const gatherer = new IndexMemory.Gatherer()
  for (const document of documents) gatherer.add(document)
  return gatherer.corpus(passages)
}

/** Words by Zipf's law, ever new ones among them. */
let state = 3
const random = () => (state = (state * 48_271) % 0x7fffffff) / 0x7fffffff
const documents: ReadonlyArray<Document> = Array.from({ length: 6000 }, (_, row) => ({
  id: `${row}`,
  title: `Title ${row}`,
  text: Array.from({ length: 40 }, () => `w${Math.floor(30_000 ** random()).toString(36)}q`).join(" ")
}))

describe("the memory of an index", () => {
  it("counts passages, characters as V8 and as UTF-8 hold them, postings and terms", () => {
    assert.deepStrictEqual(
      gathered([
        { id: "1", title: "café", text: "herring herring market" },
        { id: "2", title: "北海", text: "sea market 🧭" }
      ]),
      // 1 + 4 + 22 and 1 + 2 * 2 + 2 * 13 bytes; 1 + 5 + 22 and 1 + 6 + 15 of UTF-8; café, her, market; 北, 海, sea, market, 🧭
      { passages: 2, stringBytes: 58, utf8Bytes: 50, postings: 8, terms: 7 }
    )
    assert.deepStrictEqual(gathered([]), { passages: 0, stringBytes: 0, utf8Bytes: 0, postings: 0, terms: 0 })
  })

  it("estimates postings and terms of a large corpus from a sample of it", () => {
    const all = documents.map(({ text, title }) => new Set([...analyze(title), ...analyze(text)]))
    const postings = all.reduce((sum, { size }) => sum + size, 0)
    const terms = new Set(all.flatMap((own) => [...own])).size
    const estimated = gathered(documents)
    assert.approximately(estimated.postings / postings, 1, 0.05)
    assert.approximately(estimated.terms / terms, 1, 0.25)
    // this vocabulary ends, and one of people does not
    const beginning = gathered(documents.slice(0, 1500), 6000)
    assert.approximately(beginning.postings / postings, 1, 0.05)
    assert.approximately(beginning.terms / terms, 1, 0.4)
    assert.approximately(beginning.stringBytes / estimated.stringBytes, 1, 0.02)
  })

  /** What `npm run -s bench -- indexMemory` found, in bytes: after building, after opening, and the most while building. */
  const measured = [
    {
      // 25,000 passages of Wikipedia
      corpus: { passages: 25_000, stringBytes: 17_041_165, utf8Bytes: 13_062_451, postings: 1_131_424, terms: 92_045 },
      lunr: [43_777_208, 51_253_915, 910_024_704],
      bm25: [33_715_089, 25_213_025, 209_182_720]
    },
    {
      // as many generated ones
      corpus: { passages: 25_000, stringBytes: 15_595_432, utf8Bytes: 15_595_432, postings: 1_738_179, terms: 222_065 },
      lunr: [46_478_932, 61_900_308, 1_127_931_904],
      bm25: [40_715_266, 32_373_386, 216_436_736]
    }
  ] as const

  it.each(measured)("is within a quarter of what was measured", ({ corpus, ...engines }) => {
    for (
      const [engine, { building, resident }, [built, opened, most]] of [
        ["lunr", IndexMemory.lunr(corpus), engines.lunr],
        ["bm25", IndexMemory.bm25(corpus), engines.bm25]
      ] as const
    ) {
      for (const value of [built, opened]) assert.approximately(resident / value, 1, 0.25, engine)
      assert.approximately(building / most, 1, 0.25, engine)
    }
  })

  it("leaves passages of BM25 and of a file on disk beyond 256 MiB", () => {
    const corpus = { passages: 21e6, stringBytes: 14e9, utf8Bytes: 14e9, postings: 1e9, terms: 5e6 }
    assert.isBelow(IndexMemory.bm25(corpus).resident, 7e9)
    const rows = { bytes: 4e9 }
    assert.isBelow(IndexMemory.file({ documents: { bytes: 14e9 }, rows }).resident, 4.1e9)
    assert.isAbove(IndexMemory.file({ documents: { bytes: 2e8 }, rows }).resident, 4.2e9)
  })

  it("is the sum of what is there, and the most of what is made in turn", () => {
    assert.deepStrictEqual(
      IndexMemory.together({ resident: 3, building: 10 }, { resident: 4, building: 8 }),
      { resident: 7, building: 11 }
    )
  })
})
