/**
 * Passages of a database with their vectors, by which the embedder is known again that made them.
 *
 * @since 0.2.0
 */
import { contents } from "../../../domain/Document.ts"
import * as ProbePassages from "../../../domain/ProbePassages.ts"
import type { Stored } from "../storedVectors.ts"
import type { Query, Table } from "./library.ts"

const isNumbers = (values: Iterable<unknown>): values is Iterable<number> => {
  for (const value of values) if (typeof value !== "number") return false
  return true
}

const isIterable = (value: unknown): value is Iterable<unknown> =>
  typeof value === "object" && value !== null && Symbol.iterator in value

const vectorOf = (value: unknown): Float32Array => {
  const values = isIterable(value) ? [...value] : []
  return isNumbers(values) ? Float32Array.from(values) : new Float32Array()
}

const storedOf = async (query: Query): Promise<ReadonlyArray<Stored>> => {
  const stored: Array<Stored> = []
  for await (const rows of query.select(["title", "text", "vector"])) {
    for (let row = 0; row < rows.numRows; row++) {
      stored.push({
        text: contents({
          id: "",
          title: String(rows.getChild("title")?.get(row)),
          text: String(rows.getChild("text")?.get(row))
        }),
        vector: vectorOf(rows.getChild("vector")?.get(row))
      })
    }
  }
  return stored
}

/**
 * The passages at the offsets.
 *
 * @category readers
 * @since 0.2.0
 */
export const at = (table: Table, offsets: ReadonlyArray<number>): Promise<ReadonlyArray<Stored>> =>
  offsets.length === 0 ? Promise.resolve([]) : storedOf(table.takeOffsets(offsets))

/** Passages among which is chosen. */
const looked = 4096

/**
 * Passages of a table of which nobody knows which ones tell most.
 *
 * @category readers
 * @since 0.2.0
 */
export const chosen = async (table: Table): Promise<ReadonlyArray<Stored>> => {
  const beyondAscii = ["title", "text"].map((column) => `octet_length(${column}) > character_length(${column})`)
  const found = [
    ...await storedOf(table.query().where(beyondAscii.join(" or ")).limit(looked)),
    ...await storedOf(table.query().limit(64))
  ]
  const chooser = new ProbePassages.Chooser()
  for (const [row, { text }] of found.entries()) chooser.offer(row, text)
  return chooser.rows().flatMap((row) => found[row] ?? [])
}
