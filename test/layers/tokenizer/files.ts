// @effect-diagnostics nodeBuiltinImport:off
// Contract suites take layers when tests are collected, before any Effect runs.
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Tokenizer } from "../../../src/services/Tokenizer.ts"

/** Provides a layer with files that are written into a new folder and removed with it. */
export const withFiles = <E, R>(
  files: { readonly [name: string]: string | Uint8Array | object },
  layer: (directory: string) => Layer.Layer<Tokenizer, E, R>
) =>
  Layer.unwrap(Effect.gen(function*() {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "tokenizer-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
    )
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(
        join(directory, name),
        typeof content === "string" || content instanceof Uint8Array ? content : json(content)
      )
    }
    return layer(directory)
  })).pipe(Layer.provide(NodeServices.layer))

const json = (value: object): string => JSON.stringify(value)

/** Characters of bytes in byte-level vocabularies, in the order of the bytes. */
export const byteCharacters: ReadonlyArray<string> = (() => {
  const isPrintable = (byte: number) =>
    (byte > 32 && byte < 127) || (byte > 160 && byte < 173) || (byte > 173 && byte < 256)
  let others = 0
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : 256 + others++))
})()

/** A rank file of the 256 bytes and `merges`. */
export const rankFile = (merges: ReadonlyArray<string>): string =>
  [
    ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
    ...merges.map((text) => new TextEncoder().encode(text))
  ]
    .map((bytes, rank) => `${Buffer.from(bytes).toString("base64")} ${rank}\n`).join("")

/** Some tokens of more than one byte, in an order in which each is a union of two before it. */
export const merges = [
  "th",
  "the",
  " t",
  " the",
  "ab",
  "abab",
  "é",
  "日",
  "本",
  "日本",
  "  ",
  "    ",
  "aa",
  "aaaa",
  "ll",
  "'ll"
]

/** A byte-level `tokenizer.json` with the same tokens as `rankFile(merges)`, and three special ones behind them. */
export const byteLevelJson = (changes: object = {}): { readonly [key: string]: unknown } => {
  const spell = (text: string) => [...new TextEncoder().encode(text)].map((byte) => byteCharacters[byte]).join("")
  const tokens = [...byteCharacters, ...merges.map(spell)]
  const known = new Set<string>(byteCharacters)
  const pairs: Array<readonly [string, string]> = []
  for (const token of tokens.slice(256)) {
    for (let cut = 1; cut < token.length; cut++) {
      const pair = [token.slice(0, cut), token.slice(cut)] as const
      if (known.has(pair[0]) && known.has(pair[1])) {
        pairs.push(pair)
        break
      }
    }
    known.add(token)
  }
  const special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
  return {
    version: "1.0",
    added_tokens: special.map((content, index) => ({
      id: tokens.length + index,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true
    })),
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        {
          type: "Split",
          pattern: {
            Regex:
              "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
          },
          behavior: "Isolated",
          invert: false
        },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false }
      ]
    },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      unk_token: null,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: pairs
    },
    ...changes
  }
}

/** A SentencePiece-like `tokenizer.json` as Llama 2's: spaces as U+2581, bytes where nothing else fits. */
export const byteFallbackJson = (): { readonly [key: string]: unknown } => {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`)
  const tokens = ["<unk>", "<s>", "</s>", ...bytes, "▁", "a", "b", "t", "h", "e", "▁t", "th", "▁the", "é"]
  return {
    version: "1.0",
    added_tokens: ["<unk>", "<s>", "</s>"].map((content, id) => ({ id, content, special: true, normalized: false })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" }
      ]
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 }
      ]
    },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      byte_fallback: true,
      fuse_unk: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [["▁", "t"], ["t", "h"], ["▁t", "he"]].slice(0, 2)
    }
  }
}

/** A word-level `tokenizer.json`: words between white space, one id for all others. */
export const wordLevelJson = (): { readonly [key: string]: unknown } => ({
  version: "1.0",
  added_tokens: ["<pad>", "<eos>"].map((content, id) => ({ id, content, special: true, normalized: false })),
  normalizer: null,
  pre_tokenizer: { type: "WhitespaceSplit" },
  post_processor: null,
  decoder: null,
  model: {
    type: "WordLevel",
    unk_token: "<pad>",
    vocab: Object.fromEntries(["<pad>", "<eos>", "a", "b", "the", "?"].map((token, id) => [token, id]))
  }
})

/** A tokenizer file of llama2.c: the special tokens, the bytes and `pieces`, the first of which merge first. */
export const llama2cFile = (pieces: ReadonlyArray<string>): Uint8Array => {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`)
  const tokens = ["<unk>", "\n<s>\n", "\n</s>\n", ...bytes, ...pieces]
  return Buffer.concat([
    new Uint8Array(Int32Array.of(9).buffer),
    ...tokens.flatMap((token, id) => {
      const encoded = Buffer.from(token)
      const score = Float32Array.of(id < 259 ? 0 : 259 - id)
      return [new Uint8Array(score.buffer), new Uint8Array(Int32Array.of(encoded.length).buffer), encoded]
    })
  ])
}
