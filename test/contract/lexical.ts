/**
 * What every engine that searches words must find, in any language.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Retriever } from "../../src/services/Retriever.ts"
import { languagePassages, phrasesOf } from "../support/languages.ts"

export interface LexicalOptions {
  /** A retriever over `languagePassages`. */
  readonly layer: Layer.Layer<Retriever, unknown>
  /** Only phrases between spaces are found where a script has none, as Lucene finds them. */
  readonly spaced?: boolean
}

export const lexicalContract = (name: string, { layer, spaced }: LexicalOptions): void => {
  describe(`${name} serves every language`, () => {
    it.live("finds a passage by every phrase copied out of it", () =>
      Effect.gen(function*() {
        const retriever = Context.get(yield* Layer.build(layer), Retriever)
        const missed: Record<string, ReadonlyArray<string>> = {}
        for (const passage of languagePassages) {
          const phrases = phrasesOf(passage, { spaced: spaced === true })
          assert.isAbove(phrases.length, 3, passage.id)
          const found = yield* retriever.searchMany(phrases, { topK: languagePassages.length })
          const without = phrases.filter((_, index) => !found[index]?.some(({ id }) => id === passage.id))
          if (without.length > 0) missed[passage.id] = without
        }
        assert.deepStrictEqual(missed, {})
      }))

    it.live("puts a passage first for its own text", () =>
      Effect.gen(function*() {
        const retriever = Context.get(yield* Layer.build(layer), Retriever)
        const found = yield* retriever.searchMany(languagePassages.map(({ text }) => text), { topK: 1 })
        assert.deepStrictEqual(found.map(([hit]) => hit?.id), languagePassages.map(({ id }) => id))
      }))
  })
}
