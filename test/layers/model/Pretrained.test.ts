import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path, Stream } from "effect"
import * as Pretrained from "../../../src/layers/model/Pretrained.ts"
import type { ChatMessage } from "../../../src/services/Tokenizer.ts"
import { hasShared, readSharedJson, sharedPath } from "../../sharedData.ts"
import { llama2cFile } from "../tokenizer/files.ts"
import { savedModel, smallConfig } from "./modelFiles.ts"

const withTokenizer = Effect.fnUntraced(function*(config: Parameters<typeof smallConfig>[0]) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const directory = yield* savedModel({ config: smallConfig(config) })
  yield* fs.writeFile(join(directory, "tok.bin"), llama2cFile(["a", "b", "c"]))
  return directory
})

describe("Pretrained.open", () => {
  it.effect("joins what the model and the tokenizer say ends a text", () =>
    Effect.gen(function*() {
      const directory = yield* withTokenizer({ vocab_size: 320, eos_token_id: [2, 260] })
      const { tokenizer, weights } = yield* Pretrained.open(directory)
      assert.deepStrictEqual(tokenizer.endOfText, [2, 1, 260])
      assert.strictEqual(weights.config.vocabularySize, 320)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("refuses a tokenizer that lacks an id of the model", () =>
    Effect.gen(function*() {
      const directory = yield* withTokenizer({ vocab_size: 1000 })
      const error = yield* Effect.flip(Pretrained.open(directory))
      assert.strictEqual(error._tag, "VocabularyMismatch")
      assert.include(error.message, `${directory}: the tokenizer (262 ids) does not belong to the model (1000 ids)`)
      assert.include(error.message, "the tokenizer lacks the ids 262 to 999 of the model")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("says that a model folder has no tokenizer", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Pretrained.open(yield* savedModel()))
      assert.strictEqual(error._tag, "TokenizerFileMissing")
    }).pipe(Effect.provide(NodeServices.layer)))

  for (const name of ["stories260K", "searcher-base"]) {
    it.effect.skipIf(!hasShared(`tiny-models/${name}`))(
      `opens ../shared/data/tiny-models/${name}`,
      () =>
        Effect.gen(function*() {
          const { tokenizer, weights } = yield* Pretrained.open(sharedPath(`tiny-models/${name}`))
          assert.strictEqual(tokenizer.vocabularySize, weights.config.vocabularySize)
        }).pipe(Effect.provide(NodeServices.layer))
    )
  }
})

interface SmolGolden {
  readonly cases: ReadonlyArray<{
    readonly messages: ReadonlyArray<ChatMessage>
    readonly text: string
    readonly ids: ReadonlyArray<number>
    readonly greedy: ReadonlyArray<number>
    readonly greedyText: string
  }>
}

/** Where `../shared/data/tiny-models/smollm2/README.md` has put its checkpoint, if anybody has followed it. */
const smollm2 = process.env["SMOLLM2_DIRECTORY"] ?? ""

describe.skipIf(smollm2 === "" || !hasShared("tiny-models/smollm2"))("SmolLM2-135M in SMOLLM2_DIRECTORY", () => {
  it.effect("has the template, ids and weights that transformers sees", () =>
    Effect.gen(function*() {
      const { tokenizer, weights } = yield* Pretrained.open(smollm2)
      const golden = readSharedJson<SmolGolden>("tiny-models/smollm2/golden.json")
      assert.strictEqual(golden.cases.length, 3)
      for (const { greedy, greedyText, ids, messages, text } of golden.cases) {
        assert.strictEqual(yield* tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true }), text)
        assert.deepStrictEqual([...tokenizer.encode(text)], [...ids])
        assert.strictEqual(tokenizer.decode(Int32Array.from(greedy)), greedyText)
      }
      const count = yield* Stream.runFold(weights.tensors, () => 0, (sum, { data }) => sum + data.length)
      assert.strictEqual(count, 134_515_008)
    }).pipe(Effect.provide(NodeServices.layer)), 60_000)
})
