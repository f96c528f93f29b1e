/**
 * The flags by which `search-r1 serve` chooses a reranker, and what they stand for.
 *
 * @since 0.2.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Config, Effect, Layer, Option, Schema } from "effect"
import type { CliError } from "effect/cli"
import * as PercentEncoding from "../domain/PercentEncoding.ts"
import * as RerankerHttp from "../layers/reranker/RerankerHttp.ts"
import * as RerankerTransformers from "../layers/reranker/RerankerTransformers.ts"
import * as RetrieverRerank from "../layers/retriever/RetrieverRerank.ts"
import * as Flag from "./flag.ts"
import { httpUrl } from "./httpUrl.ts"
import { localLayer, type RetrieverInput, retrieverLayer, serverOptions } from "./retrieverFlags.ts"
import { userError } from "./userError.ts"

const natural = Schema.Int.check(Schema.isGreaterThan(0))

/**
 * @category flags
 * @since 0.2.0
 */
export const rerankerFlags = {
  reranker: Flag.String("reranker").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription(
      "Let this server (URL#MODEL where it has several; key in RERANKER_API_KEY), or transformers:MODEL in this process, " +
        "choose among more passages, and offer it as POST /rerank"
    ),
    Flag.optional
  ),
  rerankerDialect: Flag.Literals("reranker-dialect", ["search-r1", "tei", "cohere"]).pipe(
    Flag.withDescription("What the reranker wants to be sent"),
    Flag.withDefault("search-r1" as const)
  ),
  rerankerBatch: Flag.Int("reranker-batch").pipe(
    Flag.withSchema(natural),
    Flag.withMetavar("TEXTS"),
    Flag.withDescription(
      "Passages in one request to the reranker, at most (default all, or fewer where the server takes fewer)"
    ),
    Flag.optional
  ),
  candidates: Flag.Int("candidates").pipe(
    Flag.withSchema(natural),
    Flag.withDescription("Passages for the reranker to choose from"),
    Flag.withDefault(10)
  )
}

/**
 * What the flags parse to.
 *
 * @category models
 * @since 0.2.0
 */
export interface RerankerInput extends RetrieverInput {
  readonly reranker: Option.Option<string>
  readonly rerankerDialect: RerankerHttp.Dialect
  readonly rerankerBatch: Option.Option<number>
  readonly candidates: number
}

const serverLayer = (address: URL, input: RerankerInput) => {
  const model = PercentEncoding.decode(address.hash.slice(1))
  const url = new URL(address)
  url.hash = ""
  return Layer.unwrap(Effect.map(Effect.option(Config.Redacted("RERANKER_API_KEY")), (key) =>
    RerankerHttp.layer({
      url,
      dialect: input.rerankerDialect,
      model: model === "" ? undefined : model,
      key: Option.getOrUndefined(key),
      ...serverOptions(input, input.rerankerBatch)
    }))).pipe(Layer.provide(NodeHttpClient.layerUndici))
}

/**
 * The retriever of the flags, with the reranker on top and beside it where there is one. What was reranked is remembered,
 * and not what it was chosen from.
 *
 * @category layers
 * @since 0.2.0
 */
export const rerankedLayer = (input: RerankerInput) => {
  if (Option.isNone(input.reranker)) return Effect.succeed(retrieverLayer(input))
  const named = input.reranker.value
  const model = named.startsWith("transformers:") ? named.slice("transformers:".length) : undefined
  const address = httpUrl(named)
  const reranker = model !== undefined && model !== ""
    ? RerankerTransformers.layer({ model }).pipe(
      Layer.catch((error) => Layer.effectContext(Effect.fail(userError(error))))
    )
    : address === undefined
    ? undefined
    : serverLayer(address, input)
  if (reranker === undefined) {
    return Effect.fail<CliError.UserError>(
      userError(
        `--reranker ${named} is neither an http(s) URL nor transformers:MODEL`,
        "For example: --reranker http://127.0.0.1:6980 or --reranker transformers:./ms-marco-MiniLM"
      )
    )
  }
  const inner = retrieverLayer(input.cache === "memory" ? { ...input, cache: "off" } : input)
  return Effect.succeed(
    localLayer(RetrieverRerank.layer({ candidates: input.candidates }).pipe(Layer.provide(inner)), input).pipe(
      Layer.provideMerge(reranker)
    )
  )
}
