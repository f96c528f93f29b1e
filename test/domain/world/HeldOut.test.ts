import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as HeldOut from "../../../src/domain/world/HeldOut.ts"
import * as Vocabulary from "../../../src/domain/world/Vocabulary.ts"
import * as World from "../../../src/domain/world/World.ts"

const vocabulary = Vocabulary.world

const choose = (n: number, k: number): number => k === 0 ? 1 : choose(n - 1, k - 1) * n / k

describe("HeldOut", () => {
  it("examines a world that nothing else is about, with questions that are all different", () => {
    const { questions, world } = HeldOut.exam({ seed: "7", count: 512 })
    assert.strictEqual(questions.length, 512)
    assert.strictEqual(new Set(questions.map(({ question }) => question)).size, 512)
    assert.strictEqual(new Set(questions.map(({ id }) => id)).size, 512)
    for (const { goldIds, goldenAnswers: [answer = ""], hops } of questions) {
      assert.strictEqual(goldIds?.length, hops)
      assert.include(world.entity(Number(goldIds?.at(-1))).text, answer)
    }
    assert.notDeepEqual(World.make({ seed: "7" }).entity(0), world.entity(0))
    assert.deepStrictEqual(HeldOut.exam({ seed: "7", count: 100 }).questions, questions.slice(0, 100))
    assert.notDeepEqual(HeldOut.exam({ seed: "8", count: 1 }).questions, questions.slice(0, 1))
  })

  it("has as many questions as the world allows", () => {
    const { questions } = HeldOut.exam({
      seed: "small",
      count: 10_000,
      size: { people: 16, companies: 2, cities: 2, countries: 2 },
      mix: { hops: [1, 0, 0], comparison: 0, yesno: 0 }
    })
    assert.strictEqual(questions.length, 76)
  })

  it("sets reading tasks of each number of hops that the shown passages answer", () => {
    const tasks = HeldOut.readingTasks({ seed: "7", perHops: 20, vocabulary })
    assert.deepStrictEqual(tasks.slice(0, 6).map(({ hops }) => hops), [1, 2, 3, 1, 2, 3])
    assert.strictEqual(tasks.length, 60)
    for (const { answer, hops, prefix } of tasks) {
      const text = vocabulary.decode(prefix)
      const question = text.slice(vocabulary.tokens[10]?.length, text.indexOf("?"))
      assert.strictEqual(
        question.match(/\bthe (?:birthplace|employer|spouse|founder|home|mayor) of\b/g)?.length ?? 0,
        hops - 1
      )
      assert.isTrue(text.endsWith("</information> <think> done </think> <answer>"))
      const right = vocabulary.decode(answer)
      assert.isTrue(right.endsWith(" </answer>"))
      assert.include(text, ` ${right.replace(" </answer>", "")} `)
    }
    assert.deepStrictEqual(HeldOut.readingTasks({ seed: "7", perHops: 2, vocabulary }), tasks.slice(0, 6))
  })

  it.prop(
    "estimates pass@k as the binomials do",
    {
      samples: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 })),
      right: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })),
      k: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 }))
    },
    ({ k, right, samples }) => {
      if (right > samples || k > samples) return
      const expected = samples - right < k ? 1 : 1 - choose(samples - right, k) / choose(samples, k)
      assert.closeTo(HeldOut.passAtK(samples, right, k), expected, 1e-12)
    }
  )
})
