/**
 * No query costs more than a fixed multiple of a plain question, counted in postings.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Document } from "../../../src/domain/Document.ts"
import * as EnglishAnalyzer from "../../../src/domain/EnglishAnalyzer.ts"
import * as MultilingualAnalyzer from "../../../src/domain/MultilingualAnalyzer.ts"
import * as SearchQuery from "../../../src/domain/SearchQuery.ts"
import { Best } from "../../../src/layers/retriever/best.ts"
import { defaultParameters, luceneParameters, PostingsBuilder } from "../../../src/layers/retriever/bm25/postings.ts"
import * as Bm25 from "../../../src/layers/retriever/bm25/search.ts"
import * as Lunr from "../../../src/layers/retriever/lunr/search.ts"
import * as Weights from "../../../src/layers/retriever/lunr/weights.ts"
import * as Turns from "../../../src/layers/retriever/turns.ts"
import { hostileQueries, operators } from "../../support/hostileQueries.ts"

/** Words by Zipf's law: the first stands in nearly every passage. */
const vocabulary = Array.from({ length: 3000 }, (_, rank) => `w${rank.toString(36)}q`)
let state = 1
const random = () => (state = (state * 48_271) % 0x7fffffff) / 0x7fffffff
const draw = () => vocabulary[Math.floor(vocabulary.length ** random()) - 1] ?? ""
const documents: ReadonlyArray<Document> = Array.from({ length: 2000 }, (_, row) => ({
  id: String(row),
  title: draw(),
  text: Array.from({ length: 30 }, draw).join(" ")
}))

interface Counted {
  /** Postings that a search reads and looks up. */
  readonly cost: (query: string) => number
}

const bm25 = (parameters = defaultParameters): Counted => {
  const builder = new PostingsBuilder(parameters)
  for (const { text, title } of documents) builder.add(title, text)
  const searcher = new Bm25.Searcher(builder.finish())
  return {
    cost: (query) => {
      const before = searcher.postingsScored + searcher.lookups
      searcher.search(query, 3)
      return searcher.postingsScored + searcher.lookups - before
    }
  }
}

const lunr = (): Counted => {
  const searcher = new Lunr.Searcher(Effect.runSync(Weights.build(documents, () => Effect.void)))
  return {
    cost: (query) => {
      const before = searcher.postingsScored
      const search = searcher.begin(query, 3)
      while (!searcher.step(search));
      return searcher.postingsScored - before
    }
  }
}

/** Ten words as common as any. */
const plain = vocabulary.slice(0, 10).join(" ")

/** So many times ten words are as many as an engine searches; what is looked up in vain counts too. */
const multiple = 2 * SearchQuery.mostTerms / 10

const Piece = Schema.Literals([...operators, ...vocabulary.slice(0, 20), ...vocabulary.slice(-20), " ", " "])

describe.each(
  [
    ["BM25", bm25()],
    ["BM25 as Lucene", bm25(luceneParameters)],
    ["lunr", lunr()]
  ] as const
)("%s reads no more for a hostile query", (_, { cost }) => {
  it("than for a plain one, times a constant", () => {
    const most = multiple * cost(plain)
    for (const [name, query] of Object.entries(hostileQueries)) assert.isAtMost(cost(query), most, name)
    assert.isAtMost(cost(vocabulary.join(" ")), most)
    assert.isAtMost(cost(vocabulary.map((word) => `${word} `.repeat(3)).join("* ~")), most)
  })

  it.prop(
    "than for its words, whatever stands between them",
    [Schema.Array(Piece).check(Schema.isMaxLength(60))],
    ([pieces]) => {
      const words = pieces.filter((piece) => vocabulary.includes(piece))
      // letters of operators are words too
      const least = cost(words.join(" "))
      const query = pieces.map((piece) => vocabulary.includes(piece) ? ` ${piece} ` : piece).join("")
      const known = MultilingualAnalyzer.analyze(query).filter((term) => vocabulary.includes(term)).join(" ")
      assert.strictEqual(cost(query), cost(known))
      if (known === words.join(" ")) assert.strictEqual(cost(query), least)
    },
    { arbitrary: { runs: 150 } }
  )

  it("than for one word, when it is repeated", () => {
    const [word = ""] = vocabulary
    assert.strictEqual(cost(`${word} `.repeat(5000)), cost(word))
  })
})

describe("a query", () => {
  it("is read up to a fixed length, and no character is cut in two", () => {
    const long = "x🏝".repeat(100_000)
    const read = SearchQuery.beginning(long)
    assert.isAtMost(read.length, SearchQuery.mostCharacters)
    assert.isTrue(long.startsWith(read))
    assert.notMatch(read, /\p{Cs}/u)
    assert.strictEqual(SearchQuery.beginning("plain"), "plain")
    // a ligature stands for eighteen characters
    const ligatures = "a\uFDFA".repeat(50_000)
    const beginning = SearchQuery.beginning(ligatures)
    assert.isTrue(ligatures.startsWith(beginning))
    assert.isAtMost(beginning.normalize("NFKC").length, SearchQuery.mostCharacters)
    assert.isAbove(beginning.normalize("NFKC").length, SearchQuery.mostCharacters - 38)
    assert.match(
      SearchQuery.leftOut(ligatures, undefined) ?? "",
      /^of 100,000 characters the first 8\d\d are read$/
    )
  })

  it.each(Object.entries(hostileQueries))("is taken apart in a time that grows with its length: %s", (_, query) => {
    const millis = (text: string) => {
      const start = performance.now()
      MultilingualAnalyzer.analyze(text)
      EnglishAnalyzer.analyze(text)
      return performance.now() - start
    }
    const short = query.slice(0, 2000)
    millis(short)
    const ratio = Math.max(1, Math.min(query.length, SearchQuery.mostCharacters) / 2000)
    const read = SearchQuery.beginning(query)
    // a time that grows with the square is 16 times as much for the longest
    assert.isBelow(
      Math.min(millis(read), millis(read), millis(read)),
      5 * ratio * Math.max(3, millis(short), millis(short))
    )
  })
})

describe("Turns", () => {
  it.live("lets others run between the steps of a long search, and of a batch", () =>
    Effect.gen(function*() {
      let steps = 0
      const retriever = Turns.make("slow", {
        begin: () => ({ best: new Best(0), left: 20 }),
        step: (search: { readonly best: Best; left: number }) => {
          const end = performance.now() + 6
          while (performance.now() < end);
          steps += 1
          return --search.left === 0
        }
      }, () => ({ id: "", title: "", text: "" }))
      let turns = 0
      const others = yield* Effect.forkChild(
        Effect.forever(Effect.andThen(Effect.sync(() => void turns++), Effect.yieldNow))
      )
      assert.deepStrictEqual(yield* retriever.search("x", { topK: 3 }), [])
      assert.strictEqual(steps, 20)
      assert.isAtLeast(turns, 5)
      turns = 0
      assert.deepStrictEqual(yield* retriever.searchMany(["x", "y"], { topK: 3 }), [[], []])
      assert.isAtLeast(turns, 10)
      void others
    }))
})
