import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { fileURLToPath } from "node:url"
import * as ParquetFile from "../../src/layers/parquetFile.ts"
import { withWarnings } from "../support/warnings.ts"

/** Written by pyarrow, see `make.py` beside the files. */
const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/parquet/${name}.parquet`, import.meta.url))

const columns = ["id", "question", "golden_answers"]
const rows = (name: string) =>
  Effect.map(Stream.runCollect(ParquetFile.batches(fixture(name), columns)), (batches) => batches.flat())

const written = [
  { id: "1161888007138312193", question: "who wrote it?", golden_answers: ["Moor", "E. Moor"] },
  { id: "9007199254740993", question: "who sang it?", golden_answers: ["Łukasz"] },
  { id: "7", question: "où est le café?", golden_answers: ["中文"] }
]

describe("Parquet", () => {
  it.effect.each([
    "codec-none",
    "codec-snappy",
    "codec-gzip",
    "codec-brotli",
    "codec-zstd",
    "codec-lz4",
    "delta_byte_array-1",
    "delta_byte_array-2",
    "delta_length_byte_array-1",
    "delta_length_byte_array-2",
    "id-dictionary",
    "id-large-string"
  ])("reads %s as pyarrow wrote it", (name) =>
    Effect.gen(function*() {
      assert.isTrue(yield* ParquetFile.isParquet(fixture(name)))
      assert.deepStrictEqual(yield* rows(name), written)
    }))

  it.effect.each(["id-uint64", "id-decimal", "delta_binary_packed", "byte_stream_split"])(
    "keeps the digits of integers: %s",
    (name) =>
      Effect.gen(function*() {
        const ids = [1161888007138312193n, 9007199254740993n, 7]
        assert.deepStrictEqual(yield* rows(name), written.map((row, index) => ({ ...row, id: ids[index] })))
      })
  )

  it.effect("says that a text is no UTF-8, and in which row", () =>
    Effect.gen(function*() {
      const { value: read, warnings } = yield* withWarnings(rows("latin"))
      const questions = read.map((row) => typeof row === "object" && row !== null && "question" in row && row.question)
      assert.deepStrictEqual(questions, ["who wrote it?", "caf\uFFFD?", "ok \uFFFD"])
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0]!, /latin\.parquet: row 2: a text is no UTF-8/)
    }))

  it.effect.each<readonly [string, string]>([
    ["lzo", "is compressed with LZO"],
    ["bit_packed", "has values encoded as BIT_PACKED"],
    ["unknown-encoding", "has values encoded as nothing known"],
    ["encrypted", "is encrypted"],
    ["encrypted-column", "is encrypted"]
  ])("names what it cannot read: %s", ([name, reason]) =>
    Effect.gen(function*() {
      assert.isTrue(yield* ParquetFile.isParquet(fixture(name)))
      const { message } = yield* Effect.flip(rows(name))
      assert.include(message, reason)
      assert.include(message, "write it again, for example in Python with pandas.read_parquet")
      assert.notInclude(message, "damaged")
    }))
})
