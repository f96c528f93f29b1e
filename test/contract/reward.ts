/** What every layer of `Reward` promises. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import { Reward } from "../../src/services/Reward.ts"
import { trajectoryOf, type Turn } from "../support/trajectories.ts"

const Tag = Schema.Literals([
  "<think>",
  "</think>",
  "<search>",
  "</search>",
  "<information>",
  "</information>",
  "<answer>",
  "</answer>",
  // neutral words: a document that holds a golden answer may rightly earn a retrieval reward
  "<answer> city </answer>",
  "<search> city </search>"
])
const Text = Schema.Literals([
  "<think>a</think><answer>Paris</answer>",
  "<think>a</think><answer>Rome</answer>",
  "<answer> the city of Paris </answer>",
  "<answer>cut",
  "prose",
  ""
])
const Words = Schema.Array(Schema.Literals(["Paris", "Rome", "is", "Doc 1(Title: x)"]))
const Searches = Schema.Array(Schema.Struct({ words: Words, tags: Schema.Array(Tag) }))

/** Puts the tags between the words, the rest behind them. */
const mix = (words: ReadonlyArray<string>, tags: ReadonlyArray<string>): string =>
  [...words.flatMap((word, index) => [tags[index] ?? "", word]), ...tags.slice(words.length)].join(" ")

export const rewardContract = <E>(name: string, layer: Layer.Layer<Reward, E>) => {
  const score = (turns: ReadonlyArray<Turn>, goldenAnswers?: ReadonlyArray<string>) =>
    Reward.use((reward) => reward.score(trajectoryOf(turns, goldenAnswers === undefined ? {} : { goldenAnswers })))
      .pipe(
        Effect.provide(layer)
      )

  const turnsOf = (searches: typeof Searches.Type, end: string, tagged: boolean): ReadonlyArray<Turn> => [
    ...searches.map(({ tags, words }, index) => ({
      text: `<think>${index}</think><search>q</search>`,
      documents: mix(words, tagged ? tags : [])
    })),
    { text: end }
  ]

  describe(`${name} keeps the contract of Reward`, () => {
    it.effect.prop(
      "documents with any mix of tags never change a score",
      [Searches, Text],
      ([searches, end]) =>
        Effect.gen(function*() {
          const plain = yield* score(turnsOf(searches, end, false))
          const tagged = yield* score(turnsOf(searches, end, true))
          assert.deepStrictEqual(tagged, plain)
        }),
      { arbitrary: { runs: 100 } }
    )

    it.effect.prop(
      "components sum to the total, and everything is finite",
      [Searches, Text, Schema.Array(Schema.Literals(["Paris", "the", "", "x"]))],
      ([searches, end, goldenAnswers]) =>
        Effect.gen(function*() {
          const { components, metrics, total } = yield* score(turnsOf(searches, end, true), goldenAnswers)
          assert.isAbove(Object.keys(components).length, 0)
          const sum = Object.values(components).reduce((sum, value) => sum + value, 0)
          assert.closeTo(sum, total, 1e-9)
          for (const value of [total, ...Object.values(components), ...Object.values(metrics)]) {
            assert.isTrue(Number.isFinite(value))
          }
        }),
      { arbitrary: { runs: 100 } }
    )

    it.effect("scores the same trajectory alike", () =>
      Effect.gen(function*() {
        const turns = [{ text: "<search>q</search>", documents: "Paris" }, { text: "<answer>Paris</answer>" }]
        assert.deepStrictEqual(yield* score(turns), yield* score(turns))
      }))
  })
}
