import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import type { Codec } from "../../src/domain/Codec.ts"
import { informationObservation, messageObservation } from "../../src/domain/Observation.ts"
import { invalidActionMessage } from "../../src/domain/Protocol.ts"
import * as Spans from "../../src/domain/Spans.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const bytes: Codec = {
  encodeSpans: (spans) => Int32Array.from(encoder.encode(Spans.text(spans))),
  decode: (ids) => decoder.decode(Uint8Array.from(ids))
}

/** Words with their leading space, as byte-level BPE cuts text; ids grow with first use. */
const words = (): Codec => {
  const ids = new Map<string, number>()
  const texts: Array<string> = []
  return {
    encodeSpans: (spans) =>
      Int32Array.from(
        (Spans.text(spans).match(/\s?[^\s]{1,4}|\s/g) ?? []).map((word) => {
          const known = ids.get(word)
          if (known !== undefined) return known
          ids.set(word, texts.length)
          return texts.push(word) - 1
        })
      ),
    decode: (tokens) => Array.from(tokens, (id) => texts[id] ?? "\uFFFD").join("")
  }
}

const documents = [
  { id: "0", title: "Short", text: "tiny" },
  { id: "1", title: "Long", text: "word ".repeat(100) },
  { id: "2", title: "Longer", text: "other ".repeat(200) }
]

const fixed = { truncation: "perDocument", neutralizeTags: true } as const

describe("informationObservation", () => {
  it("keeps everything that fits", () => {
    const { ids, text, truncated } = informationObservation(bytes, documents.slice(0, 1), { ...fixed, maxTokens: 500 })
    assert.strictEqual(text, "\n\n<information>Doc 1(Title: Short) tiny</information>\n\n")
    assert.deepStrictEqual(ids, bytes.encodeSpans(Spans.own(text)))
    assert.strictEqual(truncated, 0)
  })

  it("cuts the long documents and leaves the short one whole", () => {
    const { ids, text, truncated } = informationObservation(bytes, documents, { ...fixed, maxTokens: 300 })
    assert.isAtMost(ids.length, 300)
    assert.isAbove(ids.length, 280)
    assert.strictEqual(truncated, 2)
    assert.include(text, "Doc 1(Title: Short) tiny\nDoc 2(Title: Long) word")
    assert.include(text, "\nDoc 3(Title: Longer) other")
    assert.isTrue(text.endsWith("</information>\n\n"))
  })

  it("never splits a character", () => {
    const japanese = [{ id: "0", title: "東京", text: "東京都".repeat(50) }]
    for (let maxTokens = 40; maxTokens < 80; maxTokens++) {
      const { text } = informationObservation(bytes, japanese, { ...fixed, maxTokens })
      assert.notInclude(text, "\uFFFD")
    }
  })

  it.prop(
    "stays within its budget and always closes the tag",
    [
      Schema.Array(Schema.Struct({ id: Schema.String, title: Schema.String, text: Schema.String })),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200 })),
      Schema.Boolean
    ],
    ([documents, maxTokens, byWord]) => {
      const codec = byWord ? words() : bytes
      const { ids, text } = informationObservation(codec, documents, { ...fixed, maxTokens })
      assert.isTrue(text.startsWith("\n\n<information>"))
      assert.isTrue(text.endsWith("</information>\n\n"))
      assert.strictEqual(text.split("</information>").length, 2)
      assert.deepStrictEqual(ids, codec.encodeSpans(Spans.own(text)))
      const empty = codec.encodeSpans(Spans.own("\n\n<information></information>\n\n")).length
      assert.isAtMost(ids.length, Math.max(maxTokens, empty))
    },
    { arbitrary: { runs: 300 } }
  )

  it("cuts from the right as the reference does, closing tag and all (Q5)", () => {
    const options = { truncation: "rightTokens", neutralizeTags: false, maxTokens: 60 } as const
    const { ids, text, truncated } = informationObservation(bytes, documents, options)
    assert.strictEqual(ids.length, 60)
    assert.notInclude(text, "</information>")
    assert.strictEqual(truncated, 3)
    assert.strictEqual(messageObservation(bytes, invalidActionMessage, options).ids.length, 60)
    assert.strictEqual(
      messageObservation(bytes, invalidActionMessage, { ...options, truncation: "perDocument" }).text,
      invalidActionMessage
    )
  })
})
