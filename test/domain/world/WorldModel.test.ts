import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import * as ModelTensors from "../../../src/domain/ModelTensors.ts"
import * as Prng from "../../../src/domain/Prng.ts"
import { formatDocuments, invalidActionMessage, renderPrompt, wrapInformation } from "../../../src/domain/Protocol.ts"
import * as Vocabulary from "../../../src/domain/world/Vocabulary.ts"
import * as World from "../../../src/domain/world/World.ts"
import * as WorldModel from "../../../src/domain/world/WorldModel.ts"
import * as WorldQuestion from "../../../src/domain/world/WorldQuestion.ts"
import * as TokenizerJson from "../../../src/layers/tokenizer/TokenizerJson.ts"

const vocabulary = Vocabulary.world

describe("WorldModel", () => {
  it("has 0.9 million weights at the recipe's sizes", () => {
    const config = WorldModel.config({ vocabulary, hiddenSize: 128, layers: 4, heads: 4 })
    assert.strictEqual(ModelTensors.parameterCount(config), 889_472)
    assert.isUndefined(WorldModel.sizeProblem({ hiddenSize: 128, heads: 4 }))
    for (const heads of [3, 128]) assert.match(WorldModel.sizeProblem({ hiddenSize: 128, heads }) ?? "", /128.*heads/)
  })

  it.live.each(
    [
      ["recipe", Vocabulary.recipe],
      ["world", Vocabulary.world]
    ] as const
  )(
    "writes a tokenizer.json that encodes prompts, passages and turns to the same ids (%s)",
    ([name, vocabulary]) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped()
        yield* fs.writeFileString(`${directory}/tokenizer.json`, JSON.stringify(WorldModel.tokenizerJson(vocabulary)))
        yield* fs.writeFileString(`${directory}/config.json`, JSON.stringify({ eos_token_id: vocabulary.endOfText }))
        const tokenizer = yield* TokenizerJson.make({ directory })
        assert.strictEqual(tokenizer.vocabularySize, vocabulary.tokens.length)
        assert.deepStrictEqual(tokenizer.endOfText, [vocabulary.endOfText])
        const world = World.make({ seed: "file" })
        const prng = Prng.make("file")
        const same = (text: string) => {
          const ids = vocabulary.encode(text)
          assert.deepStrictEqual(tokenizer.encode(text), ids, text)
          assert.deepStrictEqual(tokenizer.encode(tokenizer.decode(ids)), ids, text)
        }
        const others = name === "world" ? 0.2 : 0
        if (name === "world") {
          same(invalidActionMessage)
          same("They were born in a town that nobody knows: (12.5) don't!")
        }
        for (let count = 0; count < 60; count++) {
          const question = WorldQuestion.draw(world, prng, { hops: [1, 1, 1], comparison: others, yesno: others })
          same(renderPrompt("search", question.text))
          same(wrapInformation(formatDocuments(question.gold.map((index) => World.document(world, index)))))
          same(`<think> look up </think> <search> ${world.nameOf(question.gold[0] ?? 0)} </search>`)
          same(`<think> done </think> <answer> ${question.answer} </answer> <eos>`)
        }
      }).pipe(Effect.provide(NodeServices.layer))
  )
})
