import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as EmbedderSpec from "../../src/domain/EmbedderSpec.ts"

const parse = (text: string) => EmbedderSpec.parse(text, (model) => model.includes("bge") ? "cls" : "mean")

describe("EmbedderSpec.parse", () => {
  it.each<readonly [string, EmbedderSpec.EmbedderSpec]>([
    ["hashing", { _tag: "hashing", dimensions: 512 }],
    ["hashing:64", { _tag: "hashing", dimensions: 64 }],
    ["http://127.0.0.1:8080/v1/embeddings#intfloat/e5-base-v2", {
      _tag: "http",
      url: "http://127.0.0.1:8080/v1/embeddings",
      model: "intfloat/e5-base-v2"
    }],
    ["transformers:BAAI/bge-base-en-v1.5", {
      _tag: "transformers",
      model: "BAAI/bge-base-en-v1.5",
      dtype: "fp32",
      pooling: "cls",
      maxTokens: 256
    }],
    ["transformers:./minilm?dtype=q8&pooling=cls&max-tokens=128", {
      _tag: "transformers",
      model: "./minilm",
      dtype: "q8",
      pooling: "cls",
      maxTokens: 128
    }]
  ])("reads %s", (text, expected) => {
    assert.deepStrictEqual(parse(text), Result.succeed(expected))
  })

  it.each([
    ["word2vec", /none of hashing/],
    ["hashing:0", /from 1 to 65536/],
    ["hashing:1e9", /from 1 to 65536/],
    ["transformers:", /needs a model/],
    ["transformers:x?pooling=max", /pooling=max is none of/],
    ["transformers:x?max-tokens=-1", /is none of/],
    ["http:///v1#m", /no http\(s\) URL/],
    ["http://exa mple/v1#m", /no http\(s\) URL/],
    ["https://host/v1/embeddings", /needs the model's name/]
  ])("explains what is wrong with %s", (text, message) => {
    const parsed = parse(text)
    assert.match(Result.isFailure(parsed) ? parsed.failure : "", message)
  })
})

describe("EmbedderSpec.format", () => {
  it.each([
    "hashing:64",
    "http://127.0.0.1:8080/v1/embeddings#intfloat/e5-base-v2",
    "transformers:BAAI/bge-base-en-v1.5",
    "transformers:./bge?pooling=mean",
    "transformers:./minilm?dtype=q8&pooling=cls&max-tokens=128"
  ])("writes what parse reads: %s", (text) => {
    const parsed = parse(text)
    assert.isTrue(Result.isSuccess(parsed))
    if (Result.isSuccess(parsed)) {
      assert.strictEqual(EmbedderSpec.format(parsed.success, (model) => model.includes("bge") ? "cls" : "mean"), text)
    }
  })
})
