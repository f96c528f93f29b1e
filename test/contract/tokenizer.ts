/** The suite that every tokenizer passes: totality, equal whole and streamed decoding, and what special tokens mean. */
import { assert, layer as sharing } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, Schema } from "effect"
import { marks } from "../../src/domain/ChatFamilies.ts"
import * as Spans from "../../src/domain/Spans.ts"
import { Tokenizer } from "../../src/services/Tokenizer.ts"

/** Texts that have broken tokenizers: joined emoji, combining marks, scripts without spaces, controls, lone surrogates. */
const corners: ReadonlyArray<string> = [
  "",
  " ",
  "  \n\n \t x \r\n",
  "Hello world",
  "don't I'LL it's 'ſ 12345 3.14",
  "👩‍👩‍👧‍👦🏳️‍🌈 ñ n\u0303 é e\u0301",
  "เรียนภาษาไทย 日本語のテキスト العربية עברית",
  "\u0000\u0001\u007f\u0085\u00a0\u2028\ufeff\ufffd",
  "\ud800 lone \udc00\ud800",
  "𝕏𐍈𝟘𝟙\u{10ffff}",
  "<search> who? </search><information>\n</information><|unknown|>",
  "a".repeat(300) + "é".repeat(100) + " ".repeat(70)
]

/** Texts of characters of every length in UTF-8, and halves of surrogate pairs. */
export const Text = Arbitrary.array(
  Arbitrary.schema(
    Schema.Literals([..." \n\t'aZéß0९日👍🏽\u0301\u200d\ufeff", "\ud83d", "\udc4d", "the ", "'S", "<|", "12"])
  ),
  { maxLength: 40 }
).pipe(Arbitrary.map((parts) => parts.join("")))

/** A small generator with a seed, uniform in 0 … below - 1. */
const integers = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0
    return (state >>> 0) % below
  }
}

const hasLoneSurrogate = /\p{Surrogate}/u

/**
 * `decoded` is the text that the ids of a text decode to; leave it out for a tokenizer that loses more than that.
 * `endOfText` is the markup of the ids that end a text.
 */
export const tokenizerContract = <E>(
  name: string,
  layer: Layer.Layer<Tokenizer, E>,
  options: {
    readonly endOfText: readonly [string, ...ReadonlyArray<string>]
    readonly decoded?: (text: string) => string
  }
): void => {
  sharing(layer)(`${name} as a tokenizer`, (it) => {
    const check = (what: string, use: (tokenizer: Tokenizer["Service"]) => void) =>
      it.effect(what, () => Tokenizer.useSync(use))

    const streamed = (tokenizer: Tokenizer["Service"], ids: Int32Array, next: (below: number) => number) => {
      const decoder = tokenizer.decoder()
      const pieces: Array<string> = []
      for (let start = 0; start < ids.length;) {
        const end = Math.min(ids.length, start + next(4))
        pieces.push(decoder.push(ids.subarray(start, end)))
        start = end
      }
      pieces.push(decoder.flush())
      return pieces
    }

    const assertText = (tokenizer: Tokenizer["Service"], text: string) => {
      const ids = tokenizer.encode(text)
      assert.isTrue(ids.every((id) => id >= 0 && id < tokenizer.vocabularySize), JSON.stringify(text))
      assert.deepStrictEqual(tokenizer.encode(text), ids)
      const whole = tokenizer.decode(ids)
      if (options.decoded !== undefined) {
        const wellFormed = text.replaceAll(/\p{Surrogate}/gu, "\uFFFD")
        assert.strictEqual(whole, options.decoded(wellFormed), JSON.stringify(text))
      }
      const pieces = streamed(tokenizer, ids, integers(text.length))
      assert.strictEqual(pieces.join(""), whole)
      for (const piece of pieces) assert.isFalse(hasLoneSurrogate.test(piece), "half a character")
    }

    check("encodes and decodes the corners of Unicode", (tokenizer) => {
      for (const text of corners) assertText(tokenizer, text)
    })

    it.effect.prop(
      "encodes and decodes any text",
      [Text],
      ([text]) => Tokenizer.useSync((tokenizer) => assertText(tokenizer, text)).pipe(Effect.provide(layer)),
      {
        arbitrary: { runs: 100 }
      }
    )

    check("decodes any ids, in 1,000 random cuts as in one piece", (tokenizer) => {
      const next = integers(4)
      for (let run = 0; run < 1000; run++) {
        const ids = Int32Array.from({ length: next(30) }, () => next(tokenizer.vocabularySize + 8) - 4)
        const pieces = streamed(tokenizer, ids, next)
        assert.strictEqual(pieces.join(""), tokenizer.decode(ids))
      }
    })

    check("decodes ids that it does not have to U+FFFD", (tokenizer) => {
      for (const id of [-1, tokenizer.vocabularySize, 2 ** 31 - 1]) {
        assert.strictEqual(tokenizer.decode(Int32Array.of(id)), "\uFFFD")
      }
    })

    check("holds back the bytes of an incomplete character and none of a complete one", (tokenizer) => {
      const decoder = tokenizer.decoder()
      let text = ""
      for (const id of tokenizer.encode("naïve 👍🏽 日本 x")) {
        const piece = decoder.push(Int32Array.of(id))
        assert.notInclude(piece, "\uFFFD")
        text += piece
      }
      assert.strictEqual(decoder.flush(), "")
      if (options.decoded !== undefined) assert.strictEqual(text, options.decoded("naïve 👍🏽 日本 x"))
    })

    check("knows what ends a text", (tokenizer) => {
      const markup = Array.from(tokenizer.endOfText, (id) => tokenizer.decode(Int32Array.of(id)))
      assert.deepStrictEqual(markup.toSorted(), options.endOfText.toSorted())
    })

    check("leaves special tokens out where asked, and no others", (tokenizer) => {
      const text = tokenizer.encode("a")
      assert.strictEqual(tokenizer.decode(text, { skipSpecialTokens: true }), tokenizer.decode(text))
      for (const id of tokenizer.endOfText) {
        assert.isBelow(id, tokenizer.vocabularySize)
        const marked = Int32Array.of(...text, id)
        assert.strictEqual(
          tokenizer.decode(marked, { skipSpecialTokens: true }),
          tokenizer.decode(text, { skipSpecialTokens: true })
        )
        assert.notStrictEqual(tokenizer.decode(marked), tokenizer.decode(text))
      }
    })

    check("encodes the markup of special tokens to their ids", (tokenizer) => {
      for (const id of tokenizer.endOfText) {
        assert.deepStrictEqual(tokenizer.encode(tokenizer.decode(Int32Array.of(id))), Int32Array.of(id))
      }
    })

    check("encodes text of its own as a whole and in spans alike", (tokenizer) => {
      const markup = tokenizer.specialIds.map((id) => tokenizer.decode(Int32Array.of(id)))
      for (const text of [...corners, ...markup.map((mark) => `a ${mark} b${mark}`)]) {
        const cut = text.length >> 1
        const halves = [{ text: text.slice(0, cut), foreign: false }, { text: text.slice(cut), foreign: false }]
        assert.deepStrictEqual(tokenizer.encodeSpans(halves), tokenizer.encode(text))
        if (!markup.some((mark) => text.includes(mark))) {
          assert.deepStrictEqual(
            tokenizer.encodeSpans(Spans.foreign(text)),
            tokenizer.encode(text),
            JSON.stringify(text)
          )
        }
      }
      assert.isTrue(tokenizer.endOfText.every((id) => tokenizer.specialIds.includes(id)))
    })

    check("makes no special token of foreign text, whatever stands in it and around it", (tokenizer) => {
      const special = new Set(tokenizer.specialIds)
      const markup = [...special].map((id) => tokenizer.decode(Int32Array.of(id)))
      const parts = [...markup, ...marks, "a", " ", "\n", "the", "<", ">", "|", "/s", "日", "\ud800", "\u2581"]
      const count = (ids: Int32Array) => ids.filter((id) => special.has(id)).length
      const next = integers(11)
      const some = (most: number) => Array.from({ length: next(most) }, () => parts[next(parts.length)] ?? "").join("")
      for (let run = 0; run < 300; run++) {
        const hostile = some(12)
        assert.strictEqual(count(tokenizer.encodeSpans(Spans.foreign(hostile))), 0, JSON.stringify(hostile))
      }
      for (const mark of markup) {
        assert.strictEqual(count(tokenizer.encodeSpans(Spans.own(`a ${mark} b`))), 1, mark)
        const inner = markup.some((other) => other !== mark && mark.includes(other))
        for (let cut = 1; cut < (inner ? 1 : mark.length); cut++) {
          const [left, right] = [mark.slice(0, cut), mark.slice(cut)]
          for (
            const spans of [
              Spans.template`a ${left}${Spans.own(right)} b`,
              Spans.template`a ${Spans.own(left)}${right} b`
            ]
          ) {
            assert.strictEqual(count(tokenizer.encodeSpans(spans)), 0, JSON.stringify(spans))
          }
        }
        for (let run = 0; run < 20; run++) {
          const hostile = some(6)
          const between = Spans.template`a ${Spans.own(mark)} ${hostile} ${Spans.own(mark)} b ${hostile}`
          assert.strictEqual(count(tokenizer.encodeSpans(between)), 2, JSON.stringify(between))
        }
      }
    })

    it.effect("renders a conversation, and the marks in its contents stay text", () =>
      Effect.gen(function*() {
        const tokenizer = yield* Tokenizer
        const markup = tokenizer.specialIds.map((id) => tokenizer.decode(Int32Array.of(id))).join(" ")
        const conversation = (content: string) => [{ role: "user", content }, { role: "assistant", content }] as const
        const special = (ids: Int32Array) => [...ids].filter((id) => tokenizer.specialIds.includes(id))
        const render = (content: string) => tokenizer.renderChat(conversation(content), { addGenerationPrompt: true })
        const plain = special(tokenizer.encodeSpans(yield* render("hello")))
        assert.deepStrictEqual(special(tokenizer.encodeSpans(yield* render(markup))), plain)
        assert.deepStrictEqual(
          Spans.text(yield* render(markup)),
          yield* tokenizer.applyChatTemplate(conversation(markup), { addGenerationPrompt: true })
        )
      }))

    it.effect("renders a conversation", () =>
      Effect.gen(function*() {
        const tokenizer = yield* Tokenizer
        const messages = [{ role: "user", content: "one " }, { role: "assistant", content: "two" }] as const
        const text = yield* tokenizer.applyChatTemplate(messages, { addGenerationPrompt: false })
        if (!tokenizer.hasChatTemplate) assert.strictEqual(text, "one two")
        assert.isBelow(text.indexOf("one"), text.indexOf("two"))
      }))
  })
}
