/** What every layer of `Questions` promises. `make` builds one that holds exactly the given questions, in that order. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Schema, Stream } from "effect"
import { Question } from "../../src/domain/Question.ts"
import { type Cursor, Questions, type QuestionsUnreadable } from "../../src/services/Questions.ts"

export const questionsOf = (size: number): ReadonlyArray<Question> =>
  Array.from({ length: size }, (_, index) =>
    new Question({
      id: `q${index}`,
      dataSource: index % 3 === 0 ? "hotpotqa" : "nq",
      question: `who is ${index}?`,
      goldenAnswers: [`answer ${index}`, "“other”"]
    }))

export interface OrderOptions {
  readonly seed?: string
}

export const questionsContract = (
  name: string,
  make: (
    questions: ReadonlyArray<Question>,
    options: OrderOptions
  ) => Layer.Layer<Questions, QuestionsUnreadable>
) => {
  const take = (size: number, options: OrderOptions, cursor: Cursor, count: number) =>
    Effect.gen(function*() {
      const questions = yield* Questions
      return yield* Stream.runCollect(Stream.take(questions.from(cursor), count))
    }).pipe(Effect.provide(make(questionsOf(size), options)))

  const start: Cursor = { epoch: 0, offset: 0 }

  describe(`${name} keeps the contract of Questions`, () => {
    it.effect("gives everything in file order", () =>
      Effect.gen(function*() {
        const questions = yield* Questions
        assert.strictEqual(yield* questions.size, 7)
        assert.deepStrictEqual(yield* Stream.runCollect(questions.all), questionsOf(7))
      }).pipe(Effect.provide(make(questionsOf(7), { seed: "a" }))))

    it.effect("gives every question once an epoch, each epoch in an order of its own", () =>
      Effect.gen(function*() {
        const taken = (yield* take(40, { seed: "a" }, start, 80)).map(({ question }) => question.id)
        const all = questionsOf(40).map(({ id }) => id)
        const [first, second] = [taken.slice(0, 40), taken.slice(40)]
        assert.sameMembers(first, all)
        assert.sameMembers(second, all)
        assert.notDeepEqual(first, all)
        assert.notDeepEqual(first, second)
      }))

    it.effect("has the same order for the same seed, another for another", () =>
      Effect.gen(function*() {
        const ids = (seed: string) =>
          Effect.map(take(40, { seed }, start, 60), (taken) => taken.map(({ question }) => question.id))
        assert.deepStrictEqual(yield* ids("a"), yield* ids("a"))
        assert.notDeepEqual(yield* ids("a"), yield* ids("b"))
      }))

    it.effect("keeps file order without a seed", () =>
      Effect.gen(function*() {
        const taken = yield* take(3, {}, start, 5)
        assert.deepStrictEqual(taken.map(({ question }) => question.id), ["q0", "q1", "q2", "q0", "q1"])
      }))

    it.effect.prop(
      "goes on at any cursor as if it had never stopped",
      [Schema.Literals([1, 2, 5, 64, 65, 130]), Schema.Literals([0, 1, 2, 7, 64, 100, 131])],
      ([size, stop]) =>
        Effect.gen(function*() {
          const whole = yield* take(size, { seed: "s" }, start, stop + 20)
          const cursor = whole[stop - 1]?.next ?? start
          const rest = yield* take(size, { seed: "s" }, cursor, 20)
          assert.deepStrictEqual(rest, whole.slice(stop))
        }),
      { arbitrary: { runs: 20 } }
    )

    it.effect("takes a cursor at the end of an epoch for the start of the next", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(
          yield* take(5, { seed: "s" }, { epoch: 2, offset: 5 }, 3),
          yield* take(5, { seed: "s" }, { epoch: 3, offset: 0 }, 3)
        )
      }))
  })
}
