/**
 * The search engine that a policy calls.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer, Metric, Schema, type Scope } from "effect"
import type { ScoredDocument } from "../domain/Document.ts"
import * as SearchQuery from "../domain/SearchQuery.ts"

/**
 * A search did not answer within its time.
 *
 * @category errors
 * @since 0.1.0
 */
export class RetrieverTimeout extends Schema.TaggedError<RetrieverTimeout>()("RetrieverTimeout", {
  retriever: Schema.String,
  milliseconds: Schema.Finite
}) {
  override get message() {
    return `${this.retriever} did not answer within ${this.milliseconds} ms`
  }
}

/**
 * The retriever could not be reached, or hung up before it answered.
 *
 * @category errors
 * @since 0.1.0
 */
export class RetrieverUnavailable extends Schema.TaggedError<RetrieverUnavailable>()("RetrieverUnavailable", {
  retriever: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.retriever} is not available: ${this.reason}`
  }
}

/**
 * The retriever answered with a refusal: an HTTP status that is no success.
 *
 * @category errors
 * @since 0.1.0
 */
export class RetrieverRejected extends Schema.TaggedError<RetrieverRejected>()("RetrieverRejected", {
  retriever: Schema.String,
  status: Schema.Int,
  /** The beginning of the answer's body. */
  body: Schema.String,
  /** What the server's `Retry-After` asks for. */
  retryAfterMillis: Schema.optionalKey(Schema.Finite)
}) {
  override get message() {
    return `${this.retriever} refused with status ${this.status}${this.body === "" ? "" : `: ${this.body}`}`
  }
}

/**
 * The answer is no JSON: cut off, empty, or something else altogether.
 *
 * @category errors
 * @since 0.1.0
 */
export class RetrieverMalformedJson extends Schema.TaggedError<RetrieverMalformedJson>()("RetrieverMalformedJson", {
  retriever: Schema.String,
  /** The beginning of what arrived. */
  body: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.retriever} answered with broken JSON (${this.reason}): ${
      this.body === "" ? "empty body" : this.body
    }`
  }
}

/**
 * The answer is JSON of another shape than the protocol's.
 *
 * @category errors
 * @since 0.1.0
 */
export class RetrieverUnexpectedShape
  extends Schema.TaggedError<RetrieverUnexpectedShape>()("RetrieverUnexpectedShape", {
    retriever: Schema.String,
    reason: Schema.String
  })
{
  override get message() {
    return `${this.retriever} answered in an unexpected shape: ${this.reason}`
  }
}

/**
 * The searches that were paid for, or that a run may spend, are used up.
 *
 * @category errors
 * @since 0.1.0
 */
export class RetrieverQuotaExceeded extends Schema.TaggedError<RetrieverQuotaExceeded>()("RetrieverQuotaExceeded", {
  retriever: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.retriever} has no searches left: ${this.reason}`
  }
}

/**
 * The engine itself failed on a query.
 *
 * @category errors
 * @since 0.1.0
 */
export class RetrieverFailed extends Schema.TaggedError<RetrieverFailed>()("RetrieverFailed", {
  retriever: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `${this.retriever} failed: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

/**
 * Why a search failed.
 *
 * @category errors
 * @since 0.1.0
 */
export const RetrieverError = Schema.Union([
  RetrieverTimeout,
  RetrieverUnavailable,
  RetrieverRejected,
  RetrieverMalformedJson,
  RetrieverUnexpectedShape,
  RetrieverQuotaExceeded,
  RetrieverFailed
])

/**
 * @category errors
 * @since 0.1.0
 */
export type RetrieverError = typeof RetrieverError.Type

/**
 * Whether the same search may succeed when it is tried again: time-outs, lost connections, cut-off answers, and the
 * statuses 408, 425, 429 and 5xx.
 *
 * @category errors
 * @since 0.1.0
 */
export const isRetryable = (error: RetrieverError): boolean => {
  switch (error._tag) {
    case "RetrieverTimeout":
    case "RetrieverUnavailable":
    case "RetrieverMalformedJson":
      return true
    case "RetrieverRejected":
      return error.status >= 500 || error.status === 408 || error.status === 425 || error.status === 429
    case "RetrieverUnexpectedShape":
    case "RetrieverQuotaExceeded":
    case "RetrieverFailed":
      return false
  }
}

/**
 * Searches, or batches of them, that were tried once more because an attempt failed.
 *
 * @category metrics
 * @since 0.1.0
 */
export const searchRetries: Metric.Counter<number> = Metric.counter("search_r1_search_retries_total", {
  incremental: true
})

/**
 * How many passages to return.
 *
 * @category models
 * @since 0.1.0
 */
export interface SearchOptions {
  readonly topK: number
}

/** Says once that a retriever reads no more than the beginning of a query. */
const saying = (name: string): (queries: ReadonlyArray<string>) => Effect.Effect<void> => {
  let said = false
  return (queries) =>
    Effect.suspend(() => {
      const long = said ? undefined : queries.find((query) => query.length > SearchQuery.mostCharacters)
      if (long === undefined) return Effect.void
      said = true
      return Effect.logWarning(
        `${name} was sent a query of ${long.length} characters and reads the first ${SearchQuery.mostCharacters} of it, as ` +
          "it will of others"
      )
    })
}

const isLong = (query: string): boolean => query.length > SearchQuery.mostCharacters

/**
 * Finds the passages most relevant to a query, best first, at most `topK`. Any text is a legal query; no hit is an
 * empty array. `searchMany` answers many queries in one call, aligned with them: one failure fails the call. Nothing in a
 * query is an operator, and no more of it is read than `SearchQuery` says, so that no text costs more than a fixed
 * multiple of a plain question.
 *
 * @category services
 * @since 0.1.0
 */
export class Retriever extends Context.Service<Retriever, {
  /** What errors and spans call this retriever. */
  readonly name: string
  search(query: string, options: SearchOptions): Effect.Effect<ReadonlyArray<ScoredDocument>, RetrieverError>
  searchMany(
    queries: ReadonlyArray<string>,
    options: SearchOptions
  ): Effect.Effect<ReadonlyArray<ReadonlyArray<ScoredDocument>>, RetrieverError>
}>()("effect-search-r1/services/Retriever") {
  /**
   * A retriever whose engine answers one query at a time.
   *
   * @since 0.1.0
   */
  static fromSearch(
    name: string,
    search: Retriever["Service"]["search"],
    options?: { readonly concurrency?: number | "unbounded" | undefined }
  ): Retriever["Service"] {
    const say = saying(name)
    const one: Retriever["Service"]["search"] = (query, searchOptions) =>
      isLong(query)
        ? Effect.andThen(say([query]), search(SearchQuery.beginning(query), searchOptions))
        : search(query, searchOptions)
    return Retriever.of({
      name,
      search: one,
      searchMany: (queries, searchOptions) =>
        Effect.forEach(queries, (query) => one(query, searchOptions), { concurrency: options?.concurrency ?? 1 })
    })
  }

  /**
   * A retriever whose engine answers batches.
   *
   * @since 0.1.0
   */
  static fromSearchMany(name: string, searchMany: Retriever["Service"]["searchMany"]): Retriever["Service"] {
    const say = saying(name)
    const many: Retriever["Service"]["searchMany"] = (queries, options) =>
      queries.some(isLong)
        ? Effect.andThen(say(queries), searchMany(queries.map(SearchQuery.beginning), options))
        : searchMany(queries, options)
    return Retriever.of({
      name,
      searchMany: many,
      search: (query, options) =>
        Effect.flatMap(many([query], options), ([documents]) =>
          documents === undefined
            ? Effect.fail(new RetrieverUnexpectedShape({ retriever: name, reason: "no result for the query" }))
            : Effect.succeed(documents))
    })
  }

  /**
   * A layer that puts something around the retriever that it is provided with. Effect builds a layer once in a program
   * and shares it; this one is built wherever it is provided, for with another retriever inside it is another one. So
   * one value may stand around several engines, and around itself. The layer that `Layer.provide` makes of it and an
   * engine is shared as any other.
   *
   * @since 0.2.0
   */
  static decorate<E = never, R = never>(
    make: (inner: Retriever["Service"]) => Effect.Effect<Retriever["Service"], E, R>
  ): Layer.Layer<Retriever, E, Retriever | Exclude<R, Scope.Scope>> {
    return Layer.fresh(Layer.effect(Retriever, Effect.flatMap(Retriever, make)))
  }
}
