/**
 * Serves any retriever over HTTP, so that Search-R1's and SkyRL's clients can use it.
 *
 * @since 0.1.0
 */
import { Cause, Clock, type Duration, Effect, Layer, Metric, Option, Result } from "effect"
import { HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import type { ScoredDocument } from "../domain/Document.ts"
import * as Json from "../domain/Json.ts"
import * as Wire from "../domain/RetrievalWire.ts"
import { Reranker } from "../services/Reranker.ts"
import { Retriever, type RetrieverError } from "../services/Retriever.ts"
import { Admission } from "./retrievalServer/Admission.ts"
import { inParts, json, refusal, statusOf } from "./retrievalServer/answers.ts"
import { Ending } from "./retrievalServer/Ending.ts"
import { openApi } from "./retrievalServer/openApi.ts"
import * as RequestBody from "./retrievalServer/requestBody.ts"
import { warned } from "./retrievalServer/warned.ts"

/**
 * What a server says of each request that it is done with.
 *
 * @category models
 * @since 0.2.0
 */
export interface Access {
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** 499 for a client that hung up before its answer. */
  readonly status: number
  readonly milliseconds: number
  readonly client: Option.Option<string>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Passages for a query that does not say how many. Default 3. */
  readonly defaultTopK?: number | undefined
  /** Default 1,000. */
  readonly maxTopK?: number | undefined
  /** Queries in one request. Default 8,192. */
  readonly maxQueries?: number | undefined
  /** Passages that the queries of one request may ask for together. Default 262,144. */
  readonly maxPassages?: number | undefined
  /** Bytes of a request. Default 16 MiB. */
  readonly maxBodyBytes?: number | undefined
  /** Queries that wait or are being answered at once; what goes beyond is refused with 429. Default 16,384. */
  readonly maxPending?: number | undefined
  /** What `Authorization: Bearer …` must hold; anyone may ask unless it is given. */
  readonly bearerToken?: string | undefined
  /** Bytes of all requests that are being read at once; what goes beyond is refused with 429. Default 512 MiB. */
  readonly maxBytesAtOnce?: number | undefined
  /** Time for the body of a request to arrive; what takes longer gets 408. Default 30 seconds. */
  readonly bodyTimeLimit?: Duration.Input | undefined
  /** Who sees `GET /metrics`: those that may search, anyone, or nobody (404). Default `token`. */
  readonly metrics?: "token" | "open" | "off" | undefined
  /** Told of each request at its end. */
  readonly onAccess?: ((access: Access) => Effect.Effect<void>) | undefined
  /** Told at the announcement of the end how many requests are being answered. */
  readonly onDrain?: ((requests: number) => Effect.Effect<void>) | undefined
  /** Told at the end how many of the requests that it waited for are not answered. */
  readonly onDrained?: ((left: number) => Effect.Effect<void>) | undefined
  /** How long the end is announced before it begins, so that a load balancer may look. Default 250 milliseconds. */
  readonly drainNotice?: Duration.Input | undefined
  /** How long the end waits for the requests that were there when it began. Default 30 seconds. */
  readonly drainLimit?: Duration.Input | undefined
  /** What follows: a host stops listening here and waits for its connections. */
  readonly drain?: Effect.Effect<void> | undefined
  /** Reported by `/openapi.json`. */
  readonly version?: string | undefined
}

const requestsTotal = Metric.counter("search_r1_requests_total", { incremental: true })
const queriesTotal = Metric.counter("search_r1_queries_total", { incremental: true })
const pendingQueries = Metric.gauge("search_r1_pending_queries")
const requestSeconds = Metric.histogram("search_r1_request_seconds", {
  boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
})

/** Takes the same time whatever the first difference is. */
const sameText = (a: string, b: string): boolean => {
  let difference = a.length ^ b.length
  for (let index = 0; index < a.length; index++) {
    difference |= a.charCodeAt(index) ^ b.charCodeAt(b.length === 0 ? 0 : index % b.length)
  }
  return difference === 0
}

const make = (
  retriever: Retriever["Service"],
  reranker: Reranker["Service"] | undefined,
  options: Options,
  ending: Ending
) => {
  const limits: Wire.Limits = {
    defaultTopK: options.defaultTopK ?? 3,
    maxTopK: options.maxTopK ?? 1000,
    maxQueries: options.maxQueries ?? 8192,
    maxPassages: options.maxPassages ?? 1 << 18
  }
  const readBody = RequestBody.make({
    maxBytes: options.maxBodyBytes ?? 1 << 24,
    maxBytesAtOnce: options.maxBytesAtOnce ?? 1 << 29,
    timeLimit: options.bodyTimeLimit ?? "30 seconds"
  })
  const admission = new Admission(options.maxPending ?? 16_384)
  /** Answers `queries` queries with `work`, or refuses them when too many wait. */
  const admitted = Effect.fnUntraced(function*(
    queries: number,
    work: Effect.Effect<HttpServerResponse.HttpServerResponse, RetrieverError>
  ) {
    if (!admission.admit(queries)) {
      return refusal("Too many queries are waiting", 429, { "retry-after": String(admission.retryAfterSeconds()) })
    }
    yield* Metric.update(pendingQueries, admission.pending)
    const started = yield* Clock.currentTimeMillis
    return yield* work.pipe(
      Effect.catch((error) => Effect.succeed(refusal(error.message, statusOf(error)))),
      Effect.ensuring(Effect.gen(function*() {
        admission.release(queries, ((yield* Clock.currentTimeMillis) - started) / 1000)
        yield* Metric.update(queriesTotal, queries)
        yield* Metric.update(pendingQueries, admission.pending)
      }))
    )
  })

  const retrieve = ({ queries, returnScores, topK }: Wire.RetrieveRequest) =>
    Effect.flatMap(
      admitted(
        queries.length,
        Effect.flatMap(
          retriever.searchMany(queries, { topK }),
          inParts((hits) => Wire.encodeHits(hits, returnScores))
        )
      ),
      warned(queries, retriever.countTerms)
    )

  const rerank = (reranker: Reranker["Service"]) => ({ documents, queries, returnScores, topK }: Wire.RerankRequest) =>
    admitted(
      queries.length,
      Effect.flatMap(
        reranker.scores(queries.map((query, index) => ({ query, documents: documents[index] ?? [] }))),
        (scores) =>
          inParts((hits: ReadonlyArray<ScoredDocument>) => Wire.encodeReranked(hits, returnScores))(
            documents.map((passages, index) =>
              passages
                .map((passage, at) => ({ ...passage, score: scores[index]?.[at] ?? 0 }))
                .toSorted((a, b) => b.score - a.score)
                .slice(0, topK)
            )
          )
      )
    )

  /** Reads a body, decodes it, and answers what it asks for or says what is wrong with it. */
  const answering = <A>(
    decode: (json: unknown, limits: Wire.Limits) => Result.Result<A, Wire.Problem>,
    answer: (request: A) => Effect.Effect<HttpServerResponse.HttpServerResponse>
  ) =>
    Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest) {
      const parsed = Json.parse(yield* readBody(request))
      if (Result.isFailure(parsed)) {
        const message = `JSON decode error: ${parsed.failure}`
        return json(Wire.encodeProblem({ field: "", message }, "json_invalid"), 422)
      }
      const decoded = decode(parsed.success, limits)
      return Result.isSuccess(decoded)
        ? yield* answer(decoded.success)
        : json(Wire.encodeProblem(decoded.failure), decoded.failure.status)
    }, Effect.catch(Effect.succeed))

  const metrics = options.metrics ?? "token"
  const description = JSON.stringify(openApi({ ...limits, metrics, version: options.version ?? "0" }))
  const health = () =>
    ending.draining
      ? json(JSON.stringify({ status: "draining", retriever: retriever.name }), 503, { connection: "close" })
      : json(JSON.stringify({ status: "ok", retriever: retriever.name }))

  type Route = {
    readonly method: "GET" | "POST"
    readonly open?: boolean
    readonly handle: (
      request: HttpServerRequest.HttpServerRequest
    ) => Effect.Effect<HttpServerResponse.HttpServerResponse>
  }
  const routes: Readonly<Record<string, Route>> = {
    "/retrieve": { method: "POST", handle: answering(Wire.decodeRetrieve, retrieve) },
    ...(reranker === undefined
      ? {}
      : { "/rerank": { method: "POST" as const, handle: answering(Wire.decodeRerank, rerank(reranker)) } }),
    "/health": { method: "GET", open: true, handle: () => Effect.sync(health) },
    "/openapi.json": { method: "GET", open: true, handle: () => Effect.succeed(json(description)) },
    ...(metrics === "off" ? {} : {
      "/metrics": {
        method: "GET" as const,
        open: metrics === "open",
        handle: () =>
          Effect.map(
            PrometheusMetrics.format(),
            (text) => HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
          )
      }
    })
  }
  const authorized = (request: HttpServerRequest.HttpServerRequest): boolean =>
    options.bearerToken === undefined ||
    sameText(request.headers["authorization"] ?? "", `Bearer ${options.bearerToken}`)

  const dispatch = (request: HttpServerRequest.HttpServerRequest) => {
    // FastAPI redirects to the path without a slash behind it, which not every client follows
    const path = pathOf(request).replace(/(?<!^)\/+$/, "")
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    if (route === undefined) return Effect.succeed(refusal("Not Found", 404))
    if (request.method !== route.method && !(request.method === "HEAD" && route.method === "GET")) {
      return Effect.succeed(refusal("Method Not Allowed", 405, { allow: route.method }))
    }
    if (route.open !== true && !authorized(request)) {
      return Effect.succeed(refusal("Not authenticated", 401, { "www-authenticate": "Bearer" }))
    }
    return route.handle(request)
  }

  const report = Effect.fnUntraced(function*(
    request: HttpServerRequest.HttpServerRequest,
    started: bigint,
    status: number
  ) {
    const milliseconds = Number((yield* Clock.currentTimeNanos) - started) / 1e6
    yield* Metric.update(requestsTotal.pipe(Metric.withAttributes({ status: String(status) })), 1)
    yield* Metric.update(requestSeconds, milliseconds / 1000)
    const { method, remoteAddress } = request
    yield* options.onAccess?.({ method, path: pathOf(request), status, milliseconds, client: remoteAddress }) ??
      Effect.void
  })

  return Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const started = yield* Clock.currentTimeNanos
    // Effect's server calls its application uninterruptibly, but a client that hangs up ends the search
    return yield* Effect.interruptible(dispatch(request)).pipe(
      Effect.catchDefect((defect) =>
        Effect.as(
          Effect.logError("a request failed", Cause.die(defect)),
          refusal("Internal Server Error", 500)
        )
      ),
      Effect.tap((response) => report(request, started, response.status)),
      Effect.onInterrupt(() => report(request, started, 499)),
      (answering) => ending.during(answering),
      Effect.map((response) =>
        ending.closing ? HttpServerResponse.setHeader(response, "connection", "close") : response
      )
    )
  })
}

const pathOf = (request: HttpServerRequest.HttpServerRequest): string => request.url.split("?", 1)[0] ?? ""

/**
 * Serves the retriever on the `HttpServer` of the environment until the layer's scope ends:
 *
 * - `POST /retrieve` in the reference's form and SkyRL's; what is malformed gets 422, what is too large 413, and what
 *   goes beyond the queue 429 with `Retry-After`; a header `Warning` says what of long queries was not searched;
 * - `POST /rerank` in the reference's form where the environment has a `Reranker`;
 * - `GET /health`, `GET /metrics` (Prometheus) and `GET /openapi.json`.
 *
 * At its end the server says so (503 on `/health`) and goes on answering for `drainNotice` and until what was there then
 * is answered; then connections close with their next answer, `drain` runs, and the server closes.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, Retriever | HttpServer.HttpServer> =>
  Layer.unwrap(Effect.gen(function*() {
    const retriever = yield* Retriever
    const reranker = Option.getOrUndefined(yield* Effect.serviceOption(Reranker))
    const ending = new Ending(options)
    const serving = HttpServer.serve(make(retriever, reranker, options, ending))
    // built after the server, so it ends before the server does
    const draining = Layer.effectDiscard(Effect.addFinalizer(() => ending.drained))
    return Layer.provideMerge(draining, serving)
  }))
