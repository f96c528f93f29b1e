/**
 * Passages by their row, those asked for lately from memory.
 *
 * @since 0.1.0
 */
import type { Document } from "../../../domain/Document.ts"
import type { Table } from "./library.ts"

/** What a string of one unit takes in V8, roughly: Latin text one byte, anything else two. */
const bytesOf = ({ id, text, title }: Document): number => 200 + 2 * (id.length + text.length + title.length)

/**
 * Passages that a table holds.
 *
 * @category models
 * @since 0.1.0
 */
export class Passages {
  private readonly table: Pick<Table, "takeRowIds">
  private readonly capacity: number
  private readonly known = new Map<number, Document>()
  private bytes = 0

  constructor(table: Pick<Table, "takeRowIds">, capacity: number) {
    this.table = table
    this.capacity = capacity
  }

  private remember(row: number, document: Document): void {
    this.known.set(row, document)
    this.bytes += bytesOf(document)
    for (const [oldest, passage] of this.known) {
      if (this.bytes <= this.capacity) return
      this.known.delete(oldest)
      this.bytes -= bytesOf(passage)
    }
  }

  /** The passages of the rows. It throws when the table does not have one. */
  async get(rows: Iterable<number>): Promise<ReadonlyMap<number, Document>> {
    const found = new Map<number, Document>()
    const missing: Array<number> = []
    for (const row of new Set(rows)) {
      const document = this.known.get(row)
      if (document === undefined) missing.push(row)
      else {
        // what was used last is forgotten last
        this.known.delete(row)
        this.known.set(row, document)
        found.set(row, document)
      }
    }
    if (missing.length > 0) {
      const taken = await this.table.takeRowIds(missing).select(["id", "title", "text"]).withRowId().toArrow()
      for (let at = 0; at < (taken?.numRows ?? 0); at++) {
        const row = Number(taken?.getChild("_rowid")?.get(at))
        const document = {
          id: String(taken?.getChild("id")?.get(at)),
          title: String(taken?.getChild("title")?.get(at)),
          text: String(taken?.getChild("text")?.get(at))
        }
        found.set(row, document)
        if (!this.known.has(row)) this.remember(row, document)
      }
    }
    for (const row of missing) if (!found.has(row)) throw new Error(`the index lacks its row ${row}`)
    return found
  }
}
