/**
 * The wire format of retrieval servers as Search-R1 speaks it (spec §5.1, §5.2), read and written.
 *
 * @since 0.1.0
 */
import { Result } from "effect"
import { contents, type Document, fromContents, type ScoredDocument } from "../../domain/Document.ts"
import { sha256 } from "../hash.ts"

type Json = Readonly<Record<string, unknown>>

const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

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

const documentFromRecord = (record: Json): Result.Result<Document, string> => {
  const { contents: body, text, title } = record
  const id = typeof record["id"] === "number" ? String(record["id"]) : record["id"]
  if (id !== undefined && id !== null && typeof id !== "string") return Result.fail(`a document's "id" is no string`)
  const separate = typeof title === "string" && typeof text === "string"
  if (typeof body === "string") {
    const named = typeof id === "string" ? id : derivedId(body)
    // `contents` is what the reference reads; title and text are used only where they say the same and more exactly
    return Result.succeed(
      separate && contents({ id: named, title, text }) === body
        ? { id: named, title, text }
        : fromContents(named, body)
    )
  }
  if (separate) {
    return Result.succeed({ id: typeof id === "string" ? id : derivedId(`${title}\n${text}`), title, text })
  }
  return Result.fail(`a document needs "contents", or "title" and "text"`)
}

const document = (value: unknown): Result.Result<Document, string> =>
  typeof value === "string"
    ? Result.succeed(documentFromString(value))
    : isRecord(value)
    ? documentFromRecord(value)
    : Result.fail("a document is neither an object nor a string")

/**
 * Reads one hit: `{document, score}` or a bare document. A hit without a score gets the reciprocal of its rank, so that
 * scores fall with the rank as the server gave it.
 */
const hit = (value: unknown, rank: number): Result.Result<ScoredDocument, string> => {
  const scored = isRecord(value) && "document" in value
  const score = scored && value["score"] !== undefined && value["score"] !== null ? value["score"] : 1 / rank
  if (typeof score !== "number" || !Number.isFinite(score)) return Result.fail(`a "score" is no number`)
  return Result.map(document(scored ? value["document"] : value), (document) => ({ ...document, score }))
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
  const result = isRecord(json) ? json["result"] : undefined
  if (!Array.isArray(result)) return Result.fail(`there is no array "result"`)
  if (result.length !== queries) {
    return Result.fail(`"result" holds ${result.length} lists for ${queries} ${queries === 1 ? "query" : "queries"}`)
  }
  const lists: Array<ReadonlyArray<ScoredDocument>> = []
  for (const [index, list] of result.entries()) {
    if (!Array.isArray(list)) return Result.fail(`"result[${index}]" is no array`)
    const documents: Array<ScoredDocument> = []
    for (let rank = 0; rank < Math.min(topK, list.length); rank++) {
      const decoded = hit(list[rank], rank + 1)
      if (Result.isFailure(decoded)) return Result.fail(`"result[${index}][${rank}]": ${decoded.failure}`)
      documents.push(decoded.success)
    }
    lists.push(documents)
  }
  return Result.succeed(lists)
}
