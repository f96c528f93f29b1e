/**
 * Searches an index of Elasticsearch or OpenSearch.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Redacted, Result, Schema } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import * as Corpus from "../../domain/Corpus.ts"
import type { ScoredDocument } from "../../domain/Document.ts"
import * as SearchQuery from "../../domain/SearchQuery.ts"
import {
  Retriever,
  type RetrieverError,
  RetrieverFailed,
  RetrieverRejected,
  RetrieverUnexpectedShape
} from "../../services/Retriever.ts"
import * as JsonHttp from "./jsonHttp.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The cluster, for example `http://127.0.0.1:9200`. */
  readonly url: string | URL
  readonly index: string
  /** Fields to search, with weights. Default `["title^2", "text", "contents"]`. */
  readonly fields?: ReadonlyArray<string> | undefined
  /** An API key (`Authorization: ApiKey …`). */
  readonly apiKey?: Redacted.Redacted | undefined
  /** A name and its password. */
  readonly basic?: { readonly username: string; readonly password: Redacted.Redacted } | undefined
}

const Hit = Schema.Struct({
  _id: Schema.String,
  _score: Schema.NullOr(Schema.Finite),
  _source: Schema.Record(Schema.String, Schema.Unknown)
})
const Failure = Schema.Struct({
  type: Schema.optionalKey(Schema.String),
  reason: Schema.optionalKey(Schema.NullOr(Schema.String))
})
const Answer = Schema.Struct({
  hits: Schema.optionalKey(Schema.Struct({ hits: Schema.Array(Hit) })),
  timed_out: Schema.optionalKey(Schema.Boolean),
  _shards: Schema.optionalKey(Schema.Struct({
    total: Schema.optionalKey(Schema.Int),
    failed: Schema.optionalKey(Schema.Int),
    failures: Schema.optionalKey(Schema.Array(Schema.Struct({ reason: Schema.optionalKey(Failure) })))
  })),
  error: Schema.optionalKey(Failure),
  status: Schema.optionalKey(Schema.Int)
})
type Answer = typeof Answer.Type
const decodeAnswer = Schema.decodeUnknownResult(Answer)
const decodeAnswers = Schema.decodeUnknownResult(Schema.Struct({ responses: Schema.Array(Answer) }))

/** What the standard tokenizer makes at least one term of: a word, or an ideograph. */
const word = /[\p{Script=Han}\p{Script=Hiragana}]|[\p{L}\p{N}\p{M}]+/gu

/** Longer words become several terms. */
const longestTerm = 255

/** Lucene refuses a query of more clauses: one a word and field. */
const mostClauses = SearchQuery.mostTerms

interface Shortened {
  /** The beginning of a text that makes no more clauses than are allowed. */
  readonly text: string
  readonly terms: SearchQuery.Terms
}

const shorten = (text: string, fields: number): Shortened => {
  const most = Math.floor(mostClauses / Math.max(1, fields))
  // the least that could be too much
  if (text.length <= most) return { text, terms: { all: 0, searched: 0 } }
  let all = 0
  let searched = 0
  let end: number | undefined
  for (const { 0: found, index } of text.matchAll(word)) {
    all += Math.ceil(found.length / longestTerm)
    if (all <= most) searched = all
    else end ??= index
  }
  return { text: text.slice(0, end), terms: { all, searched } }
}

/** A line break would end the query's line of `_msearch`; JSON escapes it. */
const lines = (values: ReadonlyArray<unknown>): string => values.map((value) => `${JSON.stringify(value)}\n`).join("")

const make = Effect.fnUntraced(function*(options: Options) {
  const client = yield* HttpClient.HttpClient
  const url = String(options.url).replace(/\/+$/, "")
  const name = `RetrieverElastic(${JsonHttp.withoutCredentials(`${url}/${encodeURIComponent(options.index)}`)})`
  const fields = options.fields ?? ["title^2", "text", "contents"]
  const post = (path: string) =>
    JsonHttp.post(`${url}/${path}`).pipe(
      options.apiKey === undefined
        ? (request) => request
        : HttpClientRequest.setHeader("authorization", `ApiKey ${Redacted.value(options.apiKey)}`),
      options.basic === undefined
        ? (request) => request
        : HttpClientRequest.basicAuth(options.basic.username, options.basic.password)
    )

  // `match` never fails on its text, unlike `query_string`, and equal scores are told apart by the shard's order
  const query = (text: string, size: number) => ({
    size,
    query: {
      multi_match: { query: shorten(SearchQuery.beginning(text), fields.length).text, fields, type: "most_fields" }
    },
    sort: ["_score", "_doc"],
    track_scores: true,
    _source: ["id", "title", "text", "contents"]
  })

  const documents = (answer: Answer): Effect.Effect<ReadonlyArray<ScoredDocument>, RetrieverError> => {
    if (answer.error !== undefined) {
      return Effect.fail(
        new RetrieverRejected({
          retriever: name,
          status: answer.status ?? 500,
          body: `${answer.error.type ?? "error"}: ${answer.error.reason ?? ""}`
        })
      )
    }
    if (answer.timed_out === true) {
      return Effect.fail(
        new RetrieverFailed({ retriever: name, cause: new Error("the cluster gave up before all shards answered") })
      )
    }
    const { failed = 0, failures, total = 0 } = answer._shards ?? {}
    if (failed > 0) {
      const reason = failures?.[0]?.reason?.reason ?? failures?.[0]?.reason?.type ?? "they do not say why"
      const cause = new Error(`${failed} of ${total} shards failed, so that passages are missing: ${reason}`)
      return Effect.fail(new RetrieverFailed({ retriever: name, cause }))
    }
    if (answer.hits === undefined) {
      return Effect.fail(new RetrieverUnexpectedShape({ retriever: name, reason: "there are no \"hits\"" }))
    }
    const found: Array<ScoredDocument> = []
    for (const { _id, _score, _source } of answer.hits.hits) {
      const document = Corpus.fromJson({ id: _id, ..._source })
      if (Result.isFailure(document)) {
        return Effect.fail(
          new RetrieverUnexpectedShape({ retriever: name, reason: `document ${_id}: ${document.failure}` })
        )
      }
      found.push({ ...document.success, score: _score ?? 0 })
    }
    return Effect.succeed(found)
  }

  const unexpected = (error: { readonly message: string }) =>
    new RetrieverUnexpectedShape({ retriever: name, reason: error.message })

  return Retriever.fromBoth(name, {
    search: Effect.fn("RetrieverElastic.search")(function*(text, { topK }) {
      if (topK <= 0 || text.trim() === "") return []
      const request = HttpClientRequest.bodyJsonUnsafe(
        post(`${encodeURIComponent(options.index)}/_search`),
        query(text, topK)
      )
      const json = yield* JsonHttp.execute(client, name, request)
      return yield* documents(yield* Effect.mapError(Effect.fromResult(decodeAnswer(json)), unexpected))
    }),
    searchMany: Effect.fn("RetrieverElastic.searchMany")(function*(texts, { topK }) {
      const asked = texts.flatMap((text, index) => topK <= 0 || text.trim() === "" ? [] : [{ text, index }])
      const results: Array<ReadonlyArray<ScoredDocument>> = texts.map(() => [])
      if (asked.length === 0) return results
      const body = lines(asked.flatMap(({ text }) => [{ index: options.index }, query(text, topK)]))
      const request = HttpClientRequest.bodyText(post("_msearch"), body, "application/x-ndjson")
      const json = yield* JsonHttp.execute(client, name, request)
      const { responses } = yield* Effect.mapError(Effect.fromResult(decodeAnswers(json)), unexpected)
      if (responses.length !== asked.length) {
        return yield* unexpected({ message: `${responses.length} responses for ${asked.length} queries` })
      }
      for (const [position, answer] of responses.entries()) {
        results[asked[position]?.index ?? 0] = yield* documents(answer)
      }
      return results
    })
  }, { countTerms: (text) => shorten(SearchQuery.beginning(text), fields.length).terms })
})

/**
 * Searches by the cluster's BM25; of a query of many hundred words, as many as Lucene takes. Documents hold `title` and `text`, or the reference's `contents`; a batch is one
 * `_msearch`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Retriever, never, HttpClient.HttpClient> =>
  Layer.effect(Retriever, make(options))
