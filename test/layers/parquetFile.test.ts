import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { fileURLToPath } from "node:url"
import * as ParquetFile from "../../src/layers/parquetFile.ts"

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
