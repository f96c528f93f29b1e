/** Evaluations over a policy that answers by the question's text. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import * as Presets from "../../src/domain/Presets.ts"
import { Question } from "../../src/domain/Question.ts"
import * as PolicyScripted from "../../src/layers/policy/PolicyScripted.ts"
import * as TokenizerBytes from "../../src/layers/tokenizer/TokenizerBytes.ts"
import * as Evaluate from "../../src/programs/Evaluate.ts"
import type { Options } from "../../src/programs/Rollout.ts"
import { Retriever, RetrieverUnavailable } from "../../src/services/Retriever.ts"

/** A question whose text names what each sample of it does. */
const asked = (id: string, samples: string, dataSource: string, hops?: number) =>
  new Question({
    id,
    dataSource,
    question: `{${samples}}`,
    goldenAnswers: ["red fox"],
    ...(hops === undefined ? {} : { hops })
  })

const turns: Readonly<Record<string, ReadonlyArray<string>>> = {
  right: ["<answer>red fox</answer>"],
  longer: ["<answer>a red fox sleeps</answer>"],
  wrong: ["<answer>owl</answer>"],
  silent: ["I do not know."],
  searching: ["<search>one</search>", "<search>two</search>", "<answer>the red fox</answer>"],
  failing: ["<search>down</search>"]
}

const policy = PolicyScripted.layer(({ context, promptKey, sample, turn }) => {
  // what a question says is in the prompt, which the session was opened with
  const samples = /\{([a-z ]+)\}/.exec(context())?.[1]?.split(" ") ?? []
  const said = turns[samples[sample] ?? ""] ?? assert.fail(`${promptKey} has no sample ${sample}`)
  return said[Math.min(turn, said.length - 1)] ?? ""
})

const retriever = Layer.succeed(
  Retriever,
  Retriever.fromSearch("test", (query) =>
    query === "down"
      ? Effect.fail(new RetrieverUnavailable({ retriever: "test", reason: "gone" }))
      : Effect.succeed([]))
)

const layers = Layer.mergeAll(policy, retriever).pipe(Layer.provideMerge(TokenizerBytes.layer))

const evaluate = (
  questions: ReadonlyArray<Question>,
  options?: Partial<Options>,
  onOutcome?: (ended: number) => Effect.Effect<void>
) => Evaluate.run(Stream.fromIterable(questions), { maxTurns: 2, ...options }, onOutcome).pipe(Effect.provide(layers))

const rounded = (scores: Evaluate.Scores | undefined) =>
  scores === undefined
    ? undefined
    : Object.fromEntries(Object.entries(scores).map(([name, value]) => [name, Math.round(value * 1e6) / 1e6]))

describe("an evaluation", () => {
  it.effect("averages over completed rollouts, whole and by data source and hops", () =>
    Effect.gen(function*() {
      const found = yield* evaluate([
        asked("a", "right", "nq"),
        asked("b", "longer", "nq", 2),
        asked("c", "wrong", "hotpotqa", 2),
        asked("d", "silent", "hotpotqa", 1),
        asked("e", "searching", "hotpotqa", 2)
      ])
      // "a red fox sleeps" without its article shares two of its three words: 2 · (2/3 · 1) / (2/3 + 1)
      const longer = 0.8
      assert.deepStrictEqual(rounded(found.total), {
        n: 5,
        em: 2 / 5,
        subEm: 3 / 5,
        f1: Math.round((2 + longer) / 5 * 1e6) / 1e6,
        answered: 4 / 5,
        searches: 2 / 5,
        passAt: 2 / 5
      })
      assert.deepStrictEqual(Object.keys(found.dataSources), ["hotpotqa", "nq"])
      assert.deepStrictEqual(rounded(found.dataSources["nq"]), {
        n: 2,
        em: 0.5,
        subEm: 1,
        f1: (1 + longer) / 2,
        answered: 1,
        searches: 0,
        passAt: 0.5
      })
      assert.deepStrictEqual(Object.keys(found.hops), ["1", "2"])
      assert.deepStrictEqual([found.hops["1"]?.n, found.hops["1"]?.em], [1, 0])
      assert.deepStrictEqual([found.hops["2"]?.n, found.hops["2"]?.searches], [3, 2 / 3])
      assert.deepStrictEqual([found.failed, found.failures], [0, {}])
    }))

  it.effect("passes a question that one of its samples answers, wherever that comes", () =>
    Effect.gen(function*() {
      const passed = (...samples: ReadonlyArray<string>) =>
        Effect.map(
          evaluate(samples.map((one, at) => asked(`q${at}`, one, "nq")), { groupSize: 2, concurrency: 1 }),
          ({ total }) => [total.n, total.em, total.passAt]
        )
      assert.deepStrictEqual(yield* passed("right wrong", "wrong silent"), [4, 1 / 4, 1 / 2])
      assert.deepStrictEqual(yield* passed("wrong right", "wrong silent"), [4, 1 / 4, 1 / 2])
      assert.deepStrictEqual(yield* passed("right right", "searching right"), [4, 1, 1])
    }))

  it.effect("counts failures by their cause, and in no mean", () =>
    Effect.gen(function*() {
      const ended: Array<number> = []
      const found = yield* evaluate(
        [asked("a", "failing", "nq", 1), asked("b", "right", "nq"), asked("c", "failing", "nq")],
        {},
        (count) => Effect.sync(() => void ended.push(count))
      )
      assert.deepStrictEqual(
        [found.failed, found.failures, found.total.n, found.total.em, found.dataSources["nq"]?.n],
        [2, { RetrieverUnavailable: 2 }, 1, 1, 1]
      )
      assert.deepStrictEqual(found.hops, {})
      assert.deepStrictEqual(ended, [1, 2, 3])
      const none = yield* evaluate([asked("a", "failing", "nq")])
      assert.deepStrictEqual(none.total, { n: 0, em: 0, subEm: 0, f1: 0, answered: 0, searches: 0, passAt: 0 })
      assert.deepStrictEqual([none.failures, none.dataSources], [{ RetrieverUnavailable: 1 }, {}])
    }))

  it.effect("takes the answer from where the switch says", () =>
    Effect.gen(function*() {
      const em = (answerScope: Presets.Compat["answerScope"], text: string) =>
        Effect.map(
          evaluate([asked("a", text, "nq")], { compat: { ...Presets.fixed, answerScope } }),
          ({ total }) => [total.em, total.answered]
        )
      assert.deepStrictEqual(yield* em("modelSegments", "silent"), [0, 0])
      // the whole text has the prompt's example
      assert.deepStrictEqual(yield* em("fullText", "right"), [1, 1])
    }))

  it.effect("numbers its questions apart from those of training", () =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      yield* Evaluate.run(Stream.make(asked("a", "right", "nq"), asked("a", "right", "nq"))).pipe(
        Effect.provide(
          Layer.mergeAll(
            PolicyScripted.layer(({ promptKey }) => {
              keys.push(promptKey)
              return "<answer>x</answer>"
            }),
            retriever
          ).pipe(Layer.provideMerge(TokenizerBytes.layer))
        )
      )
      assert.deepStrictEqual(keys.sort(), ["eval/0:nq/a", "eval/1:nq/a"])
    }))
})
