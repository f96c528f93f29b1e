import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as TokenizerLlama2c from "../../../src/layers/tokenizer/TokenizerLlama2c.ts"
import { Tokenizer } from "../../../src/services/Tokenizer.ts"
import { llama2cFile, withFiles } from "./files.ts"

const layer = withFiles(
  { "tok.bin": llama2cFile([" a", " b"]) },
  (directory) => TokenizerLlama2c.layer(`${directory}/tok.bin`)
)

// <s> and </s>, and the two tokens of the file
const [begin, end, a, b] = [1, 2, 259, 260] as const

describe("TokenizerLlama2c", () => {
  // `decode` of run.c looks at the token before, whether that was printed or not
  it.effect("drops the space of what stands behind the beginning of a text, and no other", () =>
    Tokenizer.useSync(({ decode, decoder }) => {
      const skipped = (...ids: ReadonlyArray<number>) => decode(Int32Array.from(ids), { skipSpecialTokens: true })
      assert.strictEqual(skipped(begin, a, b), "a b")
      assert.strictEqual(skipped(a, begin, b), " ab")
      assert.strictEqual(skipped(begin, end, a), " a")
      assert.strictEqual(skipped(a), " a")
      assert.strictEqual(decode(Int32Array.of(begin, a, b)), "<s>a b")
      const streaming = decoder()
      const pieces = [begin, a, b].map((id) => streaming.push(Int32Array.of(id)))
      assert.strictEqual([...pieces, streaming.flush()].join(""), "<s>a b")
    }).pipe(Effect.provide(layer)))
})
