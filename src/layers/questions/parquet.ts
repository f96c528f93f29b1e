/**
 * Rows of Parquet files as plain JSON values.
 *
 * @since 0.1.0
 */
// hyparquet reads ranges of a file by itself; the first bytes tell what a file is.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect } from "effect"
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from "hyparquet"
import { open } from "node:fs/promises"
import { QuestionsUnreadable } from "../../services/Questions.ts"

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "this is a directory, a file is needed",
  EACCES: "permission denied"
}

const unreadable = (path: string, what: string) => (cause: unknown): QuestionsUnreadable => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
  const message = cause instanceof Error ? cause.message : String(cause)
  return new QuestionsUnreadable({
    path,
    reason: reasons[code] ??
      (/unsupported compression codec/i.test(message)
        ? `${message}: write it with snappy or without compression`
        : `${what} (${message})`)
  })
}

/**
 * Whether the file begins with Parquet's magic bytes.
 *
 * @category getters
 * @since 0.1.0
 */
export const isParquet = (path: string): Effect.Effect<boolean, QuestionsUnreadable> =>
  Effect.tryPromise({
    try: async () => {
      const file = await open(path)
      try {
        const { buffer, bytesRead } = await file.read(new Uint8Array(4), 0, 4, 0)
        return bytesRead === 4 && new TextDecoder().decode(buffer) === "PAR1"
      } finally {
        await file.close()
      }
    },
    catch: unreadable(path, "it cannot be read")
  })

/** 64-bit integers as numbers, or as strings where a number cannot hold them. */
const plain = (value: unknown): unknown => {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && !(value instanceof Date)) {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]))
  }
  return value
}

/**
 * All rows, of those `columns` that the file has.
 *
 * @category constructors
 * @since 0.1.0
 */
export const rows = (
  path: string,
  columns: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<unknown>, QuestionsUnreadable> =>
  Effect.tryPromise({
    try: async () => {
      const file = await asyncBufferFromFile(path)
      const metadata = await parquetMetadataAsync(file)
      const present = new Set(parquetSchema(metadata).children.map((child) => child.element.name))
      const objects = await parquetReadObjects({
        file,
        metadata,
        columns: columns.filter((column) => present.has(column))
      })
      return objects.map(plain)
    },
    catch: unreadable(path, "this Parquet file is damaged or cut off")
  })
