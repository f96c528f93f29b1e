// @effect-diagnostics nodeBuiltinImport:off
import { assert, describe, it } from "@effect/vitest"
import { Effect, References, Schema } from "effect"
import { readFileSync } from "node:fs"
import { splitter } from "../../../src/layers/tokenizer/AddedTokens.ts"
import * as TextEncoding from "../../../src/layers/tokenizer/TextEncoding.ts"
import * as TokenizerJson from "../../../src/layers/tokenizer/TokenizerJson.ts"
import { Tokenizer } from "../../../src/services/Tokenizer.ts"
import { withFiles } from "./files.ts"

const Goldens = Schema.Array(Schema.Struct({
  name: Schema.String,
  files: Schema.Record(Schema.String, Schema.JsonObject),
  size: Schema.Natural,
  cases: Schema.Array(Schema.Struct({
    text: Schema.String,
    ids: Schema.Array(Schema.Natural),
    skipped: Schema.String
  }))
}))

const goldens = Schema.decodeSync(Schema.fromJsonString(Goldens))(
  readFileSync(new URL("../../fixtures/added-tokens/golden.json", import.meta.url), "utf8")
)

describe("added tokens", () => {
  it.each(goldens)("$name: are found as transformers 5.24 finds them", ({ cases, files, size }) =>
    Effect.runPromise(
      Tokenizer.useSync((tokenizer) => {
        assert.strictEqual(tokenizer.vocabularySize, size)
        for (const { ids, skipped, text } of cases) {
          assert.deepStrictEqual([...tokenizer.encode(text)], [...ids], JSON.stringify(text))
          assert.strictEqual(tokenizer.decode(Int32Array.from(ids), { skipSpecialTokens: true }), skipped)
        }
      }).pipe(
        Effect.provide(withFiles(files, (directory) => TokenizerJson.layer({ directory }))),
        // it tells of ids that are not those that a file gives
        Effect.provideService(References.MinimumLogLevel, "Error")
      )
    ))

  it("of several at one place the longest is found that may be there", () => {
    const encoding = TextEncoding.make({
      added: [{ id: 1, content: "<a", special: true }, { id: 2, content: "<a>", special: true }],
      encode: (text, use) => {
        if (text !== "") use(9)
      }
    })
    assert.deepStrictEqual([...encoding.encode("<a>")], [2])
    assert.deepStrictEqual([...encoding.encode("x<a<a>")], [9, 1, 2])
    const own = (text: string) => ({ text, foreign: false })
    assert.deepStrictEqual([...encoding.encodeSpans([own("<a"), { text: ">", foreign: true }])], [1, 9])
    assert.deepStrictEqual([...encoding.encodeSpans([{ text: "<", foreign: true }, own("a>")])], [9])
  })

  it("a mark behind one that may not be is found where it begins within that one", () => {
    const split = splitter([{ id: 1, content: "<<a", special: true }, { id: 2, content: "<a>", special: true }])
    assert.deepStrictEqual(split("<<a>", (start) => start > 0), [{ start: 0, end: 1 }, 2])
  })

  it("takes linear time on runs of white space and of marks cut short", () => {
    const split = splitter([{ id: 1, content: "<a>", special: true, lstrip: true, rstrip: true }])
    const spaces = `${" ".repeat(200_000)}b`.repeat(3)
    assert.lengthOf(split(spaces, () => true), 1)
    assert.lengthOf(split("<a".repeat(200_000), () => true), 1)
    assert.lengthOf(split("<a>".repeat(100_000), () => false), 1)
  })
})
