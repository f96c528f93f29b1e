import { assert, describe, it } from "@effect/vitest"
import * as Prng from "../../src/domain/Prng.ts"

const times = <A>(count: number, make: () => A): ReadonlyArray<A> => Array.from({ length: count }, make)

/** Made by cyrb128 and sfc32 written anew in Python's integers. */
const golden: ReadonlyArray<readonly [string, ReadonlyArray<number>, ReadonlyArray<number>]> = [
  ["", [780688151, 1369530603, 4170761935, 2420727049], [0.7719245926094229, 0.9535018948707511]],
  ["a", [2301971861, 3960794484, 1836260868, 3673899221], [0.23065769501979616, 0.7078356216283721]],
  ["run/step/what", [1421184154, 692688598, 3565486712, 3450768782], [0.4793482252485096, 0.7788030769251333]],
  ["日本 🜚", [4007431382, 3735355344, 2208983737, 3750802503], [0.2982110585332992, 0.9479182048935534]]
]

describe("Prng", () => {
  it.each(golden)("draws what cyrb128 and sfc32 draw: %j", (seed, words, floats) => {
    const prng = Prng.make(seed)
    assert.deepStrictEqual(times(4, prng.uint32), words)
    assert.deepStrictEqual(times(2, prng.float), floats)
  })

  it("draws below a bound without bias: what lies behind the last whole multiple is drawn anew", () => {
    const bound = 3 * 2 ** 30
    const words = Prng.make("bound")
    const expected = times(12, words.uint32).filter((word) => word < bound).slice(0, 8)
    const prng = Prng.make("bound")
    assert.deepStrictEqual(times(8, () => prng.below(bound)), expected)
    assert.deepStrictEqual(expected.slice(0, 3), [1212265074, 585294195, 1362574459])
    assert.strictEqual(Prng.make("bound").below(7), 1212265074 % 7)
    assert.strictEqual(Prng.make("bound").below(2 ** 32), 1212265074)
    assert.strictEqual(Prng.make("x").below(1), 0)
  })

  it("shuffles a copy by Fisher and Yates", () => {
    const values = [0, 1, 2, 3, 4, 5, 6, 7]
    assert.deepStrictEqual(Prng.shuffle(Prng.make("shuffle"), values), [4, 3, 7, 5, 2, 0, 1, 6])
    assert.deepStrictEqual(values, [0, 1, 2, 3, 4, 5, 6, 7])
    assert.deepStrictEqual(Prng.shuffle(Prng.make("shuffle"), []), [])
  })
})
