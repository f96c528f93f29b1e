/**
 * Tables of plain text.
 *
 * @since 0.1.0
 */
import { cut, width } from "./textWidth.ts"

/**
 * A column: its heading, and whether its cells are numbers (set flush right).
 *
 * @category models
 * @since 0.1.0
 */
export interface Column {
  readonly heading: string
  readonly align?: "left" | "right" | undefined
}

const gap = 2

/** The least columns of a text that is cut to fit. */
const leastText = 10

const pad = (cell: string, columns: number, align: Column["align"]): string => {
  const space = " ".repeat(Math.max(0, columns - width(cell)))
  return align === "right" ? space + cell : cell + space
}

/** Widths that fit, texts being cut from the widest on; undefined where even that is too much. */
const fitting = (
  columns: ReadonlyArray<Column>,
  natural: ReadonlyArray<number>,
  most: number
): ReadonlyArray<number> | undefined => {
  const widths = [...natural]
  const total = () => widths.reduce((sum, one) => sum + one, gap * (columns.length - 1))
  while (total() > most) {
    const widest = widths.reduce(
      (best, size, index) =>
        columns[index]?.align === "right" || size <= leastText || size <= (widths[best] ?? 0) ? best : index,
      -1
    )
    if (widest < 0) return undefined
    widths[widest] = (widths[widest] ?? 0) - 1
  }
  return widths
}

/** A row below the other: its first cell, and under it each further one behind its heading. */
const records = (columns: ReadonlyArray<Column>, rows: ReadonlyArray<ReadonlyArray<string>>, most: number): string => {
  const [, ...rest] = columns
  const heading = Math.min(Math.max(...rest.map((column) => width(column.heading)), 0), Math.floor(most / 2))
  const value = Math.max(1, most - heading - 2 * gap)
  return rows.map(([first = "", ...cells]) =>
    [
      cut(first, most),
      ...rest.flatMap((column, index) => {
        const cell = cells[index] ?? ""
        return cell === "" ? [] : [`  ${pad(cut(column.heading, heading), heading, "left")}  ${cut(cell, value)}`]
      })
    ].join("\n")
  ).join("\n")
}

/**
 * Sets rows under headings, two spaces between columns; colour codes take no width, wide characters take two columns. Where
 * that is wider than `most` columns texts are cut, and where numbers alone are, rows become blocks of lines.
 *
 * @category formatting
 * @since 0.1.0
 */
export const table = (
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  most = Number.POSITIVE_INFINITY
): string => {
  const headings = columns.map((column) => column.heading)
  const natural = columns.map((_, index) => Math.max(...[headings, ...rows].map((row) => width(row[index] ?? ""))))
  const widths = fitting(columns, natural, most)
  if (widths === undefined) return records(columns, rows, most)
  const line = (cells: ReadonlyArray<string>) =>
    columns.map(({ align }, index) => pad(cut(cells[index] ?? "", widths[index] ?? 0), widths[index] ?? 0, align))
      .join(" ".repeat(gap)).trimEnd()
  return [line(headings), widths.map((size) => "─".repeat(size)).join(" ".repeat(gap)), ...rows.map(line)].join("\n")
}
