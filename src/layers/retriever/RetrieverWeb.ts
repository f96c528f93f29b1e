/**
 * Searches the web through hosted engines: Google, SerpAPI, Serper, Brave, Tavily.
 *
 * @since 0.1.0
 */
import { Config, Effect, Layer, Redacted, Result } from "effect"
import { HttpClient } from "effect/http"
import {
  Retriever,
  type RetrieverError,
  RetrieverQuotaExceeded,
  RetrieverUnexpectedShape
} from "../../services/Retriever.ts"
import * as JsonHttp from "./jsonHttp.ts"
import * as Providers from "./webProviders.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly key: Redacted.Redacted
  /** Another address, such as a proxy's. */
  readonly url?: string | undefined
  /** Requests in flight for one batch: the engines take one query a request. Default 4. */
  readonly concurrency?: number | undefined
}

const make = Effect.fnUntraced(function*(provider: Providers.Provider, options: Options) {
  const client = yield* HttpClient.HttpClient
  const { name } = provider
  const url = options.url ?? provider.url

  const typed = (error: RetrieverError): RetrieverError =>
    error._tag === "RetrieverRejected" && provider.isQuota(error.status, error.body)
      ? new RetrieverQuotaExceeded({
        retriever: name,
        reason: error.body === "" ? `status ${error.status}` : error.body
      })
      : error

  return Retriever.fromSearch(
    name,
    Effect.fn("RetrieverWeb.search")(function*(query, { topK }) {
      yield* Effect.annotateCurrentSpan({ engine: name, topK })
      // the engines refuse an empty query, and a search for nothing costs as much as any
      if (topK <= 0 || query.trim() === "") return []
      const request = provider.request(
        url,
        Redacted.value(options.key),
        query.replaceAll(/\p{Cs}/gu, "\uFFFD"),
        Math.min(topK, provider.maxResults)
      )
      const json = yield* JsonHttp.execute(client, name, request).pipe(Effect.mapError(typed))
      const decoded = provider.decode(json)
      return Result.isSuccess(decoded)
        ? Providers.documents(decoded.success, topK)
        : yield* new RetrieverUnexpectedShape({ retriever: name, reason: decoded.failure })
    }),
    { concurrency: options.concurrency ?? 4 }
  )
})

type WebLayer<E = never> = Layer.Layer<Retriever, E, HttpClient.HttpClient>

const layerOf = (provider: Providers.Provider, options: Options): WebLayer =>
  Layer.effect(Retriever, make(provider, options))

/** Read wherever the layer is provided: two programs in one process may have keys of their own. */
const layerFromConfig = (provider: Config.Config<Providers.Provider>, key: string): WebLayer<Config.ConfigError> =>
  Layer.fresh(Layer.unwrap(Effect.gen(function*() {
    return layerOf(yield* provider, { key: yield* Config.Redacted(key) })
  })))

/**
 * Google's Custom Search JSON API; `engine` is the id of the search engine (`cx`).
 *
 * @category layers
 * @since 0.1.0
 */
export const layerGoogle = (options: Options & { readonly engine: string }): WebLayer =>
  layerOf(Providers.google(options.engine), options)

/**
 * {@link layerGoogle} with `GOOGLE_API_KEY` and `GOOGLE_CSE_ID`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerGoogleConfig: WebLayer<Config.ConfigError> = layerFromConfig(
  Config.map(Config.String("GOOGLE_CSE_ID"), Providers.google),
  "GOOGLE_API_KEY"
)

/**
 * SerpAPI's Google engine: the answer box, the pages and related questions, `topK` in all.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSerpApi = (options: Options): WebLayer => layerOf(Providers.serpApi, options)

/**
 * {@link layerSerpApi} with `SERPAPI_API_KEY`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSerpApiConfig: WebLayer<Config.ConfigError> = layerFromConfig(
  Config.succeed(Providers.serpApi),
  "SERPAPI_API_KEY"
)

/**
 * @category layers
 * @since 0.1.0
 */
export const layerSerper = (options: Options): WebLayer => layerOf(Providers.serper, options)

/**
 * {@link layerSerper} with `SERPER_API_KEY`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSerperConfig: WebLayer<Config.ConfigError> = layerFromConfig(
  Config.succeed(Providers.serper),
  "SERPER_API_KEY"
)

/**
 * @category layers
 * @since 0.1.0
 */
export const layerBrave = (options: Options): WebLayer => layerOf(Providers.brave, options)

/**
 * {@link layerBrave} with `BRAVE_API_KEY`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerBraveConfig: WebLayer<Config.ConfigError> = layerFromConfig(
  Config.succeed(Providers.brave),
  "BRAVE_API_KEY"
)

/**
 * @category layers
 * @since 0.1.0
 */
export const layerTavily = (options: Options): WebLayer => layerOf(Providers.tavily, options)

/**
 * {@link layerTavily} with `TAVILY_API_KEY`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTavilyConfig: WebLayer<Config.ConfigError> = layerFromConfig(
  Config.succeed(Providers.tavily),
  "TAVILY_API_KEY"
)
