import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as FloatFormats from "../../src/domain/FloatFormats.ts"

const allWords = Uint16Array.from({ length: 0x10000 }, (_, word) => word)

const widen16 = (words: Uint16Array) => {
  const target = new Float32Array(words.length)
  FloatFormats.widenFloat16(words, target)
  return target
}

const widenB16 = (words: Uint16Array) => {
  const target = new Float32Array(words.length)
  FloatFormats.widenBFloat16(words, target)
  return target
}

const narrow16 = (values: Float32Array) => {
  const target = new Uint16Array(values.length)
  FloatFormats.narrowToFloat16(values, target)
  return target
}

const narrowB16 = (values: Float32Array) => {
  const target = new Uint16Array(values.length)
  FloatFormats.narrowToBFloat16(values, target)
  return target
}

/** The value of a word by IEEE 754's definition. */
const valueOf = (word: number, exponentBits: number, fractionBits: number): number => {
  const sign = word >>> 15 === 1 ? -1 : 1
  const exponent = (word >>> fractionBits) & (2 ** exponentBits - 1)
  const fraction = word & (2 ** fractionBits - 1)
  const bias = 2 ** (exponentBits - 1) - 1
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : Number.NaN
  return exponent === 0
    ? sign * fraction * 2 ** (1 - bias - fractionBits)
    : sign * (1 + fraction / 2 ** fractionBits) * 2 ** (exponent - bias)
}

/** The word nearest to a finite `value` by definition, of two equally near ones the even one. */
const nearest = (value: number, exponentBits: number, fractionBits: number): number => {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const magnitude = Math.abs(value)
  const infinity = (2 ** exponentBits - 1) << fractionBits
  let low = 0
  let high = infinity
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if (valueOf(middle, exponentBits, fractionBits) <= magnitude) low = middle
    else high = middle
  }
  const lowValue = valueOf(low, exponentBits, fractionBits)
  // Beyond the largest number, infinity counts as the next number of the same spacing.
  const highValue = high === infinity
    ? 2 * lowValue - valueOf(low - 1, exponentBits, fractionBits)
    : valueOf(high, exponentBits, fractionBits)
  const below = magnitude - lowValue
  const above = highValue - magnitude
  return sign | (below < above || (below === above && low % 2 === 0) ? low : high)
}

const formats = [
  { name: "float16", widen: widen16, narrow: narrow16, exponentBits: 5, fractionBits: 10 },
  { name: "bfloat16", widen: widenB16, narrow: narrowB16, exponentBits: 8, fractionBits: 7 }
] as const

for (const { exponentBits, fractionBits, name, narrow, widen } of formats) {
  describe(name, () => {
    it("widens every word to its value: subnormals, zeros, infinities and NaNs included", () => {
      const values = widen(allWords)
      for (const word of allWords) {
        assert.isTrue(Object.is(values[word], Math.fround(valueOf(word, exponentBits, fractionBits))), `word ${word}`)
      }
    })

    it("keeps every word, NaN payloads included, through widening and narrowing", () => {
      assert.deepStrictEqual(narrow(widen(allWords)), allWords)
    })

    it("narrows to the nearest, to even on a tie, in and around every gap", () => {
      const values = widen(allWords)
      const probes: Array<number> = []
      for (let word = 0; word < (2 ** exponentBits - 1) << fractionBits; word += 7) {
        const low = values[word]!
        const high = valueOf(word + 1, exponentBits, fractionBits)
        const middle = Number.isFinite(high) ? (low + high) / 2 : low
        probes.push(middle, -middle, Math.fround(middle * (1 + 2 ** -22)), Math.fround(middle * (1 - 2 ** -22)))
      }
      const narrowed = narrow(Float32Array.from(probes))
      for (const [index, probe] of probes.entries()) {
        assert.strictEqual(narrowed[index], nearest(Math.fround(probe), exponentBits, fractionBits), `value ${probe}`)
      }
    })

    it.prop("narrows any number to the nearest", [Schema.Finite], ([number]) => {
      for (const value of [Math.fround(number), Math.fround(number % 70000), Math.fround((number % 3) * 2 ** -20)]) {
        if (!Number.isFinite(value)) continue
        assert.strictEqual(
          narrow(Float32Array.of(value))[0],
          nearest(value, exponentBits, fractionBits),
          `value ${value}`
        )
      }
    }, { arbitrary: { runs: 500 } })

    it("overflows to infinity and keeps a NaN a NaN", () => {
      const nan = new Float32Array(Uint32Array.of(0x7f800001, 0xffc00000, 0x7fffffff).buffer)
      assert.lengthOf(narrow(nan), 3)
      for (const word of narrow(nan)) assert.isNaN(valueOf(word, exponentBits, fractionBits))
      const [plus, minus, largest] = narrow(Float32Array.of(Infinity, -Infinity, 3.4028234663852886e38))
      assert.strictEqual(valueOf(plus!, exponentBits, fractionBits), Infinity)
      assert.strictEqual(valueOf(minus!, exponentBits, fractionBits), -Infinity)
      assert.strictEqual(valueOf(largest!, exponentBits, fractionBits), Infinity)
    })
  })
}
