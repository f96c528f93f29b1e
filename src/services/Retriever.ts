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

/** Characters stand for up to eighteen others. */
const isLong = (query: string): boolean => 18 * query.length > SearchQuery.mostCharacters

/** No engine leaves anything out of shorter ones. */
const longestShort = 128

/** Says of each query of which something is left out how much that is. */
const saying = (name: string, count: SearchQuery.CountTerms | undefined) => {
  const mayBeCut = count === undefined ? isLong : (query: string) => query.length > longestShort
  return (queries: ReadonlyArray<string>): Effect.Effect<void> => {
    const long = queries.filter(mayBeCut)
    return long.length === 0 ? Effect.void : Effect.forEach(long, (query) =>
      Effect.suspend(() => {
        const leftOut = SearchQuery.leftOut(query, count)
        return leftOut === undefined
          ? Effect.void
          : Effect.logWarning(`${name} leaves the end of a query out: ${leftOut}`)
      }), { discard: true })
  }
}

/**
 * How an engine reads queries.
 *
 * @category models
 * @since 0.2.0
 */
export interface Reading {
  /** Given by an engine that searches no more than some terms of a query: what it leaves out is said. */
  readonly countTerms?: SearchQuery.CountTerms | undefined
}

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
  /** Counts the terms of a query where not all of any query are searched. */
  readonly countTerms?: SearchQuery.CountTerms | undefined
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
    options?: Reading & { readonly concurrency?: number | "unbounded" | undefined }
  ): Retriever["Service"] {
    const many: Retriever["Service"]["searchMany"] = (queries, searchOptions) =>
      Effect.forEach(queries, (query) => search(query, searchOptions), { concurrency: options?.concurrency ?? 1 })
    return Retriever.fromBoth(name, { search, searchMany: many }, options)
  }

  /**
   * A retriever whose engine answers batches.
   *
   * @since 0.1.0
   */
  static fromSearchMany(
    name: string,
    searchMany: Retriever["Service"]["searchMany"],
    options?: Reading
  ): Retriever["Service"] {
    const search: Retriever["Service"]["search"] = (query, searchOptions) =>
      Effect.flatMap(searchMany([query], searchOptions), ([documents]) =>
        documents === undefined
          ? Effect.fail(new RetrieverUnexpectedShape({ retriever: name, reason: "no result for the query" }))
          : Effect.succeed(documents))
    return Retriever.fromBoth(name, { search, searchMany }, options)
  }

  /**
   * A retriever whose engine answers one query in another way than many.
   *
   * @since 0.2.0
   */
  static fromBoth(
    name: string,
    { search, searchMany }: Pick<Retriever["Service"], "search" | "searchMany">,
    options?: Reading
  ): Retriever["Service"] {
    const count = options?.countTerms
    const say = saying(name, count)
    return Retriever.of({
      name,
      countTerms: count,
      search: (query, searchOptions) =>
        query.length > longestShort
          // an attempt that fails says nothing: it may be tried again
          ? Effect.tap(search(SearchQuery.beginning(query), searchOptions), () => say([query]))
          : search(query, searchOptions),
      searchMany: (queries, searchOptions) =>
        queries.some(({ length }) => length > longestShort)
          ? Effect.tap(searchMany(queries.map(SearchQuery.beginning), searchOptions), () => say(queries))
          : searchMany(queries, searchOptions)
    })
  }

  /**
   * A layer that puts something around the retriever that it is provided with. Effect builds a layer once in a program
   * and shares it; this one is built wherever it is provided, for with another retriever inside it is another one. So
   * one value may stand around several engines, and around itself. The layer that `Layer.provide` makes of it and an
   * engine is shared as any other. What it makes counts terms as the engine does.
   *
   * @since 0.2.0
   */
  static decorate<E = never, R = never>(
    make: (inner: Retriever["Service"]) => Effect.Effect<Retriever["Service"], E, R>
  ): Layer.Layer<Retriever, E, Retriever | Exclude<R, Scope.Scope>> {
    return Layer.fresh(Layer.effect(
      Retriever,
      Effect.flatMap(
        Retriever,
        (inner) =>
          Effect.map(make(inner), (made) => Retriever.of({ ...made, countTerms: made.countTerms ?? inner.countTerms }))
      )
    ))
  }
}
