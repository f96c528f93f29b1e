import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Prng from "../../../src/domain/Prng.ts"
import { relations } from "../../../src/domain/world/Relations.ts"
import * as World from "../../../src/domain/world/World.ts"
import * as WorldQuestion from "../../../src/domain/world/WorldQuestion.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const world = World.make({ seed: "questions" })

const mixed: WorldQuestion.Mix = { hops: [1, 1, 1], comparison: 0.2, yesno: 0.2 }

/** Questions of the mix, drawn from one seed. */
const drawn = (count: number, mix: WorldQuestion.Mix, seed = "draws") => {
  const prng = Prng.make(seed)
  return Array.from({ length: count }, () => WorldQuestion.draw(world, prng, mix))
}

/** Answers a chain by reading passages only: what a perfect searcher does. */
const followed = (text: string): { readonly answer: string; readonly path: ReadonlyArray<number> } => {
  const name = /[A-Z][a-z]+ [A-Z][a-z]+/.exec(text.slice(1))?.[0] ?? ""
  const nouns = [...text.matchAll(/the (\w+) of/g)].map(([, noun]) => noun).toReversed()
  const start = world.find(name)
  assert.isDefined(start, text)
  let entity = world.entity(start ?? 0)
  const path = [entity.index]
  for (const noun of nouns) {
    const next = entity.facts.find(({ relation }) => relation.noun === noun)?.entity
    assert.isDefined(next, text)
    entity = world.entity(next ?? 0)
    path.push(entity.index)
  }
  const asked = relations.find(({ question, subject }) => {
    const [before = "", after = ""] = question.split("{s}")
    return subject === entity.kind && text.startsWith(before) && text.endsWith(after)
  })
  return { answer: entity.facts.find(({ relation }) => relation === asked)?.value ?? "", path }
}

describe("WorldQuestion", () => {
  it("asks chains whose gold passages lead to the answer", () => {
    for (const question of drawn(500, { ...mixed, comparison: 0, yesno: 0 })) {
      assert.deepStrictEqual(followed(question.text), { answer: question.answer, path: question.gold })
      assert.strictEqual(question.gold.length, question.hops)
      assert.strictEqual(new Set([...question.gold, world.find(question.answer)]).size, question.hops + 1)
      assert.match(question.text, /^[A-Z].*[a-z]\?$/)
    }
  })

  it("compares two entities of which one is right", () => {
    for (const question of drawn(300, { ...mixed, comparison: 1, yesno: 0 })) {
      const named = question.gold.map((index) => world.entity(index))
      assert.strictEqual(new Set(question.gold).size, 2)
      const asked = new Set(relations.filter(({ which }) => {
        const [before = "", after = ""] = which.replace(": {a} or {b}?", "").split("{o}")
        return question.text.startsWith(before) && question.text.slice(before.length).includes(`${after}:`)
      }))
      const right = named.filter(({ facts }) =>
        facts.some(({ relation, value }) =>
          asked.has(relation) && question.text.includes(` ${value}`) &&
          !question.text.includes(`: ${value} or`) && !question.text.endsWith(`or ${value}?`)
        )
      )
      assert.deepStrictEqual(right.map(({ name }) => name), [question.answer], question.text)
    }
  })

  it("asks as many questions with yes for an answer as with no, and all are true", () => {
    const questions = drawn(400, { ...mixed, comparison: 0, yesno: 1 })
    for (const { answer, gold, text } of questions) {
      const [a, b] = gold.map((index) => world.entity(index))
      const relation = relations.find(({ same, subject }) =>
        same?.replace("{a}", a?.name ?? "").replace("{b}", b?.name ?? "") === text && subject === a?.kind
      )
      const values = [a, b].map((entity) => entity?.facts.find((fact) => fact.relation === relation)?.value)
      assert.strictEqual(answer, values[0] === values[1] ? "yes" : "no")
    }
    // binomial, standard deviation 10
    assert.closeTo(questions.filter(({ answer }) => answer === "yes").length, 200, 45)
  })

  it("keeps the proportions of a mix", () => {
    const questions = drawn(4000, WorldQuestion.defaultMix)
    const share = (hops: number) => questions.filter((question) => question.hops === hops).length / questions.length
    assert.closeTo(share(1), 0.4, 0.04)
    assert.closeTo(share(2), 0.5, 0.04)
    assert.closeTo(share(3), 0.1, 0.025)
    const kinds = drawn(4000, { hops: [0, 1, 0], comparison: 0.3, yesno: 0.1 })
    assert.closeTo(kinds.filter(({ kind }) => kind === "comparison").length / 4000, 0.3, 0.04)
    assert.closeTo(kinds.filter(({ kind }) => kind === "yesno").length / 4000, 0.1, 0.025)
    assert.isTrue(kinds.every(({ hops }) => hops === 2))
  })

  it("cannot be answered by luck: the most common answer of a chain is rare", () => {
    const counts = new Map<string, number>()
    for (const { answer } of drawn(3000, WorldQuestion.defaultMix)) counts.set(answer, (counts.get(answer) ?? 0) + 1)
    assert.isBelow(Math.max(...counts.values()) / 3000, 0.03)
  })

  it("draws the same questions from the same seed", () => {
    assert.deepStrictEqual(drawn(50, mixed, "x"), drawn(50, mixed, "x"))
    assert.notDeepEqual(drawn(50, mixed, "x"), drawn(50, mixed, "y"))
  })

  it("lists different questions until there is none", () => {
    const small = World.make({ seed: "small", size: { people: 16, companies: 2, cities: 2, countries: 2 } })
    const oneHop = [
      ...WorldQuestion.distinct(small, Prng.make("1"), { hops: [1, 0, 0], comparison: 0, yesno: 0 })
    ]
    // every fact is a question of one hop: four of each person, three of each company and city
    assert.strictEqual(oneHop.length, 16 * 4 + 2 * 3 + 2 * 3)
    assert.strictEqual(new Set(oneHop.map(({ text }) => text)).size, oneHop.length)
  })

  it("guesses something of the kind that was asked for", () => {
    const prng = Prng.make("guess")
    for (const question of drawn(200, mixed)) {
      const guess = WorldQuestion.guess(world, prng, question)
      if (question.kind === "yesno") assert.include(["yes", "no"], guess)
      else if (typeof question.candidates === "string" && world.find(guess) !== undefined) {
        assert.strictEqual(world.entity(world.find(guess) ?? 0).kind, question.candidates)
      } else assert.notStrictEqual(guess, "")
    }
  })

  it("becomes a question as rollouts take it", () => {
    const [question] = drawn(1, { hops: [0, 1, 0], comparison: 0, yesno: 0 })
    if (question === undefined) return assert.fail("nothing drawn")
    const taken = WorldQuestion.toQuestion(question, "train_7")
    assert.deepStrictEqual({ ...taken }, {
      id: "train_7",
      dataSource: "world",
      question: question.text,
      goldenAnswers: [question.answer],
      goldIds: question.gold.map(String),
      hops: 2
    })
  })

  it.prop(
    "accepts mixes that can be drawn from, and says what is wrong with others",
    {
      hops: Schema.Tuple([
        between(-1, 2),
        between(0, 2),
        between(0, 2)
      ]),
      comparison: between(0, 2),
      yesno: between(-1, 1)
    },
    ({ comparison, hops, yesno }) => {
      const mix = { hops, comparison: comparison / 2, yesno: yesno / 2 }
      const fine = hops[0] >= 0 && yesno >= 0 && comparison + yesno <= 2 &&
        (hops[0] + hops[1] + hops[2] > 0 || comparison + yesno === 2)
      assert.strictEqual(WorldQuestion.mixProblem(mix) === undefined, fine)
    }
  )
})
