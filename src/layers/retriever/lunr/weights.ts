/**
 * What lunr makes of passages: how much each term weighs in each.
 *
 * @since 0.2.0
 */
import { Effect } from "effect"
import lunr from "lunr"
import type { Document } from "../../../domain/Document.ts"
import { analyze } from "../../../domain/MultilingualAnalyzer.ts"

/**
 * The postings of term `t` are `starts[t]` to `starts[t + 1]`, ascending by row.
 *
 * @category models
 * @since 0.2.0
 */
export interface Weights {
  readonly documents: number
  readonly terms: ReadonlyArray<string>
  /** `[terms + 1]` */
  readonly starts: Int32Array
  /** `[postings]` */
  readonly rows: Int32Array
  /** Thousandths, which lunr rounds to, of title and text together, `[postings]`. */
  readonly weights: Int32Array
}

/** Part of what tells stored indexes apart: raise it whenever the same passages would give another index. */
export const format = `2-lunr-${lunr.version}`

/** Passages indexed between two chances for other fibers. */
const batchSize = 128

const tokenizer: typeof lunr.tokenizer = Object.assign(
  (text?: null | string | object | ReadonlyArray<object>) =>
    typeof text === "string" ? analyze(text).map((term) => new lunr.Token(term, {})) : [],
  { separator: lunr.tokenizer.separator }
)

/**
 * Builds the index of passages; `onProgress` is told how many are in it after each batch.
 *
 * @category constructors
 * @since 0.2.0
 */
export const build = Effect.fnUntraced(function*(
  documents: ReadonlyArray<Document>,
  onProgress: (indexed: number) => Effect.Effect<void>
) {
  const builder = new lunr.Builder()
  builder.tokenizer = tokenizer
  builder.ref("row")
  builder.field("title")
  builder.field("text")
  for (let start = 0; start < documents.length; start += batchSize) {
    const end = Math.min(documents.length, start + batchSize)
    for (let row = start; row < end; row++) {
      const document = documents[row]
      // rows, not ids, are the references: a corpus may repeat an id
      if (document !== undefined) builder.add({ row, title: document.title, text: document.text })
    }
    yield* onProgress(end)
    yield* Effect.yieldNow
  }
  return flatten(builder.build().toJSON(), documents.length)
})

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined

const listOf = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

/** From the vector of each field of each passage to the passages of each term. */
const flatten = (serialized: object, documents: number): Weights => {
  const terms: Array<string> = []
  for (const entry of listOf(fieldOf(serialized, "invertedIndex"))) {
    const [term, posting] = listOf(entry)
    terms[Number(fieldOf(posting, "_index"))] = String(term)
  }
  /** Of each term its rows and weights: a passage of whose fields both hold it comes twice in a row. */
  const postings = terms.map((): Array<number> => [])
  const vectors = listOf(fieldOf(serialized, "fieldVectors"))
  const byRow = Array.from({ length: documents }, (): Array<ReadonlyArray<unknown>> => [])
  for (const entry of vectors) {
    const [reference, elements] = listOf(entry)
    byRow[Number(String(reference).split("/")[1])]?.push(listOf(elements))
  }
  for (const [row, elements] of byRow.entries()) {
    for (const vector of elements) {
      for (let at = 0; at + 1 < vector.length; at += 2) {
        const posting = postings[Number(vector[at])]
        const weight = Math.round(1000 * Number(vector[at + 1]))
        if (posting === undefined) continue
        if (posting.at(-2) === row) posting[posting.length - 1] = (posting.at(-1) ?? 0) + weight
        else posting.push(row, weight)
      }
    }
  }
  const starts = new Int32Array(terms.length + 1)
  for (const [term, posting] of postings.entries()) starts[term + 1] = (starts[term] ?? 0) + posting.length / 2
  const rows = new Int32Array(starts[terms.length] ?? 0)
  const weights = new Int32Array(rows.length)
  for (const [term, posting] of postings.entries()) {
    const start = starts[term] ?? 0
    for (let at = 0; at < posting.length; at += 2) {
      rows[start + at / 2] = posting[at] ?? 0
      weights[start + at / 2] = posting[at + 1] ?? 0
    }
  }
  return { documents, terms, starts, rows, weights }
}

/**
 * The index as JSON.
 *
 * @category encoding
 * @since 0.2.0
 */
export const encode = ({ documents, rows, starts, terms, weights }: Weights): string =>
  JSON.stringify([documents, terms, [...starts], [...rows], [...weights]])

/**
 * Reads what {@link encode} wrote. It throws where that is something else.
 *
 * @category decoding
 * @since 0.2.0
 */
export const decode = (json: string): Weights => {
  const [documents, terms, starts, rows, weights] = listOf(JSON.parse(json))
  const read: Weights = {
    documents: Number(documents),
    terms: listOf(terms).map(String),
    starts: Int32Array.from(listOf(starts), Number),
    rows: Int32Array.from(listOf(rows), Number),
    weights: Int32Array.from(listOf(weights), Number)
  }
  if (read.starts.at(-1) !== read.rows.length || read.rows.length !== read.weights.length) {
    throw new Error("its parts do not fit together")
  }
  return read
}
