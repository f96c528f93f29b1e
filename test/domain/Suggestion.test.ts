import { assert, describe, it } from "@effect/vitest"
import { either, meant, nearestChoice, nearestNumber, numberWords } from "../../src/domain/Allowed.ts"
import { distance, nearest } from "../../src/domain/Suggestion.ts"

describe("distance", () => {
  it.each<readonly [string, string, number]>([
    ["", "", 0],
    ["abc", "abc", 0],
    ["ABC", "abc", 0],
    ["abc", "ABC", 0],
    ["", "abc", 3],
    ["abc", "", 3],
    ["kitten", "sitting", 3],
    ["ab", "ba", 1],
    ["abc", "acb", 1],
    ["abcd", "acbd", 1],
    ["ab", "xba", 2],
    ["ca", "abc", 3],
    ["a", "b", 1],
    ["aa", "bb", 2],
    ["ab", "cb", 1],
    ["saturday", "sunday", 3]
  ])("optimal string alignment of %j and %j", (left, right, edits) => {
    assert.strictEqual(distance(left, right), edits)
    assert.strictEqual(distance(right, left), edits)
  })
})

describe("nearest", () => {
  it("is at most a third of the letters away, and one edit is always allowed", () => {
    assert.strictEqual(nearest("sed", ["seed"]), "seed")
    assert.strictEqual(nearest("x", ["y"]), "y")
    assert.isUndefined(nearest("xy", ["ab"]))
    assert.strictEqual(nearest("abcdef", ["abcdxy"]), "abcdxy")
    assert.isUndefined(nearest("abcde", ["abcxy"]))
    assert.isUndefined(nearest("abcdef", ["abcxyz"]))
    assert.strictEqual(nearest("abcdefghi", ["abcdefxyz"]), "abcdefxyz")
  })

  it("is the best candidate, and of equal ones the first", () => {
    assert.strictEqual(nearest("stepps", ["stops", "steps", "slips"]), "steps")
    assert.strictEqual(nearest("sted", ["step", "stem"]), "step")
    assert.isUndefined(nearest("steps", []))
  })
})

describe("numbers that may be given", () => {
  const infinite = { least: -Infinity, most: Infinity }
  it.each<readonly [string, boolean, Parameters<typeof numberWords>[1]]>([
    ["a number", false, infinite],
    ["a whole number", true, infinite],
    ["a number of at least 1", false, { ...infinite, least: 1 }],
    ["a number above 0", false, { ...infinite, least: 0, openLeast: true }],
    ["a number of at most 1", false, { ...infinite, most: 1 }],
    ["a number below 1", false, { ...infinite, most: 1, openMost: true }],
    ["a number from 0 to 1", false, { least: 0, most: 1 }],
    ["a number above 0 and of at most 1", false, { least: 0, most: 1, openLeast: true }],
    ["a number of at least 0 and below 1", false, { least: 0, most: 1, openMost: true }],
    ["a whole number from 0 to 65535", true, { least: 0, most: 65535 }],
    ["a whole number from 1 to 9", true, { least: 0, most: 10, openLeast: true, openMost: true }]
  ])("are said in words: %s", (words, whole, range) => assert.strictEqual(numberWords(whole, range), words))

  it("have a nearest one, but at an open end", () => {
    const from = (given: number, whole: boolean, open: object = {}) =>
      nearestNumber(given, whole, { least: 0, most: 10, ...open })
    assert.deepStrictEqual([from(-3, false), from(12, false), from(2.5, false), from(2.6, true)], [0, 10, 2.5, 3])
    assert.deepStrictEqual([from(0, false), from(10, false)], [0, 10])
    assert.isUndefined(from(Number.NaN, false))
    assert.isUndefined(from(Infinity, true))
    assert.isUndefined(from(-1, false, { openLeast: true }))
    assert.isUndefined(from(0, false, { openLeast: true }))
    assert.strictEqual(from(0.1, false, { openLeast: true }), 0.1)
    assert.strictEqual(from(-1, true, { openLeast: true }), 1)
    assert.isUndefined(from(10, false, { openMost: true }))
    assert.strictEqual(from(9.9, false, { openMost: true }), 9.9)
    assert.strictEqual(from(12, true, { openMost: true }), 9)
    assert.strictEqual(from(-1, false, { openMost: true }), 0)
    assert.strictEqual(from(12, false, { openLeast: true }), 10)
  })
})

describe("choices", () => {
  it("are listed", () => {
    assert.deepStrictEqual([[], ["a"], ["a", "b"], ["a", "b", "c"]].map(either), ["", "a", "a or b", "a, b or c"])
  })

  it("are suggested", () => {
    assert.strictEqual(meant(undefined), "")
    assert.strictEqual(meant("x"), "; did you mean x?")
  })

  it("are found by spelling, nearness or beginning", () => {
    const choices = ["reinforce", "reinforce++", "exactMatch", "paper-ppo", "f1"]
    assert.strictEqual(nearestChoice("REINFORCE++", choices), "reinforce++")
    assert.strictEqual(nearestChoice("exact_match", choices), "exactMatch")
    assert.strictEqual(nearestChoice("exact match", choices), "exactMatch")
    assert.strictEqual(nearestChoice("F-1", choices), "f1")
    assert.strictEqual(nearestChoice("reinforc", choices), "reinforce")
    assert.strictEqual(nearestChoice("paper", choices), "paper-ppo")
    assert.strictEqual(nearestChoice("Pap", choices), "paper-ppo")
    assert.isUndefined(nearestChoice("pa", choices))
    assert.isUndefined(nearestChoice("x", ["y"]))
    assert.strictEqual(nearestChoice("y", ["y"]), "y")
    assert.strictEqual(nearestChoice("x1", choices), "f1")
    assert.isUndefined(nearestChoice("nothing like it", choices))
    assert.isUndefined(nearestChoice("match", choices))
  })
})
