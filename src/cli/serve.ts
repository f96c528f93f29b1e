/**
 * `search-r1 serve`: any retriever behind HTTP.
 *
 * @since 0.1.0
 */
// Node's server is what Effect's listens with.
// @effect-diagnostics nodeBuiltinImport:off
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Config, Console, Effect, Layer, Option, Redacted, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { HttpServer } from "effect/http"
import { createServer, type Server } from "node:http"
import { Server as NetServer } from "node:net"
import * as RerankerHttp from "../layers/reranker/RerankerHttp.ts"
import * as RerankerTransformers from "../layers/reranker/RerankerTransformers.ts"
import * as RetrieverBatching from "../layers/retriever/RetrieverBatching.ts"
import * as RetrieverRerank from "../layers/retriever/RetrieverRerank.ts"
import * as RetrievalMcp from "../programs/RetrievalMcp.ts"
import * as RetrievalServer from "../programs/RetrievalServer.ts"
import { Retriever } from "../services/Retriever.ts"
import { httpUrl } from "./httpUrl.ts"
import { retrieverFlags, retrieverLayer } from "./retrieverFlags.ts"
import { userError } from "./userError.ts"
import { version } from "./version.ts"

const natural = Schema.Int.check(Schema.isGreaterThan(0))

const isLoopback = (host: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|::1)$/i.test(host)

/** The retriever of the flags, with the reranker on top and beside it where there is one. */
const reranked = (
  input: Parameters<typeof retrieverLayer>[0] & {
    readonly reranker: Option.Option<string>
    readonly rerankerDialect: RerankerHttp.Dialect
    readonly candidates: number
  }
) => {
  const retriever = retrieverLayer(input)
  if (Option.isNone(input.reranker)) return Effect.succeed(retriever)
  const url = input.reranker.value
  const [model] = url.startsWith("transformers:") ? [url.slice("transformers:".length)] : []
  if (model === "" || (model === undefined && httpUrl(url) === undefined)) {
    return Effect.fail(userError(`--reranker ${url} is neither an http(s) URL nor transformers:MODEL`))
  }
  const reranker = model === undefined
    ? RerankerHttp.layer({ url, dialect: input.rerankerDialect }).pipe(Layer.provide(NodeHttpClient.layerUndici))
    : RerankerTransformers.layer({ model }).pipe(
      Layer.catch((error) => Layer.effectContext(Effect.fail(userError(error))))
    )
  return Effect.succeed(
    RetrieverRerank.layer({ candidates: input.candidates }).pipe(
      Layer.provide(retriever),
      Layer.provideMerge(reranker)
    )
  )
}

/** What listening failed on, in words. */
const listenError = (host: string, port: number) => (error: { readonly cause: unknown }) => {
  const code = error.cause instanceof Error && "code" in error.cause ? error.cause.code : undefined
  return code === "EADDRINUSE"
    ? userError(`port ${port} of ${host} is taken`, "Choose another with --port, or 0 for any that is free.")
    : code === "EACCES"
    ? userError(`port ${port} needs more rights`, "Choose one above 1023 with --port.")
    : userError(
      `cannot listen on ${host}:${port}: ${error.cause instanceof Error ? error.cause.message : String(error.cause)}`
    )
}

/**
 * Stops listening and waits for the connections: each ends with its next answer, or after half a second without a
 * request. Node's own `close` would cut connections whose next request is already under way.
 */
const drained = (server: Server): Effect.Effect<void> => {
  const closed = Effect.callback<void>((resume) => {
    NetServer.prototype.close.call(server, () => resume(Effect.void))
  })
  const closeIdle = Effect.sleep("500 millis").pipe(
    Effect.andThen(Effect.sync(() => server.closeIdleConnections())),
    Effect.forever
  )
  return Effect.raceFirst(closed, closeIdle).pipe(Effect.timeoutOption("30 seconds"), Effect.asVoid)
}

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
  maxBody: Flag.Int("max-body").pipe(
    Flag.withSchema(natural),
    Flag.withMetavar("BYTES"),
    Flag.withDescription("Size of one request"),
    Flag.withDefault(1 << 24)
  ),
  reranker: Flag.String("reranker").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription(
      "Let this server, or transformers:MODEL in this process, choose among more passages, and offer it as POST /rerank"
    ),
    Flag.optional
  ),
  rerankerDialect: Flag.Literals("reranker-dialect", ["search-r1", "tei", "cohere"]).pipe(
    Flag.withDescription("What the reranker wants to be sent"),
    Flag.withDefault("search-r1" as const)
  ),
  candidates: Flag.Int("candidates").pipe(
    Flag.withSchema(natural),
    Flag.withDescription("Passages for the reranker to choose from"),
    Flag.withDefault(10)
  ),
  mcp: Flag.Boolean("mcp").pipe(
    Flag.withDescription("Serve the tool `search` of the Model Context Protocol on standard input and output instead"),
    Flag.withDefault(false)
  ),
  ...retrieverFlags
}, (input) =>
  Effect.gen(function*() {
    const retriever = yield* reranked(input)
    if (input.mcp) return yield* RetrievalMcp.serveStdio(retriever, { version })
    const token = Option.getOrUndefined(Option.map(input.token, Redacted.value))
    const announce = Layer.effectDiscard(Effect.gen(function*() {
      const retriever = yield* Retriever
      const { address } = yield* HttpServer.HttpServer
      if (!isLoopback(input.host) && token === undefined) {
        yield* Effect.logWarning(`anyone who reaches ${input.host} may search: set SEARCH_R1_TOKEN to ask for a token`)
      }
      yield* Console.log(`${retriever.name} answers on ${HttpServer.formatAddress(address)}/retrieve (Ctrl-C ends)`)
    }))
    const node = createServer()
    const server = Layer.mergeAll(
      announce,
      RetrievalServer.layer({
        defaultTopK: input.topK,
        maxQueries: input.maxQueries,
        maxPending: input.maxPending,
        maxBodyBytes: input.maxBody,
        bearerToken: token,
        drain: drained(node),
        version
      })
    ).pipe(
      Layer.provide(
        NodeHttpServer.layer(() => node, { host: input.host, port: input.port }).pipe(
          Layer.catch((error) => Layer.effectContext(Effect.fail(listenError(input.host, input.port)(error))))
        )
      ),
      Layer.provide(RetrieverBatching.layer({ window: "1 millis", maxBatch: 256 })),
      Layer.provide(retriever)
    )
    return yield* Layer.launch(server)
  })).pipe(
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
