/**
 * Rows of Parquet files as plain JSON values.
 *
 * @since 0.1.0
 */
// hyparquet reads ranges of a file by itself; the first bytes tell what a file is.
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, Result, Stream } from "effect"
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema
} from "hyparquet"
import { compressors } from "hyparquet-compressors"
import { isUtf8 } from "node:buffer"
import { open } from "node:fs/promises"
import * as Json from "../domain/Json.ts"
import * as SystemReason from "./systemReason.ts"
import { FileUnreadable } from "./textFile.ts"

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
  const known = SystemReason.known(cause)
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

/** JSON values as `Json.parse` gives them: integers are `bigint` where a number would round them. */
const plain = (value: unknown): unknown => {
  if (typeof value === "bigint") return String(Number(value)) === String(value) ? Number(value) : value
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && !(value instanceof Date)) {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]))
  }
  return value
}

/** The number that bytes stand for, the most significant first, in two's complement. */
const bigEndian = (bytes: Uint8Array): bigint =>
  BigInt.asIntN(bytes.length * 8, bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n))

/**
 * Columns of decimals without fraction, which is how databases export large ids. The library would make floats of them, so
 * their type is taken off and their bytes are read here.
 */
const takeWholeDecimals = (metadata: FileMetaData): ReadonlySet<string> => {
  const names = new Set<string>()
  for (const { element } of parquetSchema(metadata).children) {
    const whole = element.converted_type === "DECIMAL" && (element.scale ?? 0) === 0
    if (!whole || element.type === "BYTE_ARRAY") continue
    names.add(element.name)
    delete element.converted_type
    delete element.logical_type
  }
  return names
}

interface Contents {
  readonly file: AsyncBuffer
  readonly metadata: FileMetaData
  readonly columns: Array<string>
  readonly wholeDecimals: ReadonlySet<string>
}

const openFile = (
  path: string,
  wanted: ReadonlyArray<string> | undefined
): Effect.Effect<Contents, FileUnreadable> =>
  Effect.tryPromise({
    try: async () => {
      const file = await asyncBufferFromFile(path)
      const end = new TextDecoder().decode(await file.slice(Math.max(0, file.byteLength - 4)))
      if (end === "PARE") throw encrypted(path)
      const metadata = await parquetMetadataAsync(file)
      const locked = metadata.row_groups.some(({ columns }) => columns.some((column) => column.crypto_metadata))
      if (locked) throw encrypted(path)
      const present = parquetSchema(metadata).children.map((child) => child.element.name)
      return {
        file,
        metadata,
        columns: wanted === undefined ? present : wanted.filter((column) => present.includes(column)),
        wholeDecimals: takeWholeDecimals(metadata)
      }
    },
    catch: unreadable(path)
  })

/** How texts are decoded; `broken` counts those that are no UTF-8. */
const makeParsers = () => {
  const decoder = new TextDecoder()
  const state = { broken: 0 }
  const text = (bytes: Uint8Array): string => {
    const decoded = decoder.decode(bytes)
    if (decoded.includes("\uFFFD") && !isUtf8(bytes)) state.broken++
    return decoded
  }
  return {
    state,
    parsers: {
      stringFromBytes: (bytes: Uint8Array | undefined) => bytes && text(bytes),
      jsonFromBytes: (bytes: Uint8Array | undefined) => bytes && Result.getOrThrowWith(Json.parse(text(bytes)), Error)
    }
  }
}

/** The row in which a text that is no UTF-8 is most likely found: the first with a U+FFFD. */
const firstBroken = (rows: ReadonlyArray<unknown>): number =>
  rows.findIndex((row) => JSON.stringify(row, (_, value) => typeof value === "bigint" ? 0 : value).includes("\uFFFD"))

/**
 * The rows in file order, one row group at a time, with those of the `columns` that the file has, or all. Texts that are
 * no UTF-8 are told in a warning.
 *
 * @category constructors
 * @since 0.1.0
 */
export const batches = (
  path: string,
  columns?: ReadonlyArray<string>
): Stream.Stream<ReadonlyArray<unknown>, FileUnreadable> =>
  Stream.unwrap(Effect.map(openFile(path, columns), ({ columns, file, metadata, wholeDecimals }) => {
    let end = 0
    const ranges = metadata.row_groups.map((group) => {
      const start = end
      end += Number(group.num_rows)
      return { rowStart: start, rowEnd: end }
    })
    const { parsers, state } = makeParsers()
    const read = (range: { readonly rowStart: number; readonly rowEnd: number }) =>
      Effect.tryPromise({
        try: async () => {
          const rows = await parquetReadObjects({ file, metadata, columns, compressors, parsers, ...range })
          for (const row of rows) {
            for (const name of wholeDecimals) {
              if (row[name] instanceof Uint8Array) row[name] = bigEndian(row[name])
            }
          }
          return rows.map(plain)
        },
        catch: unreadable(path)
      })
    return Stream.fromArray(ranges).pipe(
      Stream.mapEffect((range) =>
        Effect.tap(read(range), (rows) => {
          if (state.broken === 0) return Effect.void
          const row = range.rowStart + firstBroken(rows) + 1
          const count = state.broken
          state.broken = 0
          return Effect.logWarning(
            `${path}: row ${row}: ${
              count === 1 ? "a text is" : `${count} texts of this row group are`
            } no UTF-8, read with \uFFFD in place of the bytes that are none`
          )
        })
      )
    )
  }))
