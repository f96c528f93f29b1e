/**
 * What the reference's server and SkyRL's answer, over a retriever of ours.
 */
import { Effect, Option, Schema } from "effect"
import { contents } from "../../src/domain/Document.ts"
import type { Retriever } from "../../src/services/Retriever.ts"
import { type Handler, json } from "./httpServer.ts"

const Request = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({
  queries: Schema.optionalKey(Schema.Array(Schema.String)),
  query: Schema.optionalKey(Schema.String),
  topk: Schema.Int,
  return_scores: Schema.Boolean
})))

export const answer = (retriever: Retriever["Service"]): Handler => (body, response) => {
  const request = Option.getOrUndefined(Request(body))
  const queries = request?.queries ?? (request?.query === undefined ? [] : [request.query])
  void Effect.runPromise(retriever.searchMany(queries, { topK: request?.topk ?? 3 })).then((results) =>
    json(response, {
      result: results.map((hits) =>
        hits.map(({ score, ...document }) => {
          const sent = { id: document.id, contents: contents(document) }
          return request?.return_scores === true ? { document: sent, score } : sent
        })
      )
    })
  )
}
