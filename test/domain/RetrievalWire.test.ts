import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as RetrievalWire from "../../src/domain/RetrievalWire.ts"

const limits = { defaultTopK: 3, maxTopK: 10, maxQueries: 2, maxPassages: 12 }
const outcome = <A>(result: Result.Result<A, RetrievalWire.Problem>): unknown =>
  Result.match(result, {
    onSuccess: (value): unknown => value,
    onFailure: ({ field, message, status }) => `${status} ${field}: ${message}`
  })
const retrieve = (json: unknown) => outcome(RetrievalWire.decodeRetrieve(json, limits))
const rerank = (json: unknown) => outcome(RetrievalWire.decodeRerank(json, limits))

describe("requests to /retrieve (spec: retrieval server)", () => {
  it.each<readonly [unknown, unknown]>([
    [{ queries: ["a"] }, { queries: ["a"], topK: 3, returnScores: false }],
    [{ queries: ["a", "b"], topk: 5, return_scores: true }, { queries: ["a", "b"], topK: 5, returnScores: true }],
    [{ query: "a", topk: null, return_scores: null }, { queries: ["a"], topK: 3, returnScores: false }],
    [{ queries: [], topk: 0 }, { queries: [], topK: 3, returnScores: false }],
    [{ queries: ["a"], topk: "4", return_scores: "yes" }, { queries: ["a"], topK: 4, returnScores: true }],
    [{ queries: ["a"], topk: 10 }, { queries: ["a"], topK: 10, returnScores: false }],
    [{ queries: ["a", "b"], topk: 6 }, { queries: ["a", "b"], topK: 6, returnScores: false }],
    [
      { queries: ["a", "b"], topk: 7 },
      "413 topk: 2 queries for 7 passages each are more than 12 passages: send fewer " +
      "queries in a request, or ask for fewer passages"
    ],
    [{ queries: ["a", "b", "c"] }, "413 queries: At most 2 queries in a request"],
    [{ queries: ["a"], topk: 11 }, "422 topk: Input should be at most 10"],
    [{ queries: ["a"], topk: -1 }, "422 topk: Input should be a non-negative integer"],
    [{ queries: ["a"], topk: 1.5 }, "422 topk: Input should be a non-negative integer"],
    [{ queries: ["a"], topk: [] }, "422 topk: Input should be a non-negative integer"],
    [{ queries: ["a"], return_scores: 2 }, "422 return_scores: Input should be a boolean"],
    [{ queries: [1] }, "422 queries: Each query should be a string"],
    [{ queries: ["a", null] }, "422 queries: Each query should be a string"],
    [{ queries: "a" }, "422 queries: Input should be a list of strings"],
    [{ queries: null }, "422 queries: Input should be a list of strings"],
    [{ query: 1 }, "422 queries: \"query\" should be a string"],
    [{}, "422 queries: Field required"],
    [[], "422 : Input should be an object"],
    [null, "422 : Input should be an object"]
  ])("%j", (json, expected) => assert.deepStrictEqual(retrieve(json), expected))
})

describe("requests to /rerank", () => {
  const passage = { id: "1", title: "T", text: "x" }
  it.each<readonly [unknown, unknown]>([
    [{ queries: ["a"], documents: [[{ id: "1", contents: "T\nx" }]] }, {
      queries: ["a"],
      documents: [[passage]],
      topK: 3,
      returnScores: false
    }],
    [{
      query: "a",
      documents: [[{ document: { id: 1, title: "T", text: "x" } }, { contents: "T\nx" }]],
      rerank_topk: 1,
      return_scores: true
    }, { queries: ["a"], documents: [[passage, { ...passage, id: "" }]], topK: 1, returnScores: true }],
    [{ queries: ["a"], documents: [[]] }, { queries: ["a"], documents: [[]], topK: 3, returnScores: false }],
    [{ queries: ["a"], documents: [] }, "422 documents: Input should be a list of passages for each query"],
    [{ queries: ["a"] }, "422 documents: Input should be a list of passages for each query"],
    [{ queries: ["a"], documents: [3] }, "422 documents: Each passage needs \"contents\", or \"title\" and \"text\""],
    [
      { queries: ["a"], documents: [[{}]] },
      "422 documents: Each passage needs \"contents\", or \"title\" and \"text\""
    ],
    [
      { queries: ["a"], documents: [["x"]] },
      "422 documents: Each passage needs \"contents\", or \"title\" and \"text\""
    ],
    [{ queries: ["a"], documents: [[]], rerank_topk: 11 }, "422 rerank_topk: Input should be at most 10"],
    [{ queries: ["a"], documents: [[]], return_scores: "x" }, "422 return_scores: Input should be a boolean"],
    [{ documents: [] }, "422 queries: Field required"],
    ["x", "422 : Input should be an object"]
  ])("%j", (json, expected) => assert.deepStrictEqual(rerank(json), expected))
})

describe("answers", () => {
  const hit = { id: "7", title: "\"T\"", text: "x", score: 0.5 }

  it("hold documents as the reference's server does, with scores or without", () => {
    assert.deepStrictEqual(JSON.parse(RetrievalWire.encodeHits([hit], true)), [
      { document: { id: "7", contents: "\"T\"\nx" }, score: 0.5 }
    ])
    assert.deepStrictEqual(JSON.parse(RetrievalWire.encodeHits([hit], false)), [{ id: "7", contents: "\"T\"\nx" }])
    assert.deepStrictEqual(JSON.parse(RetrievalWire.encodeReranked([hit], true)), [
      { document: "(Title: \"T\") x", score: 0.5 }
    ])
    assert.deepStrictEqual(JSON.parse(RetrievalWire.encodeReranked([hit], false)), ["(Title: \"T\") x"])
    assert.strictEqual(RetrievalWire.encodeResult(["[1]", "[2]", "[3]"]).join(""), "{\"result\":[[1],[2],[3]]}")
    assert.strictEqual(RetrievalWire.encodeResult([]).join(""), "{\"result\":[]}")
  })

  it("of wrong requests are those of FastAPI", () => {
    assert.deepStrictEqual(JSON.parse(RetrievalWire.encodeProblem({ field: "topk", message: "no" })), {
      detail: [{ loc: ["body", "topk"], msg: "no", type: "value_error" }]
    })
    assert.deepStrictEqual(JSON.parse(RetrievalWire.encodeProblem({ field: "", message: "no" }, "json_invalid")), {
      detail: [{ loc: ["body"], msg: "no", type: "json_invalid" }]
    })
    assert.strictEqual(RetrievalWire.encodeDetail("busy"), "{\"detail\":\"busy\"}")
  })
})
