import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import * as RerankerHttp from "../../../src/layers/reranker/RerankerHttp.ts"
import * as RetrieverMemory from "../../../src/layers/retriever/RetrieverMemory.ts"
import * as RetrieverRerank from "../../../src/layers/retriever/RetrieverRerank.ts"
import { Reranker } from "../../../src/services/Reranker.ts"
import { Retriever } from "../../../src/services/Retriever.ts"
import { retrieverContract } from "../../contract/retriever.ts"
import { controlled } from "../../support/controlledRetriever.ts"
import { type Handler, json, serve } from "../../support/httpServer.ts"
import { passages } from "../../support/passages.ts"

const memory = RetrieverMemory.layer({ documents: passages })

/** Prefers short passages, deterministically. */
const shortFirst = Layer.succeed(
  Reranker,
  Reranker.of({
    name: "short",
    scores: (requests) => Effect.succeed(requests.map(({ documents }) => documents.map(({ text }) => -text.length)))
  })
)

retrieverContract("RetrieverRerank", {
  layer: RetrieverRerank.layer({ candidates: 50 }).pipe(Layer.provide([memory, shortFirst])),
  runs: 5
})

describe("RetrieverRerank", () => {
  it.effect("chooses among more passages than are wanted, each query among its own", () => {
    const inner = controlled()
    const seen: Array<ReadonlyArray<string>> = []
    const reranker = Layer.succeed(
      Reranker,
      Reranker.of({
        name: "last",
        scores: (requests) =>
          Effect.sync(() => {
            for (const { documents, query } of requests) {
              seen.push([query, ...new Set(documents.map(({ title }) => title))])
            }
            return requests.map(({ documents }) => documents.map((_, index) => index))
          })
      })
    )
    return Effect.gen(function*() {
      const results = yield* Retriever.use((retriever) => retriever.searchMany(["a", "b"], { topK: 2 }))
      assert.deepStrictEqual(results.map((hits) => hits.map(({ id }) => id)), [["a-9", "a-8"], ["b-9", "b-8"]])
      assert.deepStrictEqual(inner.calls, [{ queries: ["a", "b"], topK: 10 }])
      assert.deepStrictEqual(seen, [["a", "a"], ["b", "b"]])
    }).pipe(Effect.provide(RetrieverRerank.layer().pipe(Layer.provide([inner.layer, reranker]))))
  })

  it.effect("does not guess which passage a missing score belongs to", () =>
    Effect.gen(function*() {
      const wrong = Layer.succeed(Reranker, Reranker.of({ name: "wrong", scores: () => Effect.succeed([[1]]) }))
      const error = yield* Retriever.use((retriever) => Effect.flip(retriever.search("herring", { topK: 2 }))).pipe(
        Effect.provide(RetrieverRerank.layer().pipe(Layer.provide([controlled().layer, wrong])))
      )
      assert.strictEqual(error._tag, "RetrieverUnexpectedShape")
    }))
})

describe("RerankerHttp", () => {
  const [first, second, third] = passages
  assert(first !== undefined && second !== undefined && third !== undefined)
  const documents = [first, second, third]

  const scoring = (handler: Handler, options?: Partial<RerankerHttp.Options>) =>
    Effect.gen(function*() {
      const server = yield* serve(handler)
      const result = yield* Reranker.use((reranker) =>
        Effect.result(reranker.scores([{ query: "q", documents }, { query: "none", documents: [] }]))
      ).pipe(
        Effect.provide(
          RerankerHttp.layer({ url: new URL(server.url).origin, ...options }).pipe(
            Layer.provide(NodeHttpClient.layerUndici)
          )
        )
      )
      return { result, server }
    })

  it.live("asks the reference's server about one query at a time and finds its passages again", () =>
    Effect.gen(function*() {
      const text = (index: number) => `(Title: ${documents[index]?.title}) ${documents[index]?.text}`
      const { result, server } = yield* scoring((_, response) =>
        json(response, {
          result: [[{ document: text(2), score: 3 }, { document: text(0), score: 1.5 }, {
            document: text(1),
            score: -2
          }]]
        })
      )
      assert.deepStrictEqual(result._tag === "Success" ? result.success : [], [[1.5, -2, 3], []])
      assert.deepStrictEqual(server.urls, ["/rerank"])
      const { documents: sent, ...rest } = JSON.parse(server.bodies[0] ?? "")
      assert.deepStrictEqual(rest, { queries: ["q"], rerank_topk: 3, return_scores: true })
      assert.strictEqual(sent[0][1].document.contents, `${second.title}\n${second.text}`)
    }))

  it.live("speaks with text-embeddings-inference and with Cohere's like", () =>
    Effect.gen(function*() {
      const tei = yield* scoring(
        (_, response) => json(response, [{ index: 1, score: 0.9 }, { index: 0, score: 0.2 }, { index: 2, score: 0.1 }]),
        { dialect: "tei" }
      )
      assert.deepStrictEqual(tei.result._tag === "Success" ? tei.result.success[0] : [], [0.2, 0.9, 0.1])
      const cohere = yield* scoring((_, response) =>
        json(response, {
          results: [{ index: 2, relevance_score: 0.9 }, { index: 0, relevance_score: 0.2 }, {
            index: 1,
            relevance_score: 0.1
          }]
        }), { dialect: "cohere", model: "rerank-v3.5", key: Redacted.make("k") })
      assert.deepStrictEqual(cohere.result._tag === "Success" ? cohere.result.success[0] : [], [0.2, 0.1, 0.9])
      assert.strictEqual(cohere.server.headers[0]?.authorization, "Bearer k")
      assert.strictEqual(JSON.parse(cohere.server.bodies[0] ?? "").model, "rerank-v3.5")
    }))

  it.live.each<unknown>([
    {},
    [],
    [{ index: 0, score: 1 }],
    [{ index: 0, score: 1 }, { index: 1, score: "x" }, { index: 2, score: 1 }],
    [{ index: 0, score: 1 }, { index: 9, score: 1 }, { index: 2, score: 1 }]
  ])("does not accept an answer that leaves a passage without its score (%#)", (answer) =>
    Effect.gen(function*() {
      const { result } = yield* scoring((_, response) => json(response, answer), { dialect: "tei" })
      assert(result._tag === "Failure")
      assert.strictEqual(result.failure._tag, "RetrieverUnexpectedShape")
    }))
})
