import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import * as Presets from "../../src/domain/Presets.ts"
import { Question } from "../../src/domain/Question.ts"
import * as PolicyScripted from "../../src/layers/policy/PolicyScripted.ts"
import * as TokenizerBytes from "../../src/layers/tokenizer/TokenizerBytes.ts"
import * as Evaluate from "../../src/programs/Evaluate.ts"
import { Retriever } from "../../src/services/Retriever.ts"

const layers = Layer.mergeAll(
  PolicyScripted.layer(["<answer>x</answer>"]),
  Layer.succeed(Retriever, Retriever.fromSearch("none", () => Effect.succeed([])))
).pipe(Layer.provideMerge(TokenizerBytes.layer))

const questions = (count: number) =>
  Stream.fromIterable(
    Array.from({ length: count }, (_, index) =>
      new Question({ id: `q${index}`, dataSource: "nq", question: "who?", goldenAnswers: index < 100 ? ["x"] : ["y"] }))
  )

const evaluate = (count: number, evalDropLast: boolean) =>
  Effect.map(
    Evaluate.run(questions(count), { compat: { ...Presets.fixed, evalDropLast } }),
    (evaluation) => evaluation.total
  ).pipe(Effect.provide(layers))

describe("Evaluate.run", () => {
  it.effect("counts every question; the reference leaves out the last incomplete batch of 256 (Q14)", () =>
    Effect.gen(function*() {
      const [all, whole] = [yield* evaluate(300, false), yield* evaluate(300, true)]
      assert.deepStrictEqual([all.n, whole.n], [300, 256])
      assert.closeTo(all.em, 100 / 300, 1e-12)
      assert.closeTo(whole.em, 100 / 256, 1e-12)
      assert.strictEqual((yield* evaluate(20, true)).n, 20, "less than one batch is kept")
    }))
})
