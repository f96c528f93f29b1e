/**
 * An index built as Lucene's scores as Lucene does: against what Lucene itself answered, see `scripts/goldens/lucene.mjs`.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Schema, Stream } from "effect"
import { analyze } from "../../../src/domain/EnglishAnalyzer.ts"
import { luceneParameters, PostingsBuilder } from "../../../src/layers/retriever/bm25/postings.ts"
import { Searcher } from "../../../src/layers/retriever/bm25/search.ts"
import * as RetrieverBm25 from "../../../src/layers/retriever/RetrieverBm25.ts"
import json from "../../golden/lucene.json" with { type: "json" }

/** A text, or words and how many times each. */
const Text = Schema.Union([Schema.String, Schema.Array(Schema.Tuple([Schema.String, Schema.Natural]))])
const Golden = Schema.Struct({
  lucene: Schema.String,
  analyses: Schema.Array(Schema.Tuple([Text, Schema.Array(Schema.String)])),
  searches: Schema.Array(Schema.Struct({
    name: Schema.String,
    topK: Schema.Natural,
    passages: Schema.Array(Text),
    queries: Schema.Array(
      Schema.Tuple([Schema.String, Schema.Array(Schema.Tuple([Schema.Natural, Schema.Finite]))])
    )
  }))
})
const golden = Schema.decodeUnknownSync(Golden)(json)

const textOf = (text: typeof Text.Type): string =>
  typeof text === "string" ? text : text.map(([word, times]) => Array(times).fill(word).join(" ")).join(" ")

type Asked = (typeof golden)["searches"][number]

const assertAnswers = ({ queries, topK }: Asked, searcher: Searcher) => {
  for (const [query, hits] of queries) {
    assert.deepStrictEqual(
      searcher.search(query, topK),
      hits.map(([row, score]) => ({ row, score: Math.fround(score) })),
      query
    )
  }
}

describe(`As Lucene ${golden.lucene}`, () => {
  it("makes its terms of every text", () => {
    for (const [text, terms] of golden.analyses) {
      assert.deepStrictEqual(analyze(textOf(text)), [...terms], JSON.stringify(text))
    }
  })

  it.each([...golden.searches])("gives its passages in its order with its scores to the last bit: $name", (asked) => {
    const builder = new PostingsBuilder(luceneParameters)
    for (const passage of asked.passages) builder.add("", textOf(passage))
    assertAnswers(asked, new Searcher(builder.finish()))
  })

  it.live.each([...golden.searches])(
    "does so from a file that was written in pieces: $name",
    (asked) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const path = `${yield* fs.makeTempDirectoryScoped()}/x.idx`
        const documents = asked.passages.map((passage, row) => ({ id: String(row), title: "", text: textOf(passage) }))
        yield* RetrieverBm25.build(Stream.fromArray(documents).pipe(Stream.grouped(2)), path, {
          parameters: luceneParameters,
          pieceSize: 3
        })
        const { postings } = yield* RetrieverBm25.open(path)
        assertAnswers(asked, new Searcher(postings))
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
