/**
 * The wire format of retrieval servers as Search-R1 speaks it (spec §5.1, §5.2), read and written.
 *
 * @since 0.1.0
 */
import { Result } from "effect"
import { contents, type Document, fromContents, fromFields, type ScoredDocument } from "../../domain/Document.ts"
import * as LaxJson from "../../domain/LaxJson.ts"
import { type Fields, isFields, textOf } from "../../domain/RecordFields.ts"
import { sha256 } from "../hash.ts"
import { shown } from "./jsonHttp.ts"

/** Servers that build documents on the fly give them no id: equal texts get equal ids. */
const derivedId = (text: string): string => sha256(text).slice(0, 16)

/**
 * Splits the string forms that the reference's rerank servers answer with: `(Title: …) text`, where the title may hold
 * balanced parentheses (quirk Q42), and `"title"\ntext`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const documentFromString = (text: string): Document => {
  const id = derivedId(text)
  const prefix = "(Title: "
  if (!text.startsWith(prefix)) return fromContents(id, text)
  let depth = 1
  for (let index = prefix.length; index < text.length; index++) {
    const character = text[index]
    if (character === "(") depth += 1
    else if (character === ")") depth -= 1
    if (depth === 0) {
      return { id, title: text.slice(prefix.length, index), text: text.slice(index + 1).replace(/^ /, "") }
    }
  }
  return fromContents(id, text)
}

const documentFromRecord = (record: Fields): Result.Result<Document, string> => {
  const id = textOf(record["id"])
  if (id === undefined && record["id"] !== undefined && record["id"] !== null) {
    return Result.fail(`a document's "id" is no string`)
  }
  // servers leave the title out where there is none
  const found = fromFields(id ?? "", { ...record, title: record["title"] ?? "" })
  if (found === undefined) return Result.fail(`a document needs "contents", or "title" and "text", as strings`)
  const { contents: whole } = record
  return Result.succeed({ ...found, id: id ?? derivedId(typeof whole === "string" ? whole : contents(found)) })
}

const document = (value: unknown): Result.Result<Document, string> =>
  typeof value === "string"
    ? Result.succeed(documentFromString(value))
    : isFields(value)
    ? documentFromRecord(value)
    : Result.fail("a document is neither an object nor a string")

interface Hit {
  readonly document: Document
  readonly score: number | undefined
}

/** Reads one hit: `{document, score}` or a bare document. */
const hit = (value: unknown): Result.Result<Hit, string> => {
  const scored = isFields(value) && "document" in value
  const given = scored ? value["score"] : undefined
  const score = given === undefined || given === null ? undefined : LaxJson.finite(given)
  if (score === undefined && given !== undefined && given !== null) {
    return Result.fail(`the "score" ${shown(given)} is no number`)
  }
  return Result.map(document(scored ? value["document"] : value), (document) => ({ document, score }))
}

/**
 * Reads the hits of one query. Without scores they get the reciprocals of their ranks, so that scores fall with the rank
 * as the server gave it; scores for some of them would be mixed with those.
 */
const hits = (
  list: ReadonlyArray<unknown>
): Result.Result<ReadonlyArray<ScoredDocument>, readonly [number, string]> => {
  const found: Array<Hit> = []
  for (const [rank, value] of list.entries()) {
    const decoded = hit(value)
    if (Result.isFailure(decoded)) return Result.fail([rank, decoded.failure])
    found.push(decoded.success)
  }
  const bare = found.findIndex(({ score }) => score === undefined)
  if (bare !== -1 && found.some(({ score }) => score !== undefined)) {
    return Result.fail([bare, `it has no "score", and others have`])
  }
  return Result.succeed(found.map(({ document, score }, rank) => ({ ...document, score: score ?? 1 / (rank + 1) })))
}

/**
 * Reads the answer to `queries` queries. The failure says where the answer departs from the protocol.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeResult = (
  json: unknown,
  queries: number,
  topK: number
): Result.Result<ReadonlyArray<ReadonlyArray<ScoredDocument>>, string> => {
  const result = isFields(json) ? json["result"] : undefined
  if (!Array.isArray(result)) return Result.fail(`there is no array "result" in ${shown(json)}`)
  if (result.length !== queries) {
    return Result.fail(`"result" holds ${result.length} lists for ${queries} ${queries === 1 ? "query" : "queries"}`)
  }
  const lists: Array<ReadonlyArray<ScoredDocument>> = []
  for (const [index, list] of result.entries()) {
    if (!Array.isArray(list)) return Result.fail(`"result[${index}]" is no array`)
    const decoded = hits(list.slice(0, topK))
    if (Result.isFailure(decoded)) {
      const [rank, reason] = decoded.failure
      return Result.fail(`"result[${index}][${rank}]": ${reason}`)
    }
    lists.push(decoded.success)
  }
  return Result.succeed(lists)
}
