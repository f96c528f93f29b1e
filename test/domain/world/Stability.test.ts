// @effect-diagnostics nodeBuiltinImport:off
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import * as Prng from "../../../src/domain/Prng.ts"
import * as HeldOut from "../../../src/domain/world/HeldOut.ts"
import * as Permutation from "../../../src/domain/world/Permutation.ts"
import * as Pretraining from "../../../src/domain/world/Pretraining.ts"
import * as Texts from "../../../src/domain/world/PretrainingTexts.ts"
import { relations } from "../../../src/domain/world/Relations.ts"
import * as Vocabulary from "../../../src/domain/world/Vocabulary.ts"
import * as World from "../../../src/domain/world/World.ts"
import * as WorldModel from "../../../src/domain/world/WorldModel.ts"
import * as WorldQuestion from "../../../src/domain/world/WorldQuestion.ts"
import * as WorldSearch from "../../../src/domain/world/WorldSearch.ts"

const shipped = (file: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../assets/base-model/${file}`, import.meta.url), "utf8"))

const digest = (value: unknown): string =>
  createHash("sha256").update(
    JSON.stringify(value, (_, part: unknown) =>
      part instanceof Int32Array || part instanceof Uint8Array ? [...part] : part)
  ).digest("hex").slice(0, 16)

const sized = (passages: number) => Result.getOrThrow(World.sizeOf(passages))
const mixed: WorldQuestion.Mix = { hops: [1, 1, 1], comparison: 0.5, yesno: 0.5 }

describe("the model that ships with the package", () => {
  it("has the vocabulary of worlds as they are made today", () => {
    assert.deepStrictEqual(
      JSON.parse(JSON.stringify(WorldModel.tokenizerJson(Vocabulary.world))),
      shipped("tokenizer.json")
    )
  })
})

/**
 * What a seed makes is a promise: a model that learned worlds of some seeds, exams of it in other versions, and files of
 * passages and questions that name a seed all rest on it. Where a change is wanted, new digests belong to a new version.
 */
describe("what a seed makes stays the same from version to version", () => {
  const world = World.make({ seed: "stable" })
  const draw = (mix: WorldQuestion.Mix, count = 200) => {
    const prng = Prng.make("draw")
    return Array.from({ length: count }, () => WorldQuestion.draw(world, prng, mix))
  }
  const source = Pretraining.source("stable", Pretraining.defaultRecipe)
  const texts = (make: (prng: Prng.Prng) => Texts.Example, count = 40) => {
    const prng = Prng.make("texts")
    return Array.from({ length: count }, () => make(prng))
  }

  it("says and asks in these words", () => {
    assert.deepStrictEqual(World.document(world, 0), {
      id: "0",
      title: "\"Pevik Pedor\"",
      text:
        "Pevik Pedor was born in Ludor Ton. Employed by Gumar Labs. Daber Rizel is the partner. Earns a living as a " +
        "singer."
    })
    const [question] = draw(WorldQuestion.defaultMix, 1)
    assert.strictEqual(question?.text, "Who is the mayor of the home of Vequin Group married to?")
    assert.deepStrictEqual([question?.answer, question?.gold], ["Mivik Todor", [321, 397, 210]])
  })

  it.each<readonly [string, string, () => unknown]>([
    ["permutations", "75d2e11e6e2ebbb9", () =>
      [1, 2, 7, 100, 1000].map((size) => {
        const permutation = Permutation.make(Prng.make(`${size}`), size)
        return Array.from({ length: Math.min(size, 50) }, (_, index) => permutation.at(index))
      })],
    ["passages", "c06112346a5b81ca", () => [...World.documents(world)]],
    ["entities", "fce60c3e14ab5ea5", () => Array.from({ length: world.entities }, (_, index) => world.entity(index))],
    ["a small world", "6aeb0666c5a7dfb6", () => [...World.documents(World.make({ seed: "small", size: sized(20) }))]],
    ["passages of a large world", "f0680b634e20da6e", () => {
      const large = World.make({ seed: "large", size: sized(100_000) })
      return Array.from({ length: 60 }, (_, index) => World.document(large, index * 1666))
    }],
    ["questions", "6ed916e7b3dafaa4", () => draw(WorldQuestion.defaultMix)],
    ["questions of every kind", "8883a04a58545213", () => draw(mixed)],
    ["guesses", "095e66aa0816fd3f", () => {
      const prng = Prng.make("guess")
      return draw(mixed, 100).map((question) => WorldQuestion.guess(world, prng, question))
    }],
    ["exams", "2f300671b8f9d027", () => HeldOut.exam({ seed: "stable", count: 100 }).questions],
    [
      "reading tasks",
      "e230a9ed737eea8d",
      () => HeldOut.readingTasks({ seed: "stable", perHops: 5, vocabulary: Vocabulary.world })
    ],
    ["encyclopedias", "f4684d04e486b239", () => texts((prng) => Texts.encyclopedia(source, prng))],
    ["copies", "9fc205f601202c33", () => texts((prng) => Texts.repeated(source, prng))],
    ["quizzes", "f0319d5e369bf8ea", () => texts((prng) => Texts.quiz(source, prng))],
    ["readings", "1d9ccd34de0c1dc4", () => texts((prng) => Texts.reading(source, prng))],
    ["transcripts", "83203ad0fd4e16ef", () => texts((prng) => Texts.transcript(source, prng), 100)],
    [
      "transcripts about every kind of question",
      "e80dfcee905e808e",
      () => texts((prng) => Texts.transcript(source, prng, { ...Texts.defaultOptions, mix: mixed }), 100)
    ],
    ["a batch of copies", "572e38a9b970933f", () => Pretraining.batch(Pretraining.defaultRecipe, 0)],
    ["a batch of the mixture", "e882f130d6f56b69", () => Pretraining.batch(Pretraining.defaultRecipe, 400)],
    ["searches", "db693b7708305e16", () => {
      const { search } = WorldSearch.make(world, Vocabulary.world)
      return Array.from({ length: 40 }, (_, index) => search(world.entity(index * 9).text, 5))
    }],
    ["vocabularies", "7d68e1ea0f69e2e9", () => [Vocabulary.recipe.tokens, Vocabulary.world.tokens, relations]]
  ])("%s", (_, expected, make) => assert.strictEqual(digest(make()), expected))
})
