import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as SpokenText from "../../src/cli/spokenText.ts"
import { plain, type Style } from "../../src/cli/style.ts"
import * as Prng from "../../src/domain/Prng.ts"

/** Each character with the style it is shown in. */
const marks: Style = {
  ...plain,
  think: (text) => [...text].map((character) => `t${character}`).join(""),
  search: (text) => [...text].map((character) => `s${character}`).join(""),
  answer: (text) => [...text].map((character) => `a${character}`).join("")
}

const text = "a < b <think>hm <x></think> <search>q</search><answer>1 <se"

describe("text as it is spoken", () => {
  it.prop(
    "looks the same however it is cut",
    [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))],
    ([seed]) => {
      const prng = Prng.make(`cuts/${seed}`)
      const spoken = SpokenText.make(marks)
      let out = ""
      for (let at = 0; at < text.length;) {
        const length = 1 + prng.below(8)
        out += spoken.push(text.slice(at, at + length))
        at += length
      }
      out += spoken.end()
      const mark = (letter: string, part: string) => [...part].map((character) => letter + character).join("")
      assert.strictEqual(
        out,
        `a < b ${mark("t", "<think>hm <x></think>")} ${mark("s", "<search>q</search>")}${mark("a", "<answer>1 <se")}`
      )
    }
  )
})
