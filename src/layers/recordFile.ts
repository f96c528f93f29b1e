/**
 * Records of files, whatever holds them: JSON lines, one JSON array (also gzip), or Parquet.
 *
 * @since 0.2.0
 */
import { Effect, Result, Stream } from "effect"
import * as Json from "../domain/Json.ts"
import * as JsonRecords from "../domain/JsonRecords.ts"
import * as ParquetFile from "./parquetFile.ts"
import * as TextFile from "./textFile.ts"

/**
 * A record's JSON value, or why there is none. `line` is the 1-based line on which it begins; Parquet's rows count from 1.
 *
 * @category models
 * @since 0.2.0
 */
export interface Located {
  readonly line: number
  readonly value: Result.Result<unknown, string>
}

const located = (record: JsonRecords.RawRecord | JsonRecords.Malformed): Located => ({
  line: record.line,
  value: JsonRecords.value(record)
})

const ofText = (path: string): Stream.Stream<ReadonlyArray<Located>, TextFile.FileUnreadable> =>
  Stream.suspend(() => {
    const splitter = JsonRecords.make()
    return TextFile.stream(path).pipe(
      Stream.map((piece) => splitter.push(piece).map(located)),
      Stream.concat(Stream.sync(() => splitter.end().map(located)))
    )
  })

const ofParquet = (
  path: string,
  columns: ReadonlyArray<string> | undefined
): Stream.Stream<ReadonlyArray<Located>, TextFile.FileUnreadable> =>
  ParquetFile.batches(path, columns).pipe(
    Stream.mapAccum(() => 0, (before, rows) => [
      before + rows.length,
      [rows.map((row, index): Located => ({ line: before + index + 1, value: Result.succeed(row) }))]
    ])
  )

/**
 * The records of a file in file order, in batches, in constant memory. Whether the file is Parquet, gzip or text is told
 * from its first bytes. Of Parquet only the `columns` are read, unless they are left out.
 *
 * @category constructors
 * @since 0.2.0
 */
export const batches = (
  path: string,
  columns?: ReadonlyArray<string>
): Stream.Stream<ReadonlyArray<Located>, TextFile.FileUnreadable> =>
  Stream.unwrap(
    Effect.map(ParquetFile.isParquet(path), (parquet) => parquet ? ofParquet(path, columns) : ofText(path))
  )

/**
 * The text of a file, Parquet's rows as JSON lines: for readers that split texts themselves.
 *
 * @category constructors
 * @since 0.2.0
 */
export const text = (path: string, columns?: ReadonlyArray<string>): Stream.Stream<string, TextFile.FileUnreadable> =>
  Stream.unwrap(
    Effect.map(ParquetFile.isParquet(path), (parquet) =>
      parquet
        ? Stream.map(
          ParquetFile.batches(path, columns),
          (rows) => rows.map((row) => `${Json.show(row)}\n`).join("")
        )
        : TextFile.stream(path))
  )
