/**
 * `search-r1 serve`: any retriever behind HTTP.
 *
 * @since 0.1.0
 */
import { Config, Duration, Effect, Layer, Option, Redacted, Schema } from "effect"
import { Command } from "effect/cli"
import { HttpServer } from "effect/http"
import { plural } from "../domain/Plural.ts"
import * as RetrieverBatching from "../layers/retriever/RetrieverBatching.ts"
import * as FairScheduler from "../programs/FairScheduler.ts"
import * as RetrievalMcp from "../programs/RetrievalMcp.ts"
import * as RetrievalServer from "../programs/RetrievalServer.ts"
import { Retriever } from "../services/Retriever.ts"
import * as Flag from "./flag.ts"
import * as Listening from "./listening.ts"
import { rerankedLayer, rerankerFlags } from "./rerankerFlags.ts"
import { retrieverFlags } from "./retrieverFlags.ts"
import * as ServeLog from "./serveLog.ts"
import * as Stopping from "./stopping.ts"
import { version } from "./version.ts"

const natural = Schema.Int.check(Schema.isGreaterThan(0))

const isLoopback = (host: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|::1)$/i.test(host)

/**
 * @category commands
 * @since 0.1.0
 */
export const serve = Command.make("serve", {
  host: Flag.String("host").pipe(
    Flag.withDescription("Address to listen on; 0.0.0.0 lets other machines in"),
    Flag.withDefault("127.0.0.1")
  ),
  port: Flag.Int("port").pipe(
    Flag.withAlias("p"),
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))),
    Flag.withDescription("Port to listen on; 0 takes any that is free"),
    Flag.withDefault(8000)
  ),
  topK: Flag.Int("top-k").pipe(
    Flag.withAlias("k"),
    Flag.withSchema(natural),
    Flag.withDescription("Passages for a query that does not say how many"),
    Flag.withDefault(3)
  ),
  token: Flag.Redacted("token").pipe(
    Flag.withDescription("Bearer token that clients must send; better given as SEARCH_R1_TOKEN"),
    Flag.withFallbackConfig(Config.Redacted("SEARCH_R1_TOKEN")),
    Flag.optional
  ),
  maxPending: Flag.Int("max-pending").pipe(
    Flag.withSchema(natural),
    Flag.withDescription("Queries that may wait; what goes beyond is refused with 429"),
    Flag.withDefault(16_384)
  ),
  maxQueries: Flag.Int("max-queries").pipe(
    Flag.withSchema(natural),
    Flag.withDescription("Queries in one request"),
    Flag.withDefault(8192)
  ),
  maxPassages: Flag.Int("max-passages").pipe(
    Flag.withSchema(natural),
    Flag.withDescription("Passages that the queries of one request may ask for together"),
    Flag.withDefault(1 << 18)
  ),
  maxBody: Flag.Int("max-body").pipe(
    Flag.withSchema(natural),
    Flag.withMetavar("BYTES"),
    Flag.withDescription("Size of one request"),
    Flag.withDefault(1 << 24)
  ),
  maxBytesAtOnce: Flag.Int("max-body-total").pipe(
    Flag.withSchema(natural),
    Flag.withMetavar("BYTES"),
    Flag.withDescription("Size of all requests that are being read at once; what goes beyond is refused with 429"),
    Flag.withDefault(1 << 29)
  ),
  bodyTimeout: Flag.String("body-timeout").pipe(
    Flag.withSchema(Schema.DurationFromString),
    Flag.withMetavar("DURATION"),
    Flag.withDescription("Time for the head and for the body of a request to arrive; what is slower gets 408"),
    Flag.withDefault(Duration.seconds(30))
  ),
  cacheSize: Flag.Int("cache-size").pipe(
    Flag.withSchema(natural),
    Flag.withMetavar("ANSWERS"),
    Flag.withDescription("Answers remembered in memory at most; the one used longest ago makes room"),
    Flag.withDefault(16_384)
  ),
  cacheMemory: Flag.Int("cache-memory").pipe(
    Flag.withSchema(natural),
    Flag.withMetavar("MIB"),
    Flag.withDescription("Memory that they may take, in MiB"),
    Flag.withDefault(256)
  ),
  accessLog: Flag.Literals("access-log", ["text", "json", "off"]).pipe(
    Flag.withDescription(
      "Write a line a request: when, who, method, path, status, milliseconds; json makes every line of the output JSON"
    ),
    Flag.withDefault("text" as const)
  ),
  metrics: Flag.Literals("metrics", ["token", "open", "off"]).pipe(
    Flag.withDescription("Who may see GET /metrics: who has the token, anyone, or nobody"),
    Flag.withDefault("token" as const)
  ),
  drainNotice: Flag.String("drain-notice").pipe(
    Flag.withSchema(Schema.DurationFromString),
    Flag.withMetavar("DURATION"),
    Flag.withDescription("On SIGTERM or Ctrl-C, how long /health answers 503 before no more connections are taken"),
    Flag.withDefault(Duration.seconds(1))
  ),
  drainLimit: Flag.String("drain-limit").pipe(
    Flag.withSchema(Schema.DurationFromString),
    Flag.withMetavar("DURATION"),
    Flag.withDescription("How long the end waits for requests that were taken"),
    Flag.withDefault(Duration.seconds(30))
  ),
  ...rerankerFlags,
  mcp: Flag.Boolean("mcp").pipe(
    Flag.withDescription("Serve the tool `search` of the Model Context Protocol on standard input and output instead"),
    Flag.withDefault(false)
  ),
  ...retrieverFlags
}, (input) =>
  Effect.gen(function*() {
    const retriever = yield* rerankedLayer({
      ...input,
      cacheCapacity: input.cacheSize,
      cacheBytes: input.cacheMemory * 2 ** 20
    })
    if (input.mcp) return yield* RetrievalMcp.serveStdio(retriever, { version })
    const token = Option.getOrUndefined(Option.map(input.token, Redacted.value))
    const log = yield* ServeLog.make(input.accessLog)
    const { layer: listening, node } = Listening.make({
      host: input.host,
      port: input.port,
      timeLimit: input.bodyTimeout,
      onRefused: (status, client) =>
        log.access({ method: "-", path: "-", status, milliseconds: 0, client: Option.fromNullishOr(client) })
    })
    const announce = Layer.effectDiscard(Effect.gen(function*() {
      const retriever = yield* Retriever
      const { address } = yield* HttpServer.HttpServer
      if (!isLoopback(input.host) && token === undefined) {
        yield* Effect.logWarning(`anyone who reaches ${input.host} may search: set SEARCH_R1_TOKEN to ask for a token`)
      }
      yield* log.say(`${retriever.name} answers on ${HttpServer.formatAddress(address)}/retrieve (Ctrl-C ends)`)
    }))
    const server = Layer.mergeAll(
      announce,
      RetrievalServer.layer({
        defaultTopK: input.topK,
        maxQueries: input.maxQueries,
        maxPassages: input.maxPassages,
        maxPending: input.maxPending,
        maxBodyBytes: input.maxBody,
        maxBytesAtOnce: input.maxBytesAtOnce,
        bodyTimeLimit: input.bodyTimeout,
        bearerToken: token,
        metrics: input.metrics,
        onAccess: (access) => Effect.sync(() => log.access(access)),
        onDrain: (requests) =>
          log.say(
            `draining: /health answers 503, ${plural(requests, "request")} being answered, no more connections in ${
              Duration.format(input.drainNotice)
            }`
          ),
        onDrained: (left) =>
          left === 0
            ? Effect.andThen(Stopping.normally, log.say("drained: what was taken is answered"))
            : Effect.logWarning(`${plural(left, "request")} cut off after ${Duration.format(input.drainLimit)}`),
        drainNotice: input.drainNotice,
        drainLimit: input.drainLimit,
        drain: Listening.closed(node, input.drainLimit),
        version
      })
    ).pipe(
      Layer.provide(listening),
      Layer.provide(RetrieverBatching.layer({ window: "1 millis", maxBatch: 256 })),
      Layer.provide(retriever)
    )
    return yield* Layer.launch(server).pipe(Stopping.waitsFor("the requests that were taken"))
    // whatever is searched, other requests have their turn
  }).pipe(Effect.scoped, Effect.provide(FairScheduler.layer))).pipe(
    Command.withDescription(
      "Serve a corpus, an index or another server behind POST /retrieve, as Search-R1's and SkyRL's clients want it; also GET /health, /metrics and /openapi.json."
    ),
    Command.withShortDescription("Serve a retriever over HTTP"),
    Command.withExamples([
      {
        command: "search-r1 serve --index wiki-18.idx",
        description: "Serve an index on http://127.0.0.1:8000/retrieve"
      },
      { command: "search-r1 serve --index wiki-18.idx --mcp", description: "Offer it to an agent as an MCP tool" },
      {
        command: "SEARCH_R1_TOKEN=… search-r1 serve --index wiki-18.idx --host 0.0.0.0",
        description: "Serve it to other machines that know the token"
      }
    ])
  )
