import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Prng from "../../../src/domain/Prng.ts"
import {
  formatDocuments,
  invalidActionMessage,
  parseAction,
  renderPrompt,
  wrapInformation
} from "../../../src/domain/Protocol.ts"
import * as Vocabulary from "../../../src/domain/world/Vocabulary.ts"
import * as World from "../../../src/domain/world/World.ts"
import * as WorldQuestion from "../../../src/domain/world/WorldQuestion.ts"
import * as TokenizerWorld from "../../../src/layers/tokenizer/TokenizerWorld.ts"
import { Tokenizer } from "../../../src/services/Tokenizer.ts"
import { tokenizerContract } from "../../contract/tokenizer.ts"
import { hasShared, readSharedJson } from "../../sharedData.ts"

tokenizerContract("TokenizerWorld", TokenizerWorld.layer(), { endOfText: ["<eos>"] })
tokenizerContract(
  "TokenizerWorld with the recipe's vocabulary",
  TokenizerWorld.layer({ vocabulary: Vocabulary.recipe }),
  { endOfText: ["<eos>"] }
)

const world = World.make({ seed: "tokens" })

const base = "tiny-models/searcher-base/tokenizer.json"

describe("TokenizerWorld", () => {
  const vocabularies: ReadonlyArray<readonly [string, Vocabulary.Vocabulary]> = [
    ["recipe", Vocabulary.recipe],
    ["world", Vocabulary.world]
  ]

  it.effect.each(vocabularies)(
    "knows every word of prompts, passages and actions (%s)",
    ([name, vocabulary]) =>
      Effect.gen(function*() {
        const { decode, encode } = yield* Tokenizer
        const known = (text: string) => assert.notInclude([...encode(text)], vocabulary.unknown, text)
        for (const { text, title } of World.documents(world)) known(`${title} ${text}`)
        const prng = Prng.make("known")
        const others = name === "world" ? 0.2 : 0
        for (let count = 0; count < 300; count++) {
          const mix = { hops: [1, 1, 1], comparison: others, yesno: others } as const
          const question = WorldQuestion.draw(world, prng, mix)
          known(renderPrompt("search", question.text))
          known(question.answer)
          const turn = decode(encode(`<think>look up</think><search>${world.nameOf(question.gold[0] ?? 0)}</search>`))
          const action = parseAction(turn)
          assert.strictEqual(action._tag, "Search")
          if (action._tag === "Search") assert.strictEqual(world.find(action.query), question.gold[0])
        }
        if (name === "world") known(invalidActionMessage)
        assert.strictEqual(encode("Wikipedia").length, 1)
        assert.strictEqual(encode("Wikipedia")[0], vocabulary.unknown)
      }).pipe(Effect.provide(TokenizerWorld.layer({ vocabulary })))
  )

  it.effect.each(vocabularies)(
    "spends one token on each fixed text of the protocol (%s)",
    ([, vocabulary]) =>
      Effect.gen(function*() {
        const { encode } = yield* Tokenizer
        const question = "where was kalen dador born ?"
        for (const template of ["search", "r1"] as const) {
          assert.deepStrictEqual(
            encode(renderPrompt(template, "Where was Kalen Dador born?")),
            Int32Array.of(10, ...encode(question))
          )
        }
        assert.strictEqual(encode(invalidActionMessage).length, 1)
        const documents = [World.document(world, 0), World.document(world, 399)]
        const [first, last] = documents.map(({ text, title }) => [...encode(title), 13, ...encode(text)])
        assert.deepStrictEqual(
          encode(wrapInformation(formatDocuments(documents))),
          Int32Array.of(6, 11, ...first ?? [], 11, ...last ?? [], 7)
        )
      }).pipe(Effect.provide(TokenizerWorld.layer({ vocabulary })))
  )

  it("gives the tokens of both vocabularies the same ids, and forms of a word the same token", () => {
    Vocabulary.recipe.tokens.forEach((token, id) => {
      assert.strictEqual(Vocabulary.world.tokens[id], id === 10 ? Vocabulary.searchInstruction : token)
    })
    const text = "They were born in a city of their own; it was so. Who produces what they produce?"
    assert.deepStrictEqual(Vocabulary.world.encode("were"), Vocabulary.world.encode("Was"))
    assert.deepStrictEqual(
      Vocabulary.world.encode(text),
      Vocabulary.world.encode(Vocabulary.world.decode(Vocabulary.world.encode(text)))
    )
  })

  it.skipIf(!hasShared(base))("has the ids of the base model in ../shared/data", () => {
    const file = readSharedJson<{ readonly model: { readonly vocab: Readonly<Record<string, number>> } }>(base)
    assert.deepStrictEqual(
      Object.fromEntries(Vocabulary.recipe.tokens.map((token, id) => [token, id])),
      file.model.vocab
    )
  })
})
