/**
 * Serves any retriever over HTTP, so that Search-R1's and SkyRL's clients can use it.
 *
 * @since 0.1.0
 */
import { ByteSize, Cause, Clock, Effect, Layer, Metric, Option, Result } from "effect"
import { HttpIncomingMessage, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import * as Wire from "../domain/RetrievalWire.ts"
import { Reranker } from "../services/Reranker.ts"
import { Retriever, type RetrieverError } from "../services/Retriever.ts"
import { openApi } from "./retrievalOpenApi.ts"

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
  /** Bytes of a request. Default 16 MiB. */
  readonly maxBodyBytes?: number | undefined
  /** Queries that wait or are being answered at once; what goes beyond is refused with 429. Default 16,384. */
  readonly maxPending?: number | undefined
  /** What `Authorization: Bearer …` must hold; anyone may ask unless it is given. */
  readonly bearerToken?: string | undefined
  /**
   * What happens between the announcement of the end (503 on `/health`, `Connection: close` on every answer) and the end:
   * a host stops listening here and waits for its connections. Default a pause of 250 milliseconds.
   */
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

const json = (body: string, status = 200, headers: Readonly<Record<string, string>> = {}) =>
  HttpServerResponse.text(body, { status, contentType: "application/json", headers })

/** The status that tells a client what to do: 503 and 504 are worth another attempt. */
const statusOf = (error: RetrieverError): number => {
  switch (error._tag) {
    case "RetrieverTimeout":
      return 504
    case "RetrieverUnavailable":
    case "RetrieverQuotaExceeded":
      return 503
    case "RetrieverRejected":
    case "RetrieverMalformedJson":
    case "RetrieverUnexpectedShape":
      return 502
    case "RetrieverFailed":
      return 500
  }
}

/** Takes the same time whatever the first difference is. */
const sameText = (a: string, b: string): boolean => {
  let difference = a.length ^ b.length
  for (let index = 0; index < a.length; index++) {
    difference |= a.charCodeAt(index) ^ b.charCodeAt(b.length === 0 ? 0 : index % b.length)
  }
  return difference === 0
}

const parse = (body: string): Result.Result<unknown, string> =>
  Result.try({
    try: (): unknown => JSON.parse(body),
    catch: (error) => error instanceof Error ? error.message : String(error)
  })

/** Queries that were admitted, and how fast they go: what a refused client is told to wait follows from both. */
class Admission {
  pending = 0
  private perSecond = 0
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  /** A request that is larger than the limit gets in when nobody else is there. */
  admit(queries: number): boolean {
    if (this.pending > 0 && this.pending + queries > this.limit) return false
    this.pending += queries
    return true
  }

  release(queries: number, seconds: number): void {
    const concurrent = this.pending
    this.pending -= queries
    const rate = concurrent / Math.max(1e-3, seconds)
    this.perSecond = this.perSecond === 0 ? rate : 0.9 * this.perSecond + 0.1 * rate
  }

  retryAfterSeconds(): number {
    return Math.min(60, Math.max(1, Math.ceil(this.pending / Math.max(1, this.perSecond))))
  }
}

const make = (
  retriever: Retriever["Service"],
  reranker: Reranker["Service"] | undefined,
  options: Options,
  state: { draining: boolean }
) => {
  const limits: Wire.Limits = {
    defaultTopK: options.defaultTopK ?? 3,
    maxTopK: options.maxTopK ?? 1000,
    maxQueries: options.maxQueries ?? 8192
  }
  const maxBodyBytes = options.maxBodyBytes ?? 1 << 24
  const admission = new Admission(options.maxPending ?? 16_384)
  const tooLarge = json(Wire.encodeDetail(`The body is larger than ${maxBodyBytes} bytes`), 413, {
    connection: "close"
  })

  /** Answers `queries` queries with `work`, or refuses them when too many wait. */
  const admitted = Effect.fnUntraced(function*(queries: number, work: Effect.Effect<string, RetrieverError>) {
    if (!admission.admit(queries)) {
      return json(Wire.encodeDetail("Too many queries are waiting"), 429, {
        "retry-after": String(admission.retryAfterSeconds())
      })
    }
    yield* Metric.update(pendingQueries, admission.pending)
    const started = yield* Clock.currentTimeMillis
    return yield* work.pipe(
      Effect.match({
        onSuccess: (body) => json(body),
        onFailure: (error) => json(Wire.encodeDetail(error.message), statusOf(error))
      }),
      Effect.ensuring(Effect.gen(function*() {
        admission.release(queries, ((yield* Clock.currentTimeMillis) - started) / 1000)
        yield* Metric.update(queriesTotal, queries)
        yield* Metric.update(pendingQueries, admission.pending)
      }))
    )
  })

  const retrieve = ({ queries, returnScores, topK }: Wire.RetrieveRequest) =>
    admitted(
      queries.length,
      Effect.map(retriever.searchMany(queries, { topK }), (results) => Wire.encodeRetrieve(results, returnScores))
    )

  const rerank = (reranker: Reranker["Service"]) => ({ documents, queries, returnScores, topK }: Wire.RerankRequest) =>
    admitted(
      queries.length,
      Effect.map(
        reranker.scores(queries.map((query, index) => ({ query, documents: documents[index] ?? [] }))),
        (scores) =>
          Wire.encodeRerank(
            documents.map((passages, index) =>
              passages
                .map((passage, at) => ({ ...passage, score: scores[index]?.[at] ?? 0 }))
                .toSorted((a, b) => b.score - a.score)
                .slice(0, topK)
            ),
            returnScores
          )
      )
    )

  const readBody = (request: HttpServerRequest.HttpServerRequest) =>
    Number(request.headers["content-length"] ?? 0) > maxBodyBytes
      ? Effect.fail(tooLarge)
      : request.text.pipe(
        Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBodyBytes)),
        Effect.mapError(() => tooLarge)
      )

  /** Reads a body, decodes it, and answers what it asks for or says what is wrong with it. */
  const answering = <A>(
    decode: (json: unknown, limits: Wire.Limits) => Result.Result<A, Wire.Problem>,
    answer: (request: A) => Effect.Effect<HttpServerResponse.HttpServerResponse>
  ) =>
    Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest) {
      const parsed = parse(yield* readBody(request))
      if (Result.isFailure(parsed)) {
        const message = `JSON decode error: ${parsed.failure}`
        return json(Wire.encodeProblem({ field: "", message }, "json_invalid"), 422)
      }
      const decoded = decode(parsed.success, limits)
      return Result.isSuccess(decoded)
        ? yield* answer(decoded.success)
        : json(Wire.encodeProblem(decoded.failure), decoded.failure.status)
    }, Effect.catch(Effect.succeed))

  const description = JSON.stringify(openApi({ ...limits, version: options.version ?? "0" }))
  const health = () =>
    state.draining
      ? json(JSON.stringify({ status: "draining", retriever: retriever.name }), 503)
      : json(JSON.stringify({ status: "ok", retriever: retriever.name }))

  type Route = {
    readonly method: "GET" | "POST"
    readonly open?: true
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
    "/metrics": {
      method: "GET",
      handle: () =>
        Effect.map(
          PrometheusMetrics.format(),
          (text) => HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
        )
    }
  }
  const authorized = (request: HttpServerRequest.HttpServerRequest): boolean =>
    options.bearerToken === undefined ||
    sameText(request.headers["authorization"] ?? "", `Bearer ${options.bearerToken}`)

  const dispatch = (request: HttpServerRequest.HttpServerRequest) => {
    const [path = ""] = request.url.split("?", 1)
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    if (route === undefined) return Effect.succeed(json(Wire.encodeDetail("Not Found"), 404))
    if (request.method !== route.method && !(request.method === "HEAD" && route.method === "GET")) {
      return Effect.succeed(json(Wire.encodeDetail("Method Not Allowed"), 405, { allow: route.method }))
    }
    if (route.open !== true && !authorized(request)) {
      return Effect.succeed(json(Wire.encodeDetail("Not authenticated"), 401, { "www-authenticate": "Bearer" }))
    }
    return route.handle(request)
  }

  return Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const started = yield* Clock.currentTimeMillis
    // Effect's server calls its application uninterruptibly, but a client that hangs up ends the search
    const response = yield* Effect.interruptible(dispatch(request)).pipe(
      Effect.catchDefect((defect) =>
        Effect.as(
          Effect.logError("a request failed", Cause.die(defect)),
          json(Wire.encodeDetail("Internal Server Error"), 500)
        )
      )
    )
    yield* Metric.update(requestsTotal.pipe(Metric.withAttributes({ status: String(response.status) })), 1)
    yield* Metric.update(requestSeconds, ((yield* Clock.currentTimeMillis) - started) / 1000)
    return state.draining ? HttpServerResponse.setHeader(response, "connection", "close") : response
  })
}

/**
 * Serves the retriever on the `HttpServer` of the environment until the layer's scope ends:
 *
 * - `POST /retrieve` in the reference's form and SkyRL's; what is malformed gets 422, what is too large 413, and what
 *   goes beyond the queue 429 with `Retry-After`;
 * - `POST /rerank` in the reference's form where the environment has a `Reranker`;
 * - `GET /health`, `GET /metrics` (Prometheus) and `GET /openapi.json`.
 *
 * At the end `drain` runs, and requests that were taken are answered before the server closes.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, Retriever | HttpServer.HttpServer> =>
  Layer.unwrap(Effect.gen(function*() {
    const retriever = yield* Retriever
    const reranker = Option.getOrUndefined(yield* Effect.serviceOption(Reranker))
    const state = { draining: false }
    const serving = HttpServer.serve(make(retriever, reranker, options, state))
    // built after the server, so it ends before the server does
    const draining = Layer.effectDiscard(Effect.addFinalizer(() =>
      Effect.andThen(
        Effect.sync(() => {
          state.draining = true
        }),
        options.drain ?? Effect.sleep("250 millis")
      )
    ))
    return Layer.provideMerge(draining, serving)
  }))
