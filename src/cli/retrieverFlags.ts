/**
 * The flags by which commands choose a retriever, and the layer that they stand for.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Config, type Duration, Effect, type FileSystem, Layer, Option, type Path, Schema } from "effect"
import type { CliError } from "effect/cli"
import type { EmbedderSpec } from "../domain/EmbedderSpec.ts"
import * as RetrieverBm25 from "../layers/retriever/RetrieverBm25.ts"
import * as RetrieverBudget from "../layers/retriever/RetrieverBudget.ts"
import type * as RetrieverCache from "../layers/retriever/RetrieverCache.ts"
import * as RetrieverDiskCache from "../layers/retriever/RetrieverDiskCache.ts"
import * as RetrieverIndex from "../layers/retriever/RetrieverIndex.ts"
import type * as RetrieverLance from "../layers/retriever/RetrieverLance.ts"
import * as RetrieverLunr from "../layers/retriever/RetrieverLunr.ts"
import * as RetrieverRemote from "../layers/retriever/RetrieverRemote.ts"
import * as RetrieverResilient from "../layers/retriever/RetrieverResilient.ts"
import type { ServerOptions } from "../layers/retriever/serverBatches.ts"
import type { Retriever } from "../services/Retriever.ts"
import { embedderBatchFlag, embedderFlag } from "./embedderFlag.ts"
import * as Flag from "./flag.ts"
import { type HostedEngine, hostedFlags, type HostedInput, hostedLayer } from "./hostedEngines.ts"
import { httpUrl } from "./httpUrl.ts"
import * as Outputs from "./outputs.ts"
import * as PathKind from "./pathKind.ts"
import { userError } from "./userError.ts"

/**
 * Spread into the configuration of a command: `Command.make("x", { ...retrieverFlags, … })`.
 *
 * @category flags
 * @since 0.1.0
 */
export const retrieverFlags = {
  corpus: Flag.String("corpus").pipe(
    Flag.withAlias("c"),
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "Search this corpus: JSON lines, plain or .gz, {\"id\",\"contents\"} or {\"id\",\"title\",\"text\"}; or .parquet"
    ),
    Flag.optional
  ),
  index: Flag.String("index").pipe(
    Flag.withAlias("i"),
    Flag.withMetavar("PATH"),
    Flag.withDescription("Search this index, made by `search-r1 index build`"),
    Flag.optional
  ),
  mode: Flag.Literals("mode", ["words", "flat", "ann", "hybrid"]).pipe(
    Flag.withDescription(
      "How --index is searched: by words, by all vectors, by the index over them, or by words and vectors (default: by " +
        "all that it holds)"
    ),
    Flag.optional
  ),
  embedder: embedderFlag("What embeds queries for --index, instead of the model that it names"),
  embedderBatch: embedderBatchFlag,
  engine: Flag.Literals("engine", ["lunr", "bm25"]).pipe(
    Flag.withDescription(
      "What searches --corpus: lunr, or bm25 for more than some thousand passages (index kept on disk)"
    ),
    Flag.withDefault("lunr" as const)
  ),
  remote: Flag.String("remote").pipe(
    Flag.withAlias("r"),
    Flag.withMetavar("URL"),
    Flag.withDescription("Search through this server, e.g. http://127.0.0.1:8000/retrieve (or RETRIEVER_URL)"),
    Flag.withFallbackConfig(Config.String("RETRIEVER_URL")),
    Flag.optional
  ),
  ...hostedFlags,
  maxSearches: Flag.Int("max-searches").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.withDescription(
      "Fail instead of sending more queries than this to an engine or server of others, retries included (default no limit)"
    ),
    Flag.optional
  ),
  dialect: Flag.Literals("dialect", RetrieverRemote.dialects).pipe(
    Flag.withDescription("What the server wants to be sent"),
    Flag.withDefault("search-r1" as const)
  ),
  timeout: Flag.String("timeout").pipe(
    Flag.withSchema(Schema.DurationFromString),
    Flag.withMetavar("DURATION"),
    Flag.withDescription(
      "Time for each request to a server, e.g. \"5 seconds\" (default 30 seconds for searches, 2 minutes for vectors)"
    ),
    Flag.optional
  ),
  retries: Flag.Int("retries").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.withDescription("Further attempts when a server fails"),
    Flag.withDefault(3)
  ),
  rateLimit: Flag.Finite("rate-limit").pipe(
    Flag.withSchema(Schema.Finite.check(Schema.isGreaterThan(0))),
    Flag.withMetavar("PER-SECOND"),
    Flag.withDescription("Requests a second that the server gets at most (default no limit)"),
    Flag.optional
  ),
  cache: Flag.Literals("cache", ["memory", "disk", "off"]).pipe(
    Flag.withDescription("Where answers are remembered; disk keeps a server's answers for the next run"),
    Flag.withDefault("memory" as const)
  )
}

/**
 * What the flags parse to.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetrieverInput extends HostedInput {
  readonly corpus: Option.Option<string>
  readonly index: Option.Option<string>
  readonly mode?: Option.Option<RetrieverLance.Mode> | undefined
  readonly embedder?: Option.Option<EmbedderSpec> | undefined
  /** Texts that a server which embeds is sent at once, at most. */
  readonly embedderBatch?: Option.Option<number> | undefined
  readonly engine: "lunr" | "bm25"
  readonly remote: Option.Option<string>
  readonly maxSearches?: Option.Option<number> | undefined
  readonly dialect: RetrieverRemote.Dialect
  readonly timeout: Option.Option<Duration.Duration>
  readonly retries: number
  readonly rateLimit: Option.Option<number>
  readonly cache: "memory" | "disk" | "off"
  /** Answers that `memory` remembers at most. */
  readonly cacheCapacity?: number | undefined
  /** Bytes that they hold at most. */
  readonly cacheBytes?: number | undefined
}

/**
 * What the retriever that the flags choose reads.
 *
 * @category getters
 * @since 0.2.0
 */
export const retrieverReads = (input: RetrieverInput): ReadonlyArray<Outputs.Read> => [
  ...Outputs.files(input.corpus),
  ...Option.toArray(Option.map(input.index, Outputs.tree)),
  ...Outputs.embedder(input.embedder ?? Option.none())
]

const memoryOf = ({ cacheBytes, cacheCapacity }: Pick<RetrieverInput, "cacheBytes" | "cacheCapacity">) => ({
  capacity: cacheCapacity,
  maxBytes: cacheBytes
})

/**
 * How servers are asked that embed or rerank: with the time limit and the attempts of the flags.
 *
 * @category getters
 * @since 0.2.0
 */
export const serverOptions = (
  { retries, timeout }: Pick<RetrieverInput, "retries" | "timeout">,
  batchSize: Option.Option<number> = Option.none()
): ServerOptions => ({
  batchSize: Option.getOrUndefined(batchSize),
  retry: { times: retries },
  timeLimit: Option.getOrUndefined(timeout)
})

const remembering = (cache: RetrieverCache.Options | false) =>
  RetrieverResilient.layer({ timeLimit: false, concurrency: false, retry: false, batching: false, cache })

/** What asks somebody else needs limits, retries and memory around it, and a budget next to the engine. */
const guarded = ({ identity, layer: engine, oneByOne }: HostedEngine, input: RetrieverInput) => {
  const paid = Option.match(input.maxSearches ?? Option.none<number>(), {
    onNone: () => engine,
    onSome: (budget) => RetrieverBudget.layer({ budget }).pipe(Layer.provide(engine))
  })
  const server = RetrieverResilient.layer({
    timeLimit: { duration: Option.getOrUndefined(input.timeout) },
    retry: { times: input.retries },
    rateLimit: Option.match(input.rateLimit, { onNone: () => false as const, onSome: (limit) => ({ limit }) }),
    // a batch of one query a request would only be taken apart again
    batching: oneByOne ? false : undefined,
    cache: input.cache === "memory" ? memoryOf(input) : false
  }).pipe(Layer.provide(paid))
  return input.cache === "disk"
    ? remembering(memoryOf(input)).pipe(
      Layer.provide(RetrieverDiskCache.layer({ namespace: identity })),
      Layer.provide(server)
    )
    : server
}

const remoteLayer = (url: string, input: RetrieverInput) =>
  guarded({
    layer: RetrieverRemote.layer({ url, dialect: input.dialect }).pipe(Layer.provide(NodeHttpClient.layerUndici)),
    oneByOne: input.dialect === "skyrl"
  }, input)

/**
 * A retriever in this process, which needs no more than a memory of its answers around it.
 *
 * @category layers
 * @since 0.1.0
 */
export const localLayer = <E extends Error, R = FileSystem.FileSystem | Path.Path>(
  engine: Layer.Layer<Retriever, E, R>,
  input: Pick<RetrieverInput, "cache" | "cacheBytes" | "cacheCapacity">
) =>
  remembering(input.cache === "off" ? false : memoryOf(input)).pipe(
    Layer.provide(engine),
    Layer.catch((error) => Layer.effectContext(Effect.fail(userError(error))))
  )

const corpusLayer = (path: string, input: RetrieverInput, ways: PathKind.Ways) => {
  const explain = PathKind.explainLayer(PathKind.given("corpus", path), ways)
  return input.engine === "bm25"
    ? explain(localLayer(RetrieverBm25.layerFile(path), input))
    : explain(
      localLayer(RetrieverLunr.layerFile(path, input.cache === "off" ? { cacheDirectory: false } : undefined), input)
    )
}

/**
 * The retriever that the flags choose, the first given of `--index` and `--corpus`, which are searched in this process,
 * `--web`, `--elastic` and `--simulated`, which others run, and `--remote`, a server; those of others with time limit,
 * retries, batching and cache around them. Without any, `defaultCorpus` is searched where there is one. `ways` tells how
 * what is given for something else is given, where that is not by flags.
 *
 * @category layers
 * @since 0.1.0
 */
export const retrieverLayer = (
  input: RetrieverInput,
  options?: { readonly defaultCorpus?: string | undefined; readonly ways?: PathKind.Ways | undefined }
): Layer.Layer<Retriever, CliError.UserError, FileSystem.FileSystem | Path.Path> => {
  const ways = options?.ways ?? PathKind.searching
  const corpus = Option.getOrUndefined(input.corpus)
  const remote = Option.getOrUndefined(input.remote)
  const failure = (message: string, hint?: string) => Layer.effectContext(Effect.fail(userError(message, hint)))
  const index = Option.getOrUndefined(input.index)
  if (index !== undefined) {
    const opened = RetrieverIndex.layer(index, {
      mode: Option.getOrUndefined(input.mode ?? Option.none()),
      embedder: Option.getOrUndefined(input.embedder ?? Option.none()),
      server: serverOptions(input, input.embedderBatch)
    })
    return localLayer(opened.pipe(Layer.provide(NodeHttpClient.layerUndici)), input).pipe(
      PathKind.explainLayer(PathKind.given("index", index), ways)
    )
  }
  if (corpus !== undefined) return corpusLayer(corpus, input, ways)
  const hosted = hostedLayer(input)
  if (hosted !== undefined) return guarded(hosted, input)
  if (remote !== undefined) {
    return httpUrl(remote) !== undefined
      ? remoteLayer(remote, input)
      : failure(`--remote ${remote} is no http(s) URL`, "For example: --remote http://127.0.0.1:8000/retrieve")
  }
  return options?.defaultCorpus === undefined
    ? failure(
      "What shall be searched?",
      "Name a corpus with --corpus FILE, an index with --index FILE, a server with --remote URL or --elastic URL/INDEX, or an " +
        "engine with --web."
    )
    : corpusLayer(options.defaultCorpus, input, ways)
}
