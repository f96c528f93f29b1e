/**
 * Asks a retrieval server over HTTP: the reference's, SkyRL's, or `search-r1 serve`.
 *
 * @since 0.1.0
 */
import { Config, Effect, Layer, Result } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { Retriever, RetrieverUnexpectedShape } from "../../services/Retriever.ts"
import * as JsonHttp from "./jsonHttp.ts"
import * as Wire from "./wire.ts"

/**
 * What a server wants to be sent (all answer alike):
 *
 * - `search-r1`: `{queries, topk, return_scores}`, a batch a request (`retrieval_server.py`).
 * - `search-r1-rerank`: `{queries, topk_retrieval, topk_rerank, return_scores}` (`retrieval_rerank_server.py`).
 * - `skyrl`: `{query, topk, return_scores}`, one query a request (`skyrl_gym/tools/search.py`).
 *
 * @category models
 * @since 0.1.0
 */
export type Dialect = "search-r1" | "search-r1-rerank" | "skyrl"

/**
 * @category constants
 * @since 0.1.0
 */
export const dialects: readonly [Dialect, ...ReadonlyArray<Dialect>] = ["search-r1", "search-r1-rerank", "skyrl"]

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** URL of the endpoint; `/retrieve` is added to a URL without a path. */
  readonly url: string | URL
  /** @default "search-r1" */
  readonly dialect?: Dialect | undefined
  /** Whether to ask for scores. The reference's server crashes when they are not asked for (quirk Q40). Default true. */
  readonly returnScores?: boolean | undefined
  /** Passages that the rerank dialect fetches for each one that it keeps. Default 10. */
  readonly rerankFrom?: number | undefined
  /** Requests in flight for one batch in the dialect of one query a request. Default 16. */
  readonly concurrency?: number | undefined
  /** Sent as `Authorization: Bearer …`. */
  readonly bearerToken?: string | undefined
}

/**
 * The endpoint that a server's URL means: `/retrieve` unless it has a path.
 *
 * @category getters
 * @since 0.1.0
 */
export const endpoint = (url: string | URL): string => {
  const parsed = new URL(url)
  if (parsed.pathname === "/") parsed.pathname = "/retrieve"
  return parsed.toString()
}

const make = Effect.fnUntraced(function*(options: Options) {
  const client = yield* HttpClient.HttpClient
  const url = endpoint(options.url)
  const name = `RetrieverRemote(${JsonHttp.withoutCredentials(url)})`
  const dialect = options.dialect ?? "search-r1"
  const returnScores = options.returnScores ?? true
  const base = JsonHttp.post(url, options.bearerToken)

  const ask = Effect.fn("RetrieverRemote.request")(
    function*(payload: Readonly<Record<string, unknown>>, queries: number, topK: number) {
      yield* Effect.annotateCurrentSpan({ url, queries, topK })
      const json = yield* JsonHttp.execute(client, name, HttpClientRequest.bodyJsonUnsafe(base, payload))
      const decoded = Wire.decodeResult(json, queries, topK)
      return Result.isSuccess(decoded)
        ? decoded.success
        : yield* new RetrieverUnexpectedShape({ retriever: name, reason: decoded.failure })
    }
  )

  if (dialect === "skyrl") {
    return Retriever.fromSearch(
      name,
      (query, { topK }) =>
        topK <= 0 ? Effect.succeed([]) : Effect.map(
          ask({ query, topk: topK, return_scores: returnScores }, 1, topK),
          ([documents]) => documents ?? []
        ),
      { concurrency: options.concurrency ?? 16 }
    )
  }
  return Retriever.fromSearchMany(name, (queries, { topK }) => {
    // quirk Q10: the reference sends a request for nothing
    if (queries.length === 0 || topK <= 0) return Effect.succeed(queries.map(() => []))
    const sizes = dialect === "search-r1"
      ? { topk: topK }
      : { topk_retrieval: Math.max(options.rerankFrom ?? 10, topK), topk_rerank: topK }
    return ask({ queries, ...sizes, return_scores: returnScores }, queries.length, topK)
  })
})

/**
 * A retriever behind an HTTP endpoint. It neither waits for ever nor tries again by itself: see `RetrieverTimeLimit`,
 * `RetrieverRetry` and `RetrieverResilient`. `topK` 0 or less sends no request.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Retriever, never, HttpClient.HttpClient> =>
  Layer.effect(Retriever, make(options))

/**
 * {@link layer} with the options from `RETRIEVER_URL`, `RETRIEVER_DIALECT` and `RETRIEVER_TOKEN`. They are read wherever
 * the layer is provided.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<Retriever, Config.ConfigError, HttpClient.HttpClient> = Layer.fresh(Layer.effect(
  Retriever,
  Effect.gen(function*() {
    const options = yield* Config.all({
      url: Config.URL("URL").pipe(Config.withDefault(new URL("http://127.0.0.1:8000/retrieve"))),
      dialect: Config.Literals(dialects, "DIALECT").pipe(Config.withDefault("search-r1" as const)),
      bearerToken: Config.String("TOKEN").pipe(Config.withDefault(undefined))
    }).pipe(Config.nested("RETRIEVER"))
    return yield* make(options)
  })
))
