/**
 * Engines that others run, as the command line names them: the web's, a cluster of Elasticsearch, a language model.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Config, Effect, Layer, Option, Redacted, Schema } from "effect"
import type { CliError } from "effect/cli"
import * as PercentEncoding from "../domain/PercentEncoding.ts"
import * as RetrieverElastic from "../layers/retriever/RetrieverElastic.ts"
import * as RetrieverSimulated from "../layers/retriever/RetrieverSimulated.ts"
import * as RetrieverWeb from "../layers/retriever/RetrieverWeb.ts"
import type { Retriever } from "../services/Retriever.ts"
import * as Flag from "./flag.ts"
import { httpUrl } from "./httpUrl.ts"
import { userError } from "./userError.ts"

/**
 * @category flags
 * @since 0.1.0
 */
export const hostedFlags = {
  web: Flag.Literals("web", ["google", "serpapi", "serper", "brave", "tavily"]).pipe(
    Flag.withDescription(
      "Search the web; keys from GOOGLE_API_KEY and GOOGLE_CSE_ID, SERPAPI_API_KEY, SERPER_API_KEY, BRAVE_API_KEY or TAVILY_API_KEY"
    ),
    Flag.optional
  ),
  elastic: Flag.String("elastic").pipe(
    Flag.withMetavar("URL/INDEX"),
    Flag.withDescription(
      "Search an index of Elasticsearch or OpenSearch, e.g. http://127.0.0.1:9200/wiki-18; name and password in the URL, or " +
        "an API key in ELASTICSEARCH_API_KEY"
    ),
    Flag.optional
  ),
  simulated: Flag.String("simulated").pipe(
    Flag.withMetavar("URL#MODEL"),
    Flag.withDescription(
      "Let a language model play the search engine, e.g. http://127.0.0.1:8000/v1#Qwen2.5-7B-Instruct; key in SIMULATED_API_KEY"
    ),
    Flag.optional
  ),
  noise: Flag.Finite("noise").pipe(
    Flag.withSchema(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
    Flag.withDescription("Share of queries for which --simulated writes documents that do not help"),
    Flag.withDefault(0)
  )
}

/**
 * @category models
 * @since 0.1.0
 */
export type WebEngine = "google" | "serpapi" | "serper" | "brave" | "tavily"

/**
 * What the flags parse to.
 *
 * @category models
 * @since 0.1.0
 */
export interface HostedInput {
  readonly web?: Option.Option<WebEngine> | undefined
  readonly elastic?: Option.Option<string> | undefined
  readonly simulated?: Option.Option<string> | undefined
  readonly noise?: number | undefined
}

type HostedLayer = Layer.Layer<Retriever, CliError.UserError>

/**
 * An engine that others run.
 *
 * @category models
 * @since 0.2.0
 */
export interface HostedEngine {
  readonly layer: HostedLayer
  /** Whether it answers one query a request. */
  readonly oneByOne: boolean
  /** What decides its answers besides a query, where its name does not say all of it: answers on disk are kept under it. */
  readonly identity?: string | undefined
}

const failure = (message: string, hint?: string): HostedLayer =>
  Layer.effectContext(Effect.fail(userError(message, hint)))

const webEngines = {
  google: { layer: RetrieverWeb.layerGoogleConfig, keys: "GOOGLE_API_KEY and GOOGLE_CSE_ID" },
  serpapi: { layer: RetrieverWeb.layerSerpApiConfig, keys: "SERPAPI_API_KEY" },
  serper: { layer: RetrieverWeb.layerSerperConfig, keys: "SERPER_API_KEY" },
  brave: { layer: RetrieverWeb.layerBraveConfig, keys: "BRAVE_API_KEY" },
  tavily: { layer: RetrieverWeb.layerTavilyConfig, keys: "TAVILY_API_KEY" }
}

const webLayer = (name: WebEngine): HostedLayer => {
  const { keys, layer } = webEngines[name]
  return layer.pipe(
    Layer.provide(NodeHttpClient.layerUndici),
    Layer.catch(() => failure(`--web ${name} needs ${keys} in the environment`))
  )
}

const keyOf = (name: string) => Effect.map(Effect.option(Config.Redacted(name)), Option.getOrUndefined)

const elasticLayer = (text: string): HostedLayer => {
  const url = httpUrl(text)
  const [, path = "", index = ""] = /^(.*)\/([^/]+)\/*$/.exec(url?.pathname ?? "") ?? []
  if (url === undefined || index === "") {
    return failure(`--elastic ${text} names no index`, "For example: --elastic http://127.0.0.1:9200/wiki-18")
  }
  const { password, username } = url
  return Layer.unwrap(Effect.map(keyOf("ELASTICSEARCH_API_KEY"), (apiKey) =>
    RetrieverElastic.layer({
      url: `${url.origin}${path}`,
      index: PercentEncoding.decode(index),
      apiKey: username === "" ? apiKey : undefined,
      basic: username === ""
        ? undefined
        : { username: PercentEncoding.decode(username), password: Redacted.make(PercentEncoding.decode(password)) }
    }))).pipe(Layer.provide(NodeHttpClient.layerUndici))
}

const simulatedLayer = (text: string, noise: number | undefined): HostedLayer => {
  const url = httpUrl(text)
  const model = PercentEncoding.decode(url?.hash.slice(1) ?? "")
  if (url === undefined || model === "") {
    return failure(
      `--simulated ${text} names no model`,
      "For example: --simulated http://127.0.0.1:8000/v1#Qwen2.5-7B-Instruct"
    )
  }
  url.hash = ""
  return Layer.unwrap(
    Effect.map(keyOf("SIMULATED_API_KEY"), (key) => RetrieverSimulated.layer({ url, model, key, noise }))
  ).pipe(Layer.provide(NodeHttpClient.layerUndici))
}

/**
 * The engine that the flags choose; undefined where they choose none.
 *
 * @category layers
 * @since 0.1.0
 */
export const hostedLayer = (input: HostedInput): HostedEngine | undefined => {
  const web = Option.getOrUndefined(input.web ?? Option.none<WebEngine>())
  if (web !== undefined) return { layer: webLayer(web), oneByOne: true }
  const elastic = Option.getOrUndefined(input.elastic ?? Option.none<string>())
  if (elastic !== undefined) return { layer: elasticLayer(elastic), oneByOne: false }
  const simulated = Option.getOrUndefined(input.simulated ?? Option.none<string>())
  if (simulated === undefined) return undefined
  return {
    layer: simulatedLayer(simulated, input.noise),
    oneByOne: true,
    identity: `${simulated} with noise ${input.noise ?? 0}`
  }
}
