import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { shippedModel } from "../../../src/layers/assets.ts"
import * as TokenizerFolder from "../../../src/layers/tokenizer/TokenizerFolder.ts"
import * as TokenizerJson from "../../../src/layers/tokenizer/TokenizerJson.ts"
import * as TokenizerTiktoken from "../../../src/layers/tokenizer/TokenizerTiktoken.ts"
import { type ChatMessage, Tokenizer } from "../../../src/services/Tokenizer.ts"
import { tokenizerContract } from "../../contract/tokenizer.ts"
import { hasShared, readShared, readSharedJson, sharedPath } from "../../sharedData.ts"
import { withFiles } from "./files.ts"

interface Golden {
  readonly text: string
  readonly ids: ReadonlyArray<number>
  readonly decoded: string
}

interface ChatGolden {
  readonly template: string
  readonly cases: ReadonlyArray<{
    readonly messages: ReadonlyArray<ChatMessage>
    readonly add_generation_prompt: boolean
    readonly text: string
    readonly ids: ReadonlyArray<number>
  }>
}

const qwen = "tokenizers/qwen"

const template = hasShared(qwen) ? readSharedJson<ChatGolden>(`${qwen}/chat_golden.json`).template : ""

const layers: ReadonlyArray<readonly [string, () => Layer.Layer<Tokenizer, unknown>]> = [
  [
    "TokenizerTiktoken",
    () =>
      TokenizerTiktoken.layer({ path: sharedPath(`${qwen}/qwen.tiktoken`), chatTemplate: template }).pipe(
        Layer.provide(NodeServices.layer)
      )
  ],
  ["TokenizerJson", () =>
    withFiles(
      { "tokenizer.json": readShared(`${qwen}/tokenizer.json.gz`), "chat_template.jinja": template },
      (directory) => TokenizerJson.layer({ directory, endOfText: ["<|im_end|>", "<|endoftext|>"] })
    )]
]

for (const [name, layer] of layers) {
  describe.skipIf(!hasShared(qwen))(`${name} over Qwen's vocabulary of ../shared/data/tokenizers/qwen`, () => {
    it.effect(
      "encodes and decodes 300 texts as tokenizers 0.23 does, and 4 conversations as transformers 5.23",
      () =>
        Effect.gen(function*() {
          const tokenizer = yield* Tokenizer
          assert.strictEqual(tokenizer.vocabularySize, 151_646)
          assert.sameMembers([...tokenizer.endOfText], [151_643, 151_645])
          const goldens = readSharedJson<ReadonlyArray<Golden>>(`${qwen}/tokenizer_golden.json`)
          assert.strictEqual(goldens.length, 300)
          for (const { decoded, ids, text } of goldens) {
            assert.deepStrictEqual([...tokenizer.encode(text)], [...ids], text)
            assert.strictEqual(tokenizer.decode(Int32Array.from(ids)), decoded)
          }
          const { cases } = readSharedJson<ChatGolden>(`${qwen}/chat_golden.json`)
          assert.strictEqual(cases.length, 4)
          for (const { add_generation_prompt: addGenerationPrompt, ids, messages, text } of cases) {
            const rendered = yield* tokenizer.applyChatTemplate(messages, { addGenerationPrompt })
            assert.strictEqual(rendered, text)
            assert.deepStrictEqual([...tokenizer.encode(rendered)], [...ids])
          }
          assert.deepStrictEqual([...tokenizer.encode("<search>")], [27, 1836, 29])
          assert.deepStrictEqual([...tokenizer.encode("</search>")], [522, 1836, 29])

          const whole = goldens.map(({ text }) => text).join("\n").slice(0, 4000).normalize("NFC")
          const ids = tokenizer.encode(whole)
          let state = 9
          for (let run = 0; run < 1000; run++) {
            const decoder = tokenizer.decoder()
            let text = ""
            for (let start = 0; start < ids.length;) {
              state = (Math.imul(state, 1103515245) + 12345) >>> 0
              const end = Math.min(ids.length, start + 1 + (state >>> 8) % 97)
              text += decoder.push(ids.subarray(start, end))
              start = end
            }
            assert.strictEqual(text + decoder.flush(), whole)
          }
        }).pipe(Effect.provide(layer())),
      60_000
    )
  })
}

if (hasShared(qwen)) {
  for (const [name, layer] of layers) {
    tokenizerContract(`${name} over Qwen's vocabulary`, layer(), { endOfText: ["<|endoftext|>", "<|im_end|>"] })
  }
}

for (
  const [name, ...endOfText] of [
    ["tiny-models/stories260K", "</s>", "<s>"],
    ["tiny-models/searcher-base", "<eos>"]
  ] as const
) {
  if (hasShared(name)) {
    tokenizerContract(name, TokenizerFolder.layer(sharedPath(name)).pipe(Layer.provide(NodeServices.layer)), {
      endOfText
    })
  }
}

tokenizerContract(
  "the tokenizer of the shipped model",
  TokenizerFolder.layer(shippedModel).pipe(Layer.provide(NodeServices.layer)),
  { endOfText: ["<eos>"] }
)

describe("TokenizerFolder over ../shared/data/tiny-models", () => {
  const within = (name: string, use: (tokenizer: Tokenizer["Service"]) => void) =>
    Tokenizer.useSync(use).pipe(
      Effect.provide(TokenizerFolder.layer(sharedPath(name)).pipe(Layer.provide(NodeServices.layer)))
    )

  it.effect.skipIf(!hasShared("tiny-models/stories260K"))(
    "stories260K: ids as llama2.c's and the story's text",
    () =>
      within("tiny-models/stories260K", (tokenizer) => {
        const golden = readSharedJson<{
          readonly prompt: string
          readonly prompt_ids: ReadonlyArray<number>
          readonly greedy_ids: ReadonlyArray<number>
          readonly greedy_text: string
        }>("tiny-models/stories260K/golden.json")
        assert.strictEqual(tokenizer.vocabularySize, 512)
        assert.deepStrictEqual([...tokenizer.encode(`<s>${golden.prompt}`)], [...golden.prompt_ids])
        assert.deepStrictEqual([...tokenizer.encode(golden.prompt)], golden.prompt_ids.slice(1))
        assert.strictEqual(tokenizer.decode(Int32Array.from(golden.prompt_ids)), `<s>${golden.prompt}`)
        // The record has the line break as the vocabulary spells it.
        assert.strictEqual(
          tokenizer.decode(Int32Array.from(golden.greedy_ids)),
          golden.greedy_text.replaceAll("<0x0A>", "\n")
        )
      })
  )

  it.effect.skipIf(!hasShared("tiny-models/searcher-base"))(
    "searcher-base: a word-level vocabulary without settings",
    () =>
      within("tiny-models/searcher-base", (tokenizer) => {
        assert.strictEqual(tokenizer.vocabularySize, 275)
        assert.deepStrictEqual(tokenizer.endOfText, [1])
        const text = "question : which zeppelin <think> a </think> <search> boats </search> <eos>"
        const ids = tokenizer.encode(text)
        assert.strictEqual(tokenizer.decode(ids), text.replace("zeppelin", "<pad>"))
        assert.deepStrictEqual(
          [...tokenizer.encode("<search>boats</search>")],
          [4, 23, 5]
        )
      })
  )
})
