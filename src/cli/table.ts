/**
 * Tables of plain text.
 *
 * @since 0.1.0
 */

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

// oxlint-disable-next-line no-control-regex
const width = (text: string): number => Array.from(text.replaceAll(/\u001B\[[0-9;]*m/g, "")).length

/**
 * Sets rows under headings, two spaces between columns; colour codes take no width.
 *
 * @category formatting
 * @since 0.1.0
 */
export const table = (columns: ReadonlyArray<Column>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const headings = columns.map((column) => column.heading)
  const widths = columns.map((_, index) => Math.max(...[headings, ...rows].map((row) => width(row[index] ?? ""))))
  const line = (cells: ReadonlyArray<string>) =>
    columns.map((column, index) => {
      const cell = cells[index] ?? ""
      const gap = " ".repeat(Math.max(0, (widths[index] ?? 0) - width(cell)))
      return column.align === "right" ? gap + cell : cell + gap
    }).join("  ").trimEnd()
  return [line(headings), widths.map((size) => "─".repeat(size)).join("  "), ...rows.map(line)].join("\n")
}
