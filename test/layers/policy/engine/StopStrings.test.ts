import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Prng from "../../../../src/domain/Prng.ts"
import { StopText } from "../../../../src/layers/policy/engine/StopStrings.ts"

/** Pushes the pieces until a stop string ends; what `push` said for each. */
const pushed = (stop: ReadonlyArray<string>, ...pieces: ReadonlyArray<string>) => {
  const text = new StopText(stop)
  return pieces.map((piece) => text.push(piece))
}

describe("StopText", () => {
  it("finds a stop string in pieces, whatever their bounds", () => {
    assert.deepStrictEqual(pushed(["</answer>"], "</answer", ">"), [-1, 9])
    assert.deepStrictEqual(pushed(["</answer>"], "a", "<", "/answer>", "b"), [-1, -1, 10, -1])
    assert.deepStrictEqual(pushed(["</answer>"], ..."x</answer>"), [-1, -1, -1, -1, -1, -1, -1, -1, -1, 10])
    assert.deepStrictEqual(pushed(["ab"], "a", "", "b"), [-1, -1, 2])
  })

  it("takes the one that ends first, not the one that is named or begins first", () => {
    assert.deepStrictEqual(pushed(["<longer>", "b"], "a<longer>b"), [9])
    assert.deepStrictEqual(pushed(["b", "<longer>"], "a<longer>b"), [9])
    assert.deepStrictEqual(pushed(["abcd", "bc"], "abcd"), [3])
  })

  it("knows no stop string that is empty, and none at all", () => {
    assert.deepStrictEqual(pushed(["", "x"], "abc", "x"), [-1, 4])
    assert.deepStrictEqual(pushed([], "abc", ""), [-1, -1])
    assert.deepStrictEqual(pushed([""], "abc"), [-1])
  })

  const seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

  it.prop("says what a search of the whole text says, for every cut of it", [seed], ([seed]) => {
    const prng = Prng.make(`stop/${seed}`)
    const word = (length: number) => Array.from({ length }, () => "ab<"[prng.below(3)]).join("")
    const stop = Array.from({ length: 1 + prng.below(3) }, () => word(1 + prng.below(5)))
    const whole = word(40)
    const ends = stop.map((string) => whole.indexOf(string) + string.length).filter((_, i) => whole.includes(stop[i]!))
    const expected = ends.length === 0 ? -1 : Math.min(...ends)
    const text = new StopText(stop)
    let found = -1
    for (let at = 0; at < whole.length && found === -1;) {
      const end = Math.min(whole.length, at + 1 + prng.below(7))
      found = text.push(whole.slice(at, end))
      assert.strictEqual(text.text, whole.slice(0, end))
      at = end
    }
    assert.strictEqual(found, expected, `${JSON.stringify(stop)} in ${whole}`)
  }, { arbitrary: { runs: 200 } })
})
