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
import { compressors } from "hyparquet-compressors"
import { open } from "node:fs/promises"
import { FileUnreadable, reasonOf } from "./textFile.ts"

const rewrite = `write it again, for example in Python with pandas.read_parquet("in.parquet").to_parquet("out.parquet")`

/** The library's words for what it cannot read, as opposed to what is broken. */
const unsupported: ReadonlyArray<readonly [RegExp, (name: string) => string]> = [
  [/unsupported encoding: (\w+)/, (name) => `has values encoded as ${name === "undefined" ? "nothing known" : name}`],
  [/unsupported compression codec: (\w+)/, (name) => `is compressed with ${name}`],
  [/parquet (bson|interval) not supported/, (name) => `has values of the type ${name.toUpperCase()}`],
  [/(file_path) not supported/, () => "keeps its columns in other files"],
  [/(ALP \w*) ?unsupported|unsupported (?:type|geometry)[^:]*: (\w+)/i, (name) => `has values of the kind ${name}`]
]

const reasonFor = (message: string): string => {
  for (const [pattern, say] of unsupported) {
    const match = pattern.exec(message)
    if (match !== null) {
      return `this Parquet file ${say(match[1] ?? match[2] ?? "")}, which is not read here: ${rewrite}`
    }
  }
  return `this Parquet file is damaged or cut off (${message})`
}

const unreadable = (path: string) => (cause: unknown): FileUnreadable => {
  if (cause instanceof FileUnreadable) return cause
  const known = reasonOf(cause)
  return new FileUnreadable({
    path,
    reason: known ?? reasonFor(cause instanceof Error ? cause.message : String(cause))
  })
}

const encrypted = (path: string) =>
  new FileUnreadable({ path, reason: `this Parquet file is encrypted: decrypt it and ${rewrite}` })

/** Parquet's first bytes, and those of a file whose footer is encrypted. */
const magic = new Set(["PAR1", "PARE"])

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
        return bytesRead === 4 && magic.has(new TextDecoder().decode(buffer))
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
      const end = new TextDecoder().decode(await file.slice(Math.max(0, file.byteLength - 4)))
      if (end === "PARE") throw encrypted(path)
      const metadata = await parquetMetadataAsync(file)
      const locked = metadata.row_groups.some(({ columns }) => columns.some((column) => column.crypto_metadata))
      if (locked) throw encrypted(path)
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
          try: async () => (await parquetReadObjects({ file, metadata, columns, compressors, ...range })).map(plain),
          catch: unreadable(path)
        })
      )
    )
  }))
