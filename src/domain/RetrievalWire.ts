/**
 * What a retrieval server reads and writes: the reference's `/retrieve` (`search_r1/search/retrieval_server.py`) and
 * SkyRL's form of it, with FastAPI's form of errors.
 *
 * @since 0.1.0
 */
import { Result } from "effect"
import { contents, type Document, fromFields, type ScoredDocument } from "./Document.ts"
import * as LaxJson from "./LaxJson.ts"
import { type Fields, isFields, textOf } from "./RecordFields.ts"

/**
 * Limits of a server.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limits {
  /** Passages for a query that does not say how many. */
  readonly defaultTopK: number
  readonly maxTopK: number
  /** Queries in one request. */
  readonly maxQueries: number
  /** Passages that all queries of one request may ask for together. */
  readonly maxPassages: number
}

/**
 * A request that a server can answer.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetrieveRequest {
  readonly queries: ReadonlyArray<string>
  readonly topK: number
  readonly returnScores: boolean
}

/**
 * Why a request cannot be answered: an HTTP status and the field that is to blame.
 *
 * @category models
 * @since 0.1.0
 */
export interface Problem {
  readonly status: 413 | 422
  readonly field: string
  readonly message: string
}

const invalid = (field: string, message: string): Result.Result<never, Problem> =>
  Result.fail({ status: 422, field, message })

const isStrings = (value: ReadonlyArray<unknown>): value is ReadonlyArray<string> =>
  value.every((element) => typeof element === "string")

const queriesOf = (fields: Fields, { maxQueries }: Limits): Result.Result<ReadonlyArray<string>, Problem> => {
  const { queries, query } = fields
  if (queries === undefined) {
    return typeof query === "string"
      ? Result.succeed([query])
      : invalid("queries", query === undefined ? "Field required" : "\"query\" should be a string")
  }
  if (!Array.isArray(queries)) return invalid("queries", "Input should be a list of strings")
  if (queries.length > maxQueries) {
    return Result.fail({ status: 413, field: "queries", message: `At most ${maxQueries} queries in a request` })
  }
  return isStrings(queries) ? Result.succeed(queries) : invalid("queries", "Each query should be a string")
}

/** Null and 0 mean the server's own number, as in the reference. */
const topKOf = (fields: Fields, field: string, { defaultTopK, maxTopK }: Limits): Result.Result<number, Problem> => {
  const value = fields[field] ?? 0
  const topK = LaxJson.integer(value)
  if (topK === undefined || topK < 0) return invalid(field, "Input should be a non-negative integer")
  if (topK > maxTopK) return invalid(field, `Input should be at most ${maxTopK}`)
  return Result.succeed(topK === 0 ? defaultTopK : topK)
}

const flagOf = (fields: Fields, field: string): Result.Result<boolean, Problem> => {
  const flag = LaxJson.boolean(fields[field] ?? false)
  return flag === undefined ? invalid(field, "Input should be a boolean") : Result.succeed(flag)
}

/**
 * Reads the body of `POST /retrieve`: `{queries, topk?, return_scores?}` or `{query, topk?, return_scores?}`; other
 * fields are ignored. Numbers and truths may be strings, as FastAPI takes them ({@link LaxJson}).
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeRetrieve = (json: unknown, limits: Limits): Result.Result<RetrieveRequest, Problem> => {
  if (!isFields(json)) return invalid("", "Input should be an object")
  return Result.gen(function*() {
    const queries = yield* queriesOf(json, limits)
    const topK = yield* topKOf(json, "topk", limits)
    const returnScores = yield* flagOf(json, "return_scores")
    if (queries.length * topK > limits.maxPassages) {
      return yield* Result.fail<Problem>({
        status: 413,
        field: "topk",
        message: `${queries.length} queries for ${topK} passages each are more than ${limits.maxPassages} passages: ` +
          "send fewer queries in a request, or ask for fewer passages"
      })
    }
    return { queries, topK, returnScores }
  })
}

/** The reference's document: `{"id", "contents"}`. */
const encodeDocument = (document: Document) => ({ id: document.id, contents: contents(document) })

/**
 * A query's part of the body that answers `POST /retrieve`: with scores a list of `{document, score}`, without a list of
 * documents (which the reference means to send, quirk Q40). {@link encodeResult} puts the parts together.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeHits = (hits: ReadonlyArray<ScoredDocument>, returnScores: boolean): string =>
  JSON.stringify(
    returnScores ? hits.map((hit) => ({ document: encodeDocument(hit), score: hit.score })) : hits.map(encodeDocument)
  )

/**
 * The body of an answer in pieces, of the parts of its queries.
 *
 * @category encoding
 * @since 0.2.0
 */
export const encodeResult = (parts: ReadonlyArray<string>): ReadonlyArray<string> => [
  "{\"result\":[",
  ...parts.map((part, at) => at === 0 ? part : `,${part}`),
  "]}"
]

/**
 * An error in FastAPI's form: `{"detail": [{"loc", "msg", "type"}]}`.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeProblem = ({ field, message }: Omit<Problem, "status">, type = "value_error"): string =>
  JSON.stringify({ detail: [{ loc: field === "" ? ["body"] : ["body", field], msg: message, type }] })

/**
 * An error without a field: `{"detail": "…"}`.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeDetail = (detail: string): string => JSON.stringify({ detail })

/**
 * A request that `/rerank` can answer: passages for each query, and how many to keep.
 *
 * @category models
 * @since 0.1.0
 */
export interface RerankRequest {
  readonly queries: ReadonlyArray<string>
  readonly documents: ReadonlyArray<ReadonlyArray<Document>>
  readonly topK: number
  readonly returnScores: boolean
}

/** `{id?, contents}` or `{id?, title, text}`, bare or as `{document: …}` the way `/retrieve` answers. */
const documentOf = (value: unknown): Document | undefined => {
  if (!isFields(value)) return undefined
  if ("document" in value) return documentOf(value["document"])
  return fromFields(textOf(value["id"]) ?? "", value)
}

/**
 * Reads the body of `POST /rerank`: `{queries, documents, rerank_topk?, return_scores?}` (`rerank_server.py`).
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeRerank = (json: unknown, limits: Limits): Result.Result<RerankRequest, Problem> => {
  if (!isFields(json)) return invalid("", "Input should be an object")
  return Result.gen(function*() {
    const queries = yield* queriesOf(json, limits)
    const topK = yield* topKOf(json, "rerank_topk", limits)
    const returnScores = yield* flagOf(json, "return_scores")
    const lists = json["documents"]
    if (!Array.isArray(lists) || lists.length !== queries.length) {
      return yield* invalid("documents", "Input should be a list of passages for each query")
    }
    const documents: Array<ReadonlyArray<Document>> = []
    for (const list of lists) {
      const passages = Array.isArray(list) ? list.map(documentOf) : [undefined]
      const whole = passages.filter((passage) => passage !== undefined)
      if (whole.length !== passages.length) {
        return yield* invalid("documents", "Each passage needs \"contents\", or \"title\" and \"text\"")
      }
      documents.push(whole)
    }
    return { queries, documents, topK, returnScores }
  })
}

/**
 * A passage as the reference's cross-encoder reads it and as its server gives it back: `(Title: …) text`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const titledText = (document: Document): string => `(Title: ${document.title}) ${document.text}`

/**
 * A query's part of the body that answers `POST /rerank`: strings, best first, with scores as `{document, score}`.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeReranked = (hits: ReadonlyArray<ScoredDocument>, returnScores: boolean): string =>
  JSON.stringify(
    returnScores ? hits.map((hit) => ({ document: titledText(hit), score: hit.score })) : hits.map(titledText)
  )
