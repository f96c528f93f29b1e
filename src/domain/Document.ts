/**
 * Documents of a corpus and the scored passages that a retriever returns.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * One passage of a corpus. `title` is kept as the corpus has it (wiki-18 titles carry quotation marks), so that
 * `contents` gives the reference's string back to the letter.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Document = Schema.Struct({
  id: Schema.String,
  title: Schema.String,
  text: Schema.String
})

/**
 * @category models
 * @since 0.1.0
 */
export type Document = typeof Document.Type

/**
 * A document with the score that a retriever gave it. Scores of different retrievers are not comparable.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ScoredDocument = Schema.Struct({
  id: Schema.String,
  title: Schema.String,
  text: Schema.String,
  score: Schema.Finite
})

/**
 * @category models
 * @since 0.1.0
 */
export type ScoredDocument = typeof ScoredDocument.Type

/**
 * The reference's single-string form: the title on the first line, the text below it
 * (`example/corpus.jsonl`).
 *
 * @category conversions
 * @since 0.1.0
 */
export const contents = (document: Document): string => `${document.title}\n${document.text}`

/**
 * Splits the reference's `contents`: the first line is the title, the rest the text
 * (`generation.py`, `_passages2string`).
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromContents = (id: string, contents: string): Document => {
  const newline = contents.indexOf("\n")
  return newline === -1
    ? { id, title: contents, text: "" }
    : { id, title: contents.slice(0, newline), text: contents.slice(newline + 1) }
}

/**
 * The passage of a record's fields. `contents` is what the reference reads (`index_builder.py`, `retrieval_server.py`), so
 * it counts where a record has `title` and `text` beside it; these are used where there are no contents, or blank ones, and
 * where they say the same and more exactly. `undefined` where neither is there as text.
 *
 * @category conversions
 * @since 0.2.0
 */
export const fromFields = (
  id: string,
  fields: { readonly contents?: unknown; readonly title?: unknown; readonly text?: unknown }
): Document | undefined => {
  const { contents: whole, text, title } = fields
  const parts = typeof title === "string" && typeof text === "string" ? { id, title, text } : undefined
  if (typeof whole !== "string") return parts
  const exact = parts !== undefined && (whole.trim() === "" || contents(parts) === whole)
  return exact ? parts : fromContents(id, whole)
}

/**
 * Whether a record's `title` and `text` say something that its `contents`, which are read, do not: other words, or more of
 * them. Marks around the title, such as wiki-18's quotation marks, are no difference.
 *
 * @category predicates
 * @since 0.2.0
 */
export const losesFields = (
  fields: { readonly contents?: unknown; readonly title?: unknown; readonly text?: unknown }
): boolean => {
  const { contents, text, title } = fields
  if (typeof contents !== "string" || typeof text !== "string" || contents.trim() === "") return false
  const body = text.trim()
  const at = contents.lastIndexOf(body)
  return at === -1 || (typeof title === "string" && !contents.slice(0, at).includes(title.replace(/^"(.*)"$/s, "$1")))
}

/**
 * The title for people: without the quotation marks that surround it in wiki-18.
 *
 * @category conversions
 * @since 0.1.0
 */
export const displayTitle = (document: Document): string => document.title.replace(/^"(.*)"$/s, "$1")
