// @effect-diagnostics nodeBuiltinImport:off
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Answer from "../../src/domain/Answer.ts"

/** `[prediction, golden answers, normalised prediction, EM, sub-EM, F1]`, computed by CPython 3.11. */
const golden = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.Array(Schema.Tuple([
    Schema.String,
    Schema.Array(Schema.String),
    Schema.String,
    Schema.Int,
    Schema.Int,
    Schema.Finite
  ])))
)(readFileSync(new URL("../golden/answer.json", import.meta.url), "utf8"))

describe("normalize", () => {
  it.each([
    ["The Beatles!", "beatles"],
    ["U.S.A.", "usa"],
    ["New-York", "newyork"],
    ["A  b", "b"],
    ["1,000", "1000"],
    ["don't", "dont"],
    ["AT&T", "att"],
    ["3.14", "314"],
    ["the", ""],
    ["5 a.m.", "5 am"],
    ["a_b the_c", "ab thec"],
    ["España", "españa"],
    ["à la carte", "à la carte"],
    ["e\u0301a the", "e\u0301"],
    ["東京 the Tower", "東京 tower"],
    ["½ a", "½"],
    ["“The Who”", "“ who”"],
    ["ΟΔΟΣ", "οδος"],
    ["İstanbul", "i\u0307stanbul"],
    ["\u00a0x\u3000y\u0085z\u001cw", "x y z w"],
    ["\ufeffx", "\ufeffx"],
    // every character of Python's string.punctuation, and nothing beside it
    ["!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~x", "x"]
  ])("%j", (text, expected) => {
    assert.strictEqual(Answer.normalize(text), expected)
  })
})

describe("scores", () => {
  it("reproduces the reference's vectors", () => {
    assert.isFalse(Answer.exactMatch("12 May 1980", ["May 12, 1980"]))
    assert.isTrue(Answer.exactMatch("The", ["a"]))
    assert.isTrue(Answer.subExactMatch("it was Paris, France", ["Paris"]))
    assert.isTrue(Answer.subExactMatch("nothing", ["the"]))
  })

  it("equals CPython on random Unicode strings", () => {
    assert.isAbove(golden.length, 300)
    for (const [prediction, answers, normalized, em, subEm, f1] of golden) {
      const scores = Answer.scores(prediction, answers)
      const label = JSON.stringify([prediction, answers])
      assert.strictEqual(Answer.normalize(prediction), normalized, label)
      assert.strictEqual(scores.em, em, label)
      assert.strictEqual(scores.subEm, subEm, label)
      assert.closeTo(scores.f1, f1, 1e-9, label)
    }
  })

  it("counts words as multisets", () => {
    assert.closeTo(Answer.f1("to be or not to be", ["to be"]), 0.5, 1e-12)
    assert.strictEqual(Answer.f1("paris paris", ["paris london"]), 0.5)
    assert.strictEqual(Answer.f1("x", ["y", "x z"]), 2 / 3)
  })

  it("gives verdicts no partial credit", () => {
    assert.strictEqual(Answer.f1("yes", ["yes indeed"]), 0)
    assert.strictEqual(Answer.f1("no way", ["no"]), 0)
    assert.strictEqual(Answer.f1("noanswer", ["noanswer given"]), 0)
    assert.strictEqual(Answer.f1("there is noanswer", ["No, answer"]), 0)
    assert.strictEqual(Answer.f1("noanswer given", ["noanswer"]), 0)
    assert.strictEqual(Answer.f1("noanswer", ["NoAnswer."]), 1)
    assert.strictEqual(Answer.f1("No!", ["no"]), 1)
    assert.strictEqual(Answer.f1("no way", ["no", "way"]), 2 / 3)
  })

  it("gives no answer nothing, even for a golden answer that normalises to nothing", () => {
    assert.deepStrictEqual(Answer.scores(null, ["the", ""]), { em: 0, subEm: 0, f1: 0 })
    assert.deepStrictEqual(Answer.scores("", ["the"]), { em: 1, subEm: 1, f1: 0 })
    assert.deepStrictEqual(Answer.scores("x", []), { em: 0, subEm: 0, f1: 0 })
  })

  it.prop(
    "agree with each other",
    [Schema.String, Schema.Array(Schema.String)],
    ([prediction, answers]) => {
      const scores = Answer.scores(prediction, answers)
      assert.strictEqual(scores.em === 1, Answer.exactMatch(prediction, answers))
      assert.strictEqual(scores.subEm === 1, Answer.subExactMatch(prediction, answers))
      assert.strictEqual(scores.f1, Answer.f1(prediction, answers))
      assert.isAtMost(scores.em, scores.subEm)
      assert.isTrue(scores.f1 >= 0 && scores.f1 <= 1)
      const own = Answer.scores(prediction, [...answers, prediction])
      assert.strictEqual(own.em, 1)
      assert.strictEqual(own.f1, Answer.normalize(prediction) === "" ? scores.f1 : 1)
    }
  )
})

describe("extraction", () => {
  it.each<[string, ReadonlyArray<string>]>([
    ["", []],
    ["<answer>", []],
    ["</answer><answer>", []],
    ["<answer> x </answer>", ["x"]],
    ["<answer>\u001c x\ny \u0085</answer>", ["x\ny"]],
    ["<answer>a<answer>b</answer>c</answer>", ["a<answer>b"]],
    ["<answer>a</answer> <answer>b", ["a"]],
    ["<answer></answer>", [""]],
    ["<ANSWER>x</ANSWER>", []],
    ["<answer>a</answer><answer>b</answer>", ["a", "b"]]
  ])("%j", (text, expected) => {
    assert.deepStrictEqual(Answer.pairs(text), expected)
    assert.strictEqual(Answer.last(text), expected.at(-1) ?? null)
    assert.strictEqual(Answer.lastOfTwo(text), expected.length >= 2 ? expected.at(-1) ?? null : null)
  })

  it("stays linear when tags stay open", () => {
    const text = "<answer>".repeat(200_000)
    assert.deepStrictEqual(Answer.pairs(text), [])
    assert.lengthOf(Answer.pairs(`${text}</answer>`), 1)
  })
})
