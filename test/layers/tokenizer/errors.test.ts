import { assert, describe, it } from "@effect/vitest"
import { Effect, type FileSystem, type Layer, Option, type Path, Result } from "effect"
import { checkVocabulary } from "../../../src/layers/tokenizer/checkVocabulary.ts"
import * as TokenizerBytes from "../../../src/layers/tokenizer/TokenizerBytes.ts"
import type { TokenizerError } from "../../../src/layers/tokenizer/TokenizerErrors.ts"
import * as TokenizerFolder from "../../../src/layers/tokenizer/TokenizerFolder.ts"
import * as TokenizerJson from "../../../src/layers/tokenizer/TokenizerJson.ts"
import * as TokenizerLlama2c from "../../../src/layers/tokenizer/TokenizerLlama2c.ts"
import * as TokenizerTiktoken from "../../../src/layers/tokenizer/TokenizerTiktoken.ts"
import { Tokenizer } from "../../../src/services/Tokenizer.ts"
import { smallConfig } from "../model/modelFiles.ts"
import { byteLevelJson, llama2cFile, merges, rankFile, withFiles, wordLevelJson } from "./files.ts"

type Files = Parameters<typeof withFiles>[0]
type Load = (directory: string) => Layer.Layer<Tokenizer, TokenizerError, FileSystem.FileSystem | Path.Path>

const json = byteLevelJson()

const folder: Load = (directory) => TokenizerJson.layer({ directory })
const tiktoken: Load = (directory) => TokenizerTiktoken.layer({ path: `${directory}/ranks` })
const llama2c: Load = (directory) => TokenizerLlama2c.layer(`${directory}/tok.bin`)

/** Loading `files` fails with an error of this tag whose message has these parts. */
const fails = (what: string, load: Load, files: Files, tag: string, ...parts: ReadonlyArray<string>) =>
  it.effect(what, () =>
    Effect.gen(function*() {
      const use = Tokenizer.useSync(() => undefined)
      const error = yield* Effect.flip(use.pipe(Effect.provide(withFiles(files, load))))
      assert.strictEqual(error._tag, tag, error.message)
      for (const part of parts) assert.include(error.message, part)
    }))

describe("TokenizerJson refuses", () => {
  fails("a folder without tokenizer.json", folder, {}, "TokenizerFileMissing", "tokenizer.json: there is no such file")
  fails(
    "broken JSON",
    folder,
    { "tokenizer.json": "{" },
    "TokenizerFileInvalid",
    "tokenizer.json is not valid: it is not JSON"
  )
  fails("an empty file", folder, { "tokenizer.json": "" }, "TokenizerFileInvalid", "it is empty")
  fails(
    "JSON of something else",
    folder,
    { "tokenizer.json": { hello: 1 } },
    "TokenizerFileInvalid",
    `["model"]`
  )
  fails(
    "a part that is missing",
    folder,
    { "tokenizer.json": Object.fromEntries(Object.entries(json).filter(([key]) => key !== "pre_tokenizer")) },
    "TokenizerFileInvalid",
    "pre_tokenizer"
  )
  fails(
    "an unsupported model",
    folder,
    { "tokenizer.json": { ...json, model: { type: "WordPiece", vocab: { a: 0 } } } },
    "TokenizerUnsupported",
    "the model is of type WordPiece, which is not supported; supported: BPE, Unigram, WordLevel"
  )
  fails(
    "an unsupported decoder",
    folder,
    { "tokenizer.json": { ...json, decoder: { type: "CTC" } } },
    "TokenizerUnsupported",
    "the decoder is of type CTC",
    "ByteLevel, Metaspace"
  )
  fails(
    "an unsupported step of a decoder",
    folder,
    { "tokenizer.json": { ...json, decoder: { type: "Sequence", decoders: [{ type: "Fuse" }, { type: "Strip" }] } } },
    "TokenizerUnsupported",
    "the decoder is of type Strip"
  )
  fails(
    "an unsupported pre-tokenizer",
    folder,
    { "tokenizer.json": { ...json, pre_tokenizer: { type: "Quantum" } } },
    "TokenizerUnsupported",
    "the PreTokenizer is of type Quantum"
  )
  fails(
    "a vocabulary without tokens",
    folder,
    { "tokenizer.json": { ...json, model: { type: "BPE", vocab: {}, merges: [] } } },
    "TokenizerFileInvalid",
    "model.vocab holds no tokens"
  )
  fails(
    "an end-of-text token that the vocabulary lacks",
    folder,
    { "tokenizer.json": json, "tokenizer_config.json": { eos_token: "<|stop|>" } },
    "UnknownSpecialToken",
    `tokenizer_config.json: eos_token is "<|stop|>", which the vocabulary does not have`
  )
  fails(
    "an option that names a token which the vocabulary lacks",
    (directory) => TokenizerJson.layer({ directory, endOfText: ["<|stop|>"] }),
    { "tokenizer.json": json },
    "UnknownSpecialToken",
    `endOfText is "<|stop|>"`
  )
  fails(
    "a chat template that cannot be parsed",
    folder,
    { "tokenizer.json": json, "chat_template.jinja": "{% for %}" },
    "TokenizerFileInvalid",
    "chat_template.jinja is not valid: the chat template cannot be parsed"
  )
  fails(
    "settings of the wrong type",
    folder,
    { "tokenizer.json": json, "tokenizer_config.json": { chat_template: 3 } },
    "TokenizerFileInvalid",
    "tokenizer_config.json is not valid",
    "chat_template"
  )
})

describe("TokenizerTiktoken refuses", () => {
  fails("a file that is not there", tiktoken, {}, "TokenizerFileMissing", "ranks: there is no such file")
  fails("an empty file", tiktoken, { ranks: "\n" }, "TokenizerFileInvalid", "it holds no tokens")
  fails("another format", tiktoken, { ranks: "QQ== 0\nhello\n" }, "TokenizerFileInvalid", "line 2: expected the bytes")
  fails(
    "a rank twice",
    tiktoken,
    { ranks: "QQ== 0\nQg== 0\n" },
    "TokenizerFileInvalid",
    "line 2: the rank 0 is there twice"
  )
  fails(
    "a vocabulary without all bytes",
    tiktoken,
    { ranks: "QQ== 0\n" },
    "TokenizerFileInvalid",
    "it lacks the byte 0"
  )
  fails(
    "an end-of-text token that is no special token",
    (directory) => TokenizerTiktoken.layer({ path: `${directory}/ranks`, endOfText: ["<|eot|>"] }),
    { ranks: rankFile(merges) },
    "UnknownSpecialToken",
    `endOfText is "<|eot|>"`
  )
  fails(
    "a chat template that cannot be parsed",
    (directory) => TokenizerTiktoken.layer({ path: `${directory}/ranks`, chatTemplate: "{{" }),
    { ranks: rankFile(merges) },
    "TokenizerFileInvalid",
    "the chat template cannot be parsed"
  )
})

describe("TokenizerLlama2c refuses", () => {
  const good = llama2cFile(["a", "b"])
  fails("a file that is not there", llama2c, {}, "TokenizerFileMissing", "tok.bin: there is no such file")
  fails(
    "a file without the bytes",
    llama2c,
    { "tok.bin": good.subarray(0, 4) },
    "TokenizerFileInvalid",
    "it holds 0 tokens"
  )
  fails(
    "a file cut within a token",
    llama2c,
    { "tok.bin": good.subarray(0, good.length - 1) },
    "TokenizerFileInvalid",
    "token 260 has 1 bytes, 0 are left in the file"
  )
  fails(
    "a file cut within the length of a token",
    llama2c,
    { "tok.bin": good.subarray(0, good.length - 3) },
    "TokenizerFileInvalid",
    "it ends within token 260"
  )
})

describe("TokenizerFolder", () => {
  const found = (what: string, files: Files, size: number) =>
    it.effect(`finds ${what}`, () =>
      Tokenizer.useSync((tokenizer) => assert.strictEqual(tokenizer.vocabularySize, size)).pipe(
        Effect.provide(withFiles(files, TokenizerFolder.layer))
      ))
  const size = 256 + merges.length + 3
  found("tokenizer.json before anything else", { "tokenizer.json": json, "tok.bin": llama2cFile(["a"]) }, size)
  found("a rank file", { "qwen.tiktoken": rankFile(merges) }, size)
  found("llama2.c's file beside the model", { "tok512.bin": llama2cFile(["a"]), "stories.bin": "…" }, 260)
  fails(
    "says what it looked for",
    TokenizerFolder.layer,
    { "config.json": {} },
    "TokenizerFileMissing",
    "expected tokenizer.json, one *.tiktoken or one tok*.bin"
  )
})

describe("chat templates", () => {
  const rendered = (
    files: Files,
    messages: ReadonlyArray<{ readonly role: "user" | "system"; readonly content: string }>
  ) =>
    Tokenizer.use((tokenizer) => tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })).pipe(
      Effect.provide(withFiles({ "tokenizer.json": json, ...files }, folder))
    )
  const hi = [{ role: "user", content: "hi" }] as const

  it.effect("refer to the special tokens of tokenizer_config.json, whole or by content", () =>
    Effect.gen(function*() {
      const text = yield* rendered({
        "tokenizer_config.json": {
          bos_token: { content: "<|im_start|>" },
          eos_token: "<|im_end|>",
          chat_template: "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{% if tools %}no{% endif %}"
        }
      }, hi)
      assert.strictEqual(text, "<|im_start|>hi<|im_end|>")
    }))

  it.effect("are taken from chat_template.jinja first, and of several the one named default", () =>
    Effect.gen(function*() {
      const several = [{ name: "tool_use", template: "T" }, { name: "default", template: "D" }]
      const settings = { "tokenizer_config.json": { chat_template: several } }
      assert.strictEqual(yield* rendered(settings, hi), "D")
      assert.strictEqual(yield* rendered({ ...settings, "chat_template.jinja": "J" }, hi), "J")
    }))

  it.effect("fail with their own words", () =>
    Effect.gen(function*() {
      const source = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
      const error = yield* Effect.flip(
        rendered({ "chat_template.jinja": source }, [{ role: "system", content: "x" }])
      )
      assert.include(error.message, "the chat template cannot render this conversation: no system role")
    }))
})

describe("checkVocabulary", () => {
  const reason = (keys: Parameters<typeof smallConfig>[0]) =>
    Effect.map(Tokenizer, (tokenizer) => {
      const result = checkVocabulary(tokenizer, smallConfig(keys))
      return Result.isFailure(result) ? result.failure.message : "fits"
    }).pipe(Effect.provide(TokenizerBytes.layer))

  it.effect("accepts equal and padded vocabularies", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* reason({ vocab_size: 257, eos_token_id: 256 }), "fits")
      assert.strictEqual(yield* reason({ vocab_size: 320 }), "fits")
    }))

  it.effect("names the id that one of the two lacks", () =>
    Effect.gen(function*() {
      assert.include(
        yield* reason({ vocab_size: 200 }),
        "the tokenizer (257 ids) does not belong to the model (200 ids): the id 256 of the tokenizer has no embedding"
      )
      assert.include(yield* reason({ vocab_size: 1024 }), "the tokenizer lacks the ids 257 to 1023 of the model")
      assert.include(yield* reason({ vocab_size: 259 }), "the tokenizer lacks the ids 257 to 258 of the model")
      assert.include(yield* reason({ vocab_size: 258 }), "the tokenizer lacks the id 257 of the model")
      assert.include(
        yield* reason({ vocab_size: 300, eos_token_id: [256, 290] }),
        "the tokenizer lacks the model's eos_token_id 290"
      )
      assert.include(
        yield* reason({ vocab_size: 300, pad_token_id: 299 }),
        "the tokenizer lacks the model's pad_token_id 299"
      )
      assert.include(
        yield* reason({ vocab_size: 300, bos_token_id: 300 }),
        "the model's bos_token_id 300 is beyond its own ids"
      )
    }))

  it.effect("names ids that the tokenizer has no token for", () =>
    Effect.gen(function*() {
      const own = wordLevelJson()
      const added = [{ id: 9, content: "<tool>", special: true, normalized: false }]
      const tokenizer = withFiles({ "tokenizer.json": { ...own, added_tokens: added } }, folder)
      const { message } = yield* Effect.map(Tokenizer, (tokenizer) =>
        Option.getOrThrow(Result.getFailure(checkVocabulary(tokenizer, smallConfig({ vocab_size: 10 }))))).pipe(
          Effect.provide(tokenizer)
        )
      assert.include(message, "the tokenizer lacks the ids 6, 7, 8")
    }))
})
