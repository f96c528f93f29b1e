/**
 * What every Retriever must do, whatever is behind it. Each implementation is run over `passages`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Schema, type Scope } from "effect"
import type { Document } from "../../src/domain/Document.ts"
import { Retriever, type RetrieverError } from "../../src/services/Retriever.ts"
import { hostileQueries } from "../support/hostileQueries.ts"
import { passages, queries, unknown } from "../support/passages.ts"
import { withWarnings } from "../support/warnings.ts"

export interface ContractOptions {
  /** A retriever over `passages`. */
  readonly layer: Layer.Layer<Retriever, unknown>
  /** Whether a query without a word of the corpus has no hits; dense retrievers always find something. Default true. */
  readonly exact?: boolean
  /** How the engine gives a passage back, where not to the letter: hosted engines have addresses for ids. */
  readonly shown?: (passage: Document) => Document
  /** Passages that are searched besides `passages`. */
  readonly others?: ReadonlyArray<Document>
  /** Runs of the property over arbitrary text. */
  readonly runs?: number
}

const texts: ReadonlyArray<string> = [
  "",
  " ",
  "\n\t",
  "?!.,;:-",
  "+must -not title:herring ~2 her* ^5 \"phrase",
  "AND OR NOT (herring) && || !",
  "/regex/ [a TO b] {a TO b} \\",
  "\u0000\u0001\u007F",
  "\uD800 lone \uDC00",
  "北海 jökulhlaup Элан 🧭🏝️ é",
  "constructor __proto__ toString hasOwnProperty",
  "herring ".repeat(20_000),
  ...Object.values(hostileQueries)
]

const longQuery = "herring ".repeat(2500)

export const retrieverContract = (name: string, options: ContractOptions): void => {
  const shown = [...passages, ...options.others ?? []].map(options.shown ?? ((passage) => passage))
  const known = new Map(shown.map((passage) => [passage.id, passage]))
  const withRetriever = <A>(
    use: (retriever: Retriever["Service"]) => Effect.Effect<A, RetrieverError, Scope.Scope>
  ): Effect.Effect<A, unknown, Scope.Scope> =>
    Effect.gen(function*() {
      const context = yield* Layer.build(options.layer)
      return yield* use(Context.get(context, Retriever))
    })

  describe(`${name} keeps the contract of Retriever`, () => {
    it.live("finds passages, best first, and gives them back whole", () =>
      withRetriever((retriever) =>
        Effect.gen(function*() {
          for (const query of queries) {
            const hits = yield* retriever.search(query, { topK: 5 })
            assert.isAbove(hits.length, 0, query)
            for (const [index, { score, ...document }] of hits.entries()) {
              assert.deepStrictEqual(document, known.get(document.id))
              assert.isTrue(Number.isFinite(score))
              assert.isAtLeast(hits[index - 1]?.score ?? Number.POSITIVE_INFINITY, score)
            }
            assert.strictEqual(new Set(hits.map((hit) => hit.id)).size, hits.length)
          }
        })
      ))

    it.live("returns at most topK passages, and the same first ones for any topK", () =>
      withRetriever((retriever) =>
        Effect.gen(function*() {
          const [query = ""] = queries
          const many = yield* retriever.search(query, { topK: 50 })
          for (const topK of [0, 1, 2, 3, 7]) {
            const hits = yield* retriever.search(query, { topK })
            assert.deepStrictEqual(hits.map((hit) => hit.id), many.slice(0, topK).map((hit) => hit.id))
          }
        })
      ))

    it.live("answers a batch like its queries one by one, repeated ones included", () =>
      withRetriever((retriever) =>
        Effect.gen(function*() {
          const batch = [...queries, unknown, "", ...queries]
          const together = yield* retriever.searchMany(batch, { topK: 3 })
          const alone = yield* Effect.forEach(batch, (query) => retriever.search(query, { topK: 3 }))
          assert.deepStrictEqual(together, alone)
        })
      ))

    it.live("answers an empty batch with nothing", () =>
      withRetriever((retriever) =>
        Effect.map(retriever.searchMany([], { topK: 3 }), (results) => assert.deepStrictEqual(results, []))
      ))

    if (options.exact !== false) {
      it.live("finds nothing for words that no passage has", () =>
        withRetriever((retriever) =>
          Effect.map(retriever.search(unknown, { topK: 3 }), (hits) => assert.deepStrictEqual(hits, []))
        ))
    }

    it.live.each([...texts])(
      "takes any text as a query (%#)",
      (text) =>
        withRetriever((retriever) =>
          Effect.gen(function*() {
            const hits = yield* retriever.search(text, { topK: 3 })
            assert.isAtMost(hits.length, 3)
            for (const hit of hits) assert.isTrue(known.has(hit.id))
          })
        )
    )

    it.live.prop(
      "takes any Unicode text as a query",
      [Schema.Array(Schema.String)],
      ([texts]) =>
        withRetriever((retriever) =>
          Effect.gen(function*() {
            const results = yield* retriever.searchMany(texts, { topK: 2 })
            assert.strictEqual(results.length, texts.length)
          })
        ),
      { arbitrary: { runs: options.runs ?? 20 } }
    )

    it.live("says of each query how much of it is left out, and of none that is searched whole", () =>
      withRetriever((retriever) =>
        Effect.gen(function*() {
          const { warnings } = yield* withWarnings(retriever.searchMany([longQuery, "herring", longQuery], { topK: 1 }))
          const told = warnings.filter((warning) => warning.includes("of 20,000 characters the first 8,192 are read"))
          assert.isAtLeast(told.length, 1)
          assert.isAtMost(told.length, 2)
          const whole = yield* withWarnings(retriever.search("herring ".repeat(60), { topK: 1 }))
          assert.deepStrictEqual(whole.warnings, [])
        })
      ))

    it.live("answers many searches at once like one after the other", () =>
      withRetriever((retriever) =>
        Effect.gen(function*() {
          const asked = Array.from({ length: 40 }, (_, index) => queries[index % queries.length] ?? "")
          const atOnce = yield* Effect.forEach(asked, (query) => retriever.search(query, { topK: 3 }), {
            concurrency: "unbounded"
          })
          for (const [index, query] of asked.slice(0, queries.length).entries()) {
            assert.deepStrictEqual(atOnce[index], yield* retriever.search(query, { topK: 3 }))
          }
          for (const [index, hits] of atOnce.entries()) {
            assert.deepStrictEqual(hits, atOnce[index % queries.length])
          }
        })
      ))

    it.live("goes on after interrupted searches", () =>
      withRetriever((retriever) =>
        Effect.gen(function*() {
          const fibers = yield* Effect.forEach(
            Array.from({ length: 20 }, (_, index) => `${queries[index % queries.length]} ${index}`),
            (query) => Effect.forkChild(retriever.search(query, { topK: 3 }), { startImmediately: true })
          )
          yield* Fiber.interruptAll(fibers)
          const hits = yield* retriever.search(`${queries[0]} 0`, { topK: 3 })
          assert.isAbove(hits.length, 0)
        })
      ))
  })
}
