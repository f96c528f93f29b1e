/**
 * Reranks through a server with a cross-encoder.
 *
 * @since 0.1.0
 */
import { Effect, Layer, type Redacted, Result } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { contents, type Document } from "../../domain/Document.ts"
import { titledText } from "../../domain/RetrievalWire.ts"
import { Reranker, type RerankRequest } from "../../services/Reranker.ts"
import { type RetrieverError, RetrieverUnexpectedShape } from "../../services/Retriever.ts"
import * as JsonHttp from "../retriever/jsonHttp.ts"

/**
 * What a server wants to be sent:
 *
 * - `search-r1`: `{queries, documents, rerank_topk, return_scores}` (`rerank_server.py`, port 6980), one query a request:
 *   the reference mixes the passages of several (quirk Q41). Its answer names passages by their text.
 * - `tei`: `{query, texts}`, answered with `[{index, score}]` (Hugging Face text-embeddings-inference).
 * - `cohere`: `{model, query, documents}`, answered with `{results: [{index, relevance_score}]}` (Cohere, Jina, vLLM).
 *
 * @category models
 * @since 0.1.0
 */
export type Dialect = "search-r1" | "tei" | "cohere"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** URL of the endpoint; `/rerank` is added to a URL without a path. */
  readonly url: string | URL
  /** Default `search-r1`. */
  readonly dialect?: Dialect | undefined
  /** For `cohere`. */
  readonly model?: string | undefined
  readonly key?: Redacted.Redacted | undefined
  /** Requests in flight for one call. Default 8. */
  readonly concurrency?: number | undefined
}

type Fields = Readonly<Record<string, unknown>>
const fields = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {}

const body = (dialect: Dialect, model: string | undefined, { documents, query }: RerankRequest): Fields => {
  switch (dialect) {
    case "search-r1":
      return {
        queries: [query],
        documents: [documents.map((document) => ({ document: { id: document.id, contents: contents(document) } }))],
        rerank_topk: documents.length,
        return_scores: true
      }
    case "tei":
      return { query, texts: documents.map(contents), truncate: true }
    case "cohere":
      return { ...(model === undefined ? {} : { model }), query, documents: documents.map(contents) }
  }
}

/** Scores by the position of their passage; NaN where the answer has none. */
const decode = (
  dialect: Dialect,
  json: unknown,
  documents: ReadonlyArray<Document>
): Result.Result<ReadonlyArray<number>, string> => {
  const scores = documents.map(() => Number.NaN)
  const result = dialect === "tei" ? json : dialect === "cohere" ? fields(json)["results"] : fields(json)["result"]
  const entries: unknown = dialect === "search-r1" && Array.isArray(result) ? result[0] : result
  if (!Array.isArray(entries)) return Result.fail("there is no list of results")
  const texts = documents.map(titledText)
  for (const entry of entries.map(fields)) {
    const score = dialect === "cohere" ? entry["relevance_score"] : entry["score"]
    const index = dialect === "search-r1"
      ? texts.findIndex((text, at) => Number.isNaN(scores[at]) && text === entry["document"])
      : entry["index"]
    if (typeof score !== "number" || !Number.isFinite(score)) return Result.fail("a result has no score")
    if (typeof index !== "number" || !(index in scores)) return Result.fail("a result is of no passage that was sent")
    scores[index] = score
  }
  const missing = scores.findIndex(Number.isNaN)
  return missing === -1 ? Result.succeed(scores) : Result.fail(`passage ${missing} has no score`)
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Reranker, never, HttpClient.HttpClient> =>
  Layer.effect(
    Reranker,
    Effect.gen(function*() {
      const client = yield* HttpClient.HttpClient
      const dialect = options.dialect ?? "search-r1"
      const url = new URL(options.url)
      if (url.pathname === "/") url.pathname = "/rerank"
      const name = `RerankerHttp(${url.origin}${url.pathname})`
      const base = HttpClientRequest.post(url).pipe(
        HttpClientRequest.acceptJson,
        options.key === undefined ? (request) => request : HttpClientRequest.bearerToken(options.key)
      )
      const score = Effect.fnUntraced(
        function*(request: RerankRequest): Effect.fn.Return<ReadonlyArray<number>, RetrieverError> {
          if (request.documents.length === 0) return []
          const json = yield* JsonHttp.execute(
            client,
            name,
            HttpClientRequest.bodyJsonUnsafe(base, body(dialect, options.model, request))
          )
          const decoded = decode(dialect, json, request.documents)
          return Result.isSuccess(decoded)
            ? decoded.success
            : yield* new RetrieverUnexpectedShape({ retriever: name, reason: decoded.failure })
        }
      )
      return Reranker.of({
        name,
        scores: Effect.fn("RerankerHttp.scores")((requests) =>
          Effect.forEach(requests, score, { concurrency: options.concurrency ?? 8 })
        )
      })
    })
  )
