import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { informationObservation } from "../../../src/domain/Observation.ts"
import { fixed } from "../../../src/domain/Presets.ts"
import * as Prng from "../../../src/domain/Prng.ts"
import { cutGeneration, parseAction, renderPrompt } from "../../../src/domain/Protocol.ts"
import * as Pretraining from "../../../src/domain/world/Pretraining.ts"
import * as Texts from "../../../src/domain/world/PretrainingTexts.ts"
import * as Vocabulary from "../../../src/domain/world/Vocabulary.ts"
import * as World from "../../../src/domain/world/World.ts"
import type * as WorldQuestion from "../../../src/domain/world/WorldQuestion.ts"

const vocabulary = Vocabulary.world
const recipe: Pretraining.Recipe = { ...Pretraining.defaultRecipe, seed: "a test" }
const source = Pretraining.source("a test", recipe)
const { world } = source

/** Runs of equal mask: their texts, and whether they are to be learned. */
const spans = ({ ids, lossMask }: Texts.Example) => {
  const found: Array<{ readonly learned: boolean; readonly ids: Int32Array; readonly text: string }> = []
  for (let start = 0; start < ids.length;) {
    let end = start + 1
    while (end < ids.length && lossMask[end] === lossMask[start]) end++
    const part = ids.slice(start, end)
    found.push({ learned: lossMask[start] === 1, ids: part, text: vocabulary.decode(part) })
    start = end
  }
  return found
}

const Seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

/** Checks `count` texts of a kind. */
const texts = <A extends Texts.Example>(make: (prng: Prng.Prng) => A, count = 300): ReadonlyArray<A> => {
  const prng = Prng.make("texts")
  return Array.from({ length: count }, () => make(prng))
}

const transcripts = (options?: Partial<Texts.Options>, count?: number) =>
  texts((prng) => Texts.transcript(source, prng, { ...Texts.defaultOptions, ...options }), count)

const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length

describe("Pretraining texts", () => {
  it("copies: the second half is the first, and alone to be learned", () => {
    for (const example of texts((prng) => Texts.repeated(source, prng))) {
      const half = example.ids.length / 2
      assert.deepStrictEqual(example.ids.slice(half), example.ids.slice(0, half))
      assert.deepStrictEqual([...example.lossMask], [...example.lossMask].map((_, index) => index < half ? 0 : 1))
    }
  })

  it("learns all of the encyclopedia but its first token", () => {
    for (const { lossMask } of texts((prng) => Texts.encyclopedia(source, prng), 20)) {
      assert.deepStrictEqual([...lossMask], [...lossMask].map((_, index) => index === 0 ? 0 : 1))
    }
  })

  it("reads: learns the right answer alone, whose passages are shown", () => {
    for (const example of texts((prng) => Texts.reading(source, prng))) {
      const [given, learned, ...rest] = spans(example)
      assert.deepStrictEqual(rest, [])
      assert.match(given?.text ?? "", / <information> \| .* <\/information> <think> done <\/think> <answer>$/)
      assert.match(learned?.text ?? "", /^[a-z ]+ <\/answer> <eos>$/)
      const answer = learned?.text.replace(" </answer> <eos>", "") ?? ""
      assert.include(given?.text, ` ${answer} `)
      const passages = given?.text.match(/\|/g)?.length ?? 0
      assert.isTrue(passages >= 1 && passages <= 5)
    }
  })

  it("asks five questions about what was shown, and learns their answers", () => {
    for (const example of texts((prng) => Texts.quiz(source, prng))) {
      const parts = spans(example)
      assert.strictEqual(parts.length, 10)
      const shown = parts[0]?.text.split("</information>")[0] ?? ""
      parts.forEach(({ learned, text }, index) => {
        assert.strictEqual(learned, index % 2 === 1)
        if (learned) assert.include(shown, ` ${text.replace(" </answer>", "")} `)
        else assert.isTrue(text.endsWith("? <answer>"))
      })
    }
  })

  it("writes transcripts as a rollout would have: prompt, turns and observations to the id", () => {
    for (const topK of [1, 2]) {
      for (const example of transcripts({ topK: [topK] })) {
        const [prompt, ...turns] = spans(example)
        assert.deepStrictEqual(prompt?.ids, vocabulary.encode(renderPrompt("search", example.question.text)))
        assert.strictEqual(turns.length, 2 * example.queries.length + 1)
        turns.forEach(({ ids, learned, text }, index) => {
          assert.strictEqual(learned, index % 2 === 0)
          if (index % 2 === 1) {
            const name = example.queries[(index - 1) / 2] ?? ""
            const documents = source.search.search(name, topK).map((entity) => World.document(world, entity))
            assert.strictEqual(documents.length, topK)
            assert.strictEqual(documents[0]?.title, `"${name}"`)
            const expected = informationObservation(vocabulary, documents, {
              maxTokens: 500,
              truncation: fixed.obsTruncation,
              neutralizeTags: fixed.tagNeutralisation
            })
            assert.deepStrictEqual(ids, expected.ids)
            return
          }
          const action = parseAction(text)
          if (index === turns.length - 1) {
            if (action._tag !== "Answer") return assert.fail(text)
            assert.strictEqual(action.answer, example.answer.toLowerCase())
            assert.strictEqual(cutGeneration(text, "leftmost"), text.replace(/ <eos>$/, ""))
          } else {
            if (action._tag !== "Search") return assert.fail(text)
            assert.strictEqual(action.query, example.queries[index / 2]?.toLowerCase())
            assert.strictEqual(action.end, text.length)
          }
        })
      }
    }
  })

  it("answers rightly nine times of ten where it has read enough, and rarely elsewhere", () => {
    const right = { enough: [] as Array<number>, else: [] as Array<number> }
    for (const { answer, queries, question } of transcripts({ topK: [1] }, 2000)) {
      const read = new Set(queries.map((name) => world.find(name)))
      const enough = question.gold.every((index) => read.has(index))
      right[enough ? "enough" : "else"].push(answer === question.answer ? 1 : 0)
    }
    assert.closeTo(mean(right.enough), 0.92, 0.05)
    assert.isBelow(mean(right.else), 0.15)
    assert.isAbove(right.enough.length, 200)
  })

  it("searches as often as it is told to", () => {
    const counts = transcripts({ topK: [1] }, 2000).map(({ queries }) => queries.length)
    const share = (atLeast: number) => mean(counts.map((count) => count >= atLeast ? 1 : 0))
    assert.closeTo(share(1), 0.36, 0.04)
    assert.closeTo(share(2), 0.36 * 0.6, 0.04)
    assert.closeTo(share(3), 0.36 * 0.6 * 0.5, 0.03)
    assert.closeTo(share(4), 0.36 * 0.6 * 0.5 * 0.25, 0.02)
    assert.isTrue(transcripts({ search: [0] }, 50).every(({ queries }) => queries.length === 0))
    assert.isTrue(transcripts({ search: [1, 1, 1, 1] }, 50).every(({ queries }) => queries.length === 4))
  })

  it("searches for what the question names, what it has read about, or anything", () => {
    let anything = 0
    let all = 0
    for (const { queries, question } of transcripts({ topK: [1] }, 600)) {
      const known = new Set(question.gold)
      for (const name of queries) {
        const entity = world.find(name)
        if (entity === undefined) return assert.fail(name)
        if (!known.has(entity)) anything++
        all++
        for (const fact of world.entity(entity).facts) {
          if (fact.entity !== undefined) known.add(fact.entity)
        }
      }
    }
    assert.closeTo(anything / all, 0.06, 0.03)
  })

  it.prop("keeps every text within the context of the base model, its words known", [Seed], ([seed]) => {
    const prng = Prng.make(String(seed))
    const own = Texts.transcript(source, prng, { ...Texts.defaultOptions, topK: [2], search: [1, 1, 1, 1] })
    const mix: WorldQuestion.Mix = { hops: [0, 0, 1], comparison: 0.2, yesno: 0.2 }
    for (const { ids, lossMask } of [own, Texts.quiz(source, prng), Texts.reading(source, prng, { mix })]) {
      assert.isAtMost(ids.length, 384)
      assert.strictEqual(lossMask.length, ids.length)
      assert.notInclude([...ids], vocabulary.unknown)
      assert.strictEqual(lossMask[0], 0)
    }
  })
})

describe("Pretraining", () => {
  const kinds = (steps: ReadonlyArray<number>) => {
    const counts = new Map<Texts.ExampleKind, number>()
    const examples = steps.flatMap((step) => Pretraining.batch(recipe, step))
    for (const { kind } of examples) counts.set(kind, (counts.get(kind) ?? 0) + 1)
    return (kind: Texts.ExampleKind) => (counts.get(kind) ?? 0) / examples.length
  }

  it("begins with copying, and goes on with the mixture", () => {
    const copying = kinds([0, 1, 150, 299])
    assert.closeTo(copying("repeated"), 0.96, 0.03)
    assert.closeTo(copying("repeated") + copying("encyclopedia"), 1, 1e-9)
    const mixture = kinds(Array.from({ length: 12 }, (_, index) => 300 + 125 * index))
    assert.closeTo(mixture("encyclopedia"), 0.04, 0.02)
    assert.closeTo(mixture("repeated"), 0.12, 0.03)
    assert.closeTo(mixture("quiz"), 0.3, 0.04)
    assert.closeTo(mixture("reading"), 0.2, 0.03)
    assert.closeTo(mixture("transcript"), 0.34, 0.04)
  })

  it("makes the same batch for the same seed and step, whatever came before, and others for others", () => {
    const [first, second] = Pretraining.batches(recipe, 400)
    assert.deepStrictEqual(first, Pretraining.batch(recipe, 400))
    assert.deepStrictEqual(second, Pretraining.batch(recipe, 401))
    assert.notDeepEqual(first, second)
    assert.notDeepEqual(first, Pretraining.batch({ ...recipe, seed: "another" }, 400))
    assert.strictEqual(first?.length, 128)
  })
})
