/**
 * Rows of Parquet files as plain JSON values.
 *
 * @since 0.1.0
 */
// hyparquet reads ranges of a file by itself; the first bytes tell what a file is.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, Stream } from "effect"
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema
} from "hyparquet"
import { open } from "node:fs/promises"
import { FileUnreadable, reasonOf } from "./textFile.ts"

const unreadable = (path: string) => (cause: unknown): FileUnreadable => {
  const known = reasonOf(cause)
  if (known !== undefined) return new FileUnreadable({ path, reason: known })
  const message = cause instanceof Error ? cause.message : String(cause)
  return new FileUnreadable({
    path,
    reason: /unsupported compression codec/i.test(message)
      ? `${message}; write it with snappy or without compression`
      : `this Parquet file is damaged or cut off (${message})`
  })
}

/**
 * Whether the file begins with Parquet's magic bytes, whatever its name is.
 *
 * @category getters
 * @since 0.1.0
 */
export const isParquet = (path: string): Effect.Effect<boolean, FileUnreadable> =>
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
    catch: unreadable(path)
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

interface Contents {
  readonly file: AsyncBuffer
  readonly metadata: FileMetaData
  readonly columns: Array<string>
}

const openFile = (path: string, columns: ReadonlyArray<string>): Effect.Effect<Contents, FileUnreadable> =>
  Effect.tryPromise({
    try: async () => {
      const file = await asyncBufferFromFile(path)
      const metadata = await parquetMetadataAsync(file)
      const present = new Set(parquetSchema(metadata).children.map((child) => child.element.name))
      return { file, metadata, columns: columns.filter((column) => present.has(column)) }
    },
    catch: unreadable(path)
  })

/**
 * The rows in file order, one row group at a time, with those of the `columns` that the file has.
 *
 * @category constructors
 * @since 0.1.0
 */
export const batches = (
  path: string,
  columns: ReadonlyArray<string>
): Stream.Stream<ReadonlyArray<unknown>, FileUnreadable> =>
  Stream.unwrap(Effect.map(openFile(path, columns), ({ columns, file, metadata }) => {
    let end = 0
    const ranges = metadata.row_groups.map((group) => {
      const start = end
      end += Number(group.num_rows)
      return { rowStart: start, rowEnd: end }
    })
    return Stream.fromArray(ranges).pipe(
      Stream.mapEffect((range) =>
        Effect.tryPromise({
          try: async () => (await parquetReadObjects({ file, metadata, columns, ...range })).map(plain),
          catch: unreadable(path)
        })
      )
    )
  }))
