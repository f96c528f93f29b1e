import { assert, layer } from "@effect/vitest"
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers"
import * as TokenizerJson from "../../../src/layers/tokenizer/TokenizerJson.ts"
import { Tokenizer } from "../../../src/services/Tokenizer.ts"
import { Text } from "../../contract/tokenizer.ts"
import { byteCharacters, byteLevelJson, withFiles } from "./files.ts"

const json = byteLevelJson()

const words = (numbers: string) => ({
  type: "Sequence",
  pretokenizers: [
    {
      type: "Split",
      pattern: {
        Regex:
          `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`
      },
      behavior: "Isolated",
      invert: false
    },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false }
  ]
})

const gpt2 = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true }

const marked = (changes: object) =>
  [...(Array.isArray(json["added_tokens"]) ? json["added_tokens"] : [])].map((token) => ({ ...token, ...changes }))

// In these kinds the library uses JavaScript's \s, which has U+FEFF, unlike the original: see merging.test.ts.
const gpt2Words = "GPT-2's words"
const strippedLeft = "special tokens that take the space before them"

const kinds: ReadonlyArray<readonly [string, object]> = [
  ["Qwen2's words", {}],
  ["Llama 3's words and tokens before merges", {
    normalizer: null,
    pre_tokenizer: words("\\p{N}{1,3}"),
    model: { ...Object(json["model"]), ignore_merges: true }
  }],
  [gpt2Words, { normalizer: null, pre_tokenizer: gpt2 }],
  ["words of another expression", { pre_tokenizer: words("\\p{N}{1,2}") }],
  [strippedLeft, { added_tokens: marked({ lstrip: true }) }],
  ["digits apart", {
    normalizer: null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, gpt2] }
  }]
]

for (const [name, changes] of kinds) {
  const file = byteLevelJson(changes)
  const library = new HuggingFaceTokenizer(file, {})
  const files = withFiles({ "tokenizer.json": file }, (directory) => TokenizerJson.layer({ directory }))

  layer(files)(`TokenizerJson with ${name}`, (it) => {
    it.effect.prop(
      "encodes as @huggingface/tokenizers does",
      [Text, Text],
      ([one, two]) =>
        Tokenizer.useSync((tokenizer) => {
          const whole = `${one} <|im_end|>${two} the 'LL ababab 日本 1234`
          const text = name === gpt2Words || name === strippedLeft ? whole.replaceAll("\ufeff", "") : whole
          const { ids } = library.encode(text, { add_special_tokens: false })
          assert.deepStrictEqual([...tokenizer.encode(text)], ids, JSON.stringify(text))
        }),
      { arbitrary: { runs: 300 } }
    )
  })
}

const model: { readonly vocab: Readonly<Record<string, number>> } = Object(json["model"])
const bell = byteCharacters[7]!
const vocabulary = Object.fromEntries(Object.entries(model.vocab).filter(([token]) => token !== bell))
const lacking = byteLevelJson({ model: { ...model, vocab: vocabulary } })

layer(withFiles({ "tokenizer.json": lacking }, (directory) => TokenizerJson.layer({ directory })))(
  "TokenizerJson over a vocabulary that lacks a byte",
  (it) => {
    it.effect("leaves the byte out as tokenizers 0.23 does", () =>
      Tokenizer.useSync((tokenizer) => {
        assert.deepStrictEqual([...tokenizer.encode("ab\u0007ab")], [260, 260])
        assert.strictEqual(tokenizer.encode("\u0007").length, 0)
      }))
  }
)
