/**
 * The file format of a corpus: one JSON object a line, in the reference's form `{"id","contents"}`
 * (`example/corpus.jsonl`) or as `{"id","title","text"}`.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"
import { contents, type Document, fromFields } from "./Document.ts"
import * as JsonRecords from "./JsonRecords.ts"
import { isFields, kind, textOf } from "./RecordFields.ts"

/**
 * A corpus could not be read. `line` is 1-based.
 *
 * @category errors
 * @since 0.1.0
 */
export class CorpusUnreadable extends Schema.TaggedError<CorpusUnreadable>()("CorpusUnreadable", {
  path: Schema.String,
  /** 1-based line, where one is to blame. */
  line: Schema.optionalKey(Schema.Natural),
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}${this.line === undefined ? "" : `:${this.line}`}: ${this.reason}`
  }
}

/**
 * Reads the JSON value of a passage. Numbers are accepted as ids, further fields are ignored, and `contents` counts where
 * it stands beside `title` and `text`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromJson = (value: unknown): Result.Result<Document, string> => {
  if (!isFields(value)) return Result.fail(`expected an object with "id" and "contents", got ${kind(value)}`)
  const id = textOf(value["id"])
  if (id === undefined) return Result.fail(`"id" must be a string, got ${kind(value["id"])}`)
  const document = fromFields(id, value)
  if (document !== undefined) return Result.succeed(document)
  const { contents, text, title } = value
  if (contents !== undefined && contents !== null) {
    return Result.fail(`"contents" must be a string, got ${kind(contents)}`)
  }
  return title === undefined && text === undefined
    ? Result.fail(`neither "contents" nor "title" and "text" is there`)
    : Result.fail(`"title" and "text" must both be strings, got ${kind(title)} and ${kind(text)}`)
}

/**
 * Parses one line of a corpus file. The failure says what is wrong with it.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseLine = (line: string): Result.Result<Document, string> =>
  Result.flatMap(JsonRecords.value({ line: 1, text: line }), fromJson)

/**
 * A passage as one line of a corpus file, in the reference's form. A title with a line break, which that form cannot
 * hold, is written as `{"id","title","text"}`.
 *
 * @category encoding
 * @since 0.1.0
 */
export const formatLine = (document: Document): string =>
  JSON.stringify(
    document.title.includes("\n")
      ? { id: document.id, title: document.title, text: document.text }
      : { id: document.id, contents: contents(document) }
  )
