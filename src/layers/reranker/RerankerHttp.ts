/**
 * Reranks through a server with a cross-encoder.
 *
 * @since 0.1.0
 */
import { Effect, Layer, type Redacted, Result } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { contents, type Document } from "../../domain/Document.ts"
import * as LaxJson from "../../domain/LaxJson.ts"
import { titledText } from "../../domain/RetrievalWire.ts"
import { Reranker, type RerankRequest } from "../../services/Reranker.ts"
import { type RetrieverError, RetrieverUnexpectedShape } from "../../services/Retriever.ts"
import * as JsonHttp from "../retriever/jsonHttp.ts"
import * as ServerBatches from "../retriever/serverBatches.ts"

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
export interface Options extends ServerBatches.ServerOptions {
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

/** The passage that a result is of: the reference's server names it by its text, others by its number. */
const passageOf = (
  entry: Fields,
  position: number,
  texts: ReadonlyArray<string>,
  dialect: Dialect,
  isFree: (index: number) => boolean
): Result.Result<number, string> => {
  if (dialect === "search-r1") {
    const index = texts.findIndex((text, at) => isFree(at) && text === entry["document"])
    return index === -1
      ? Result.fail(`result ${position} is none of the passages that were sent`)
      : Result.succeed(index)
  }
  const given = entry["index"] ?? undefined
  if (given === undefined) return Result.fail(`result ${position} has no "index"`)
  const index = LaxJson.integer(given)
  if (index === undefined || index < 0 || index >= texts.length) {
    return Result.fail(`the "index" ${JsonHttp.shown(given)} for ${texts.length} passages`)
  }
  return isFree(index) ? Result.succeed(index) : Result.fail(`the "index" ${index} twice`)
}

/** Scores by the position of their passage. */
const decode = (
  dialect: Dialect,
  json: unknown,
  documents: ReadonlyArray<Document>
): Result.Result<ReadonlyArray<number>, string> => {
  const scores = documents.map(() => Number.NaN)
  const result = dialect === "tei" ? json : dialect === "cohere" ? fields(json)["results"] : fields(json)["result"]
  const entries: unknown = dialect === "search-r1" && Array.isArray(result) ? result[0] : result
  if (!Array.isArray(entries)) return Result.fail(`there is no list of results in ${JsonHttp.shown(json)}`)
  const texts = documents.map(titledText)
  for (const [position, entry] of entries.map(fields).entries()) {
    const given = dialect === "cohere" ? entry["relevance_score"] : entry["score"]
    const score = LaxJson.finite(given)
    if (score === undefined) {
      return Result.fail(`the score of result ${position}, ${JsonHttp.shown(given)}, is no number`)
    }
    const index = passageOf(entry, position, texts, dialect, (at) => Number.isNaN(scores[at]))
    if (Result.isFailure(index)) return Result.fail(index.failure)
    scores[index.success] = score
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
      const base = JsonHttp.post(url, options.key)
      const resilient = ServerBatches.resilient(name, options)
      const request = Effect.fnUntraced(
        function*(pair: RerankRequest): Effect.fn.Return<ReadonlyArray<number>, RetrieverError> {
          const json = yield* JsonHttp.execute(
            client,
            name,
            HttpClientRequest.bodyJsonUnsafe(base, body(dialect, options.model, pair))
          )
          const decoded = decode(dialect, json, pair.documents)
          return Result.isSuccess(decoded)
            ? decoded.success
            : yield* new RetrieverUnexpectedShape({ retriever: name, reason: decoded.failure })
        }
      )
      // a passage's score does not depend on the others, so they may be judged in several requests
      const send = ServerBatches.make({
        size: Math.max(1, options.batchSize ?? Number.POSITIVE_INFINITY),
        find: dialect === "tei" && options.batchSize === undefined
          ? ServerBatches.teiBatchSize(client, name, base)
          : undefined
      })
      // a passage's score does not depend on the others, so they may be judged in several requests
      const score = ({ documents, query }: RerankRequest) =>
        send(documents, 1, (batch) => resilient(request({ query, documents: batch })))
      return Reranker.of({
        name,
        scores: Effect.fn("RerankerHttp.scores")((requests) =>
          Effect.forEach(requests, score, { concurrency: options.concurrency ?? 8 })
        )
      })
    })
  )
