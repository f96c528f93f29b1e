import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { mergePairs, noRank, type RankOf } from "../../../src/layers/tokenizer/byteLevel/mergePairs.ts"
import { splitGpt2, type SplitWords, splitWords } from "../../../src/layers/tokenizer/byteLevel/splitWords.ts"

/** Merging by its definition, one union at a time. */
const mergeByDefinition = (starts: ReadonlyArray<number>, rankOf: RankOf) => {
  const parts = [...starts]
  for (;;) {
    let best = -1
    let rank = noRank
    for (let i = 0; i + 2 < parts.length; i++) {
      const found = rankOf(parts[i]!, parts[i + 1]!, parts[i + 2]!)
      if (found < rank) {
        rank = found
        best = i
      }
    }
    if (best === -1) return parts
    parts.splice(best + 1, 1)
  }
}

const Letters = (maxLength: number) =>
  Arbitrary.array(Arbitrary.schema(Schema.Literals(["a", "b", "c"])), { maxLength }).pipe(
    Arbitrary.map((letters) => letters.join(""))
  )

describe("mergePairs", () => {
  // Ranks repeat, so that ties between different unions are met, too.
  const ranks = new Map<string, number>()
  for (const [index, token] of ["ab", "ba", "aa", "bc", "abab", "aab", "caa", "aaaa", "abc", "bcab", "ca"].entries()) {
    ranks.set(token, index >> 1)
  }
  for (const [what, length] of [["by scanning", 30], ["with a heap", 400]] as const) {
    it.prop(`merges as the definition does, ${what}`, [Letters(length)], ([letters]) => {
      const text = what === "with a heap" ? `${letters}${"abcaab".repeat(9)}` : letters
      const rankOf: RankOf = (start, _, end) => ranks.get(text.slice(start, end)) ?? noRank
      const starts = Array.from({ length: text.length + 1 }, (_, i) => i)
      assert.deepStrictEqual(mergePairs(starts, rankOf), mergeByDefinition(starts, rankOf))
    }, { arbitrary: { runs: 150 } })
  }

  it("keeps parts of several characters whole", () => {
    assert.deepStrictEqual(mergePairs([0, 2, 3, 5], (start, _, end) => end - start === 3 && start === 0 ? 1 : noRank), [
      0,
      3,
      5
    ])
  })

  it("merges a text of 100,000 characters without a space in n log n", () => {
    const text = "ab".repeat(50_000)
    const merged = mergePairs(
      Array.from({ length: text.length + 1 }, (_, i) => i),
      (start, _, end) => ranks.get(text.slice(start, end)) ?? noRank
    )
    assert.strictEqual(merged.length, 25_001)
  })
})

/** The expression itself in JavaScript's words, whose `\s` is not Unicode's white space. */
const expression = (digits: number) =>
  new RegExp(
    String
      .raw`'(?:[sSſ]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,${digits}}| ?[^\p{White_Space}\p{L}\p{N}]+[\r\n]*|\p{White_Space}*[\r\n]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+`,
    "gu"
  )

const gpt2 = new RegExp(
  String
    .raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+`,
  "gu"
)

const splits: ReadonlyArray<readonly [string, SplitWords, RegExp]> = [
  ["Qwen2", splitWords(1), expression(1)],
  ["Llama 3", splitWords(3), expression(3)],
  ["GPT-2", splitGpt2, gpt2]
]

const pieces = (split: SplitWords, text: string) => {
  const found: Array<string> = []
  split(text, (piece) => found.push(piece))
  return found
}

const Characters = Arbitrary.array(
  Arbitrary.schema(
    Schema.Literals([..." \n\r\t\u0085\ufeff\u3000'sTLlrevmdſaÉ日ß09５Ⅷ.!-_\u0301👍𝕏𝟘"])
  ),
  { maxLength: 24 }
).pipe(Arbitrary.map((characters) => characters.join("")))

for (const [name, split, expression] of splits) {
  describe(`cutting words as ${name}`, () => {
    it.prop("is what the expression does", [Characters], ([text]) => {
      assert.deepStrictEqual(pieces(split, text), text.match(expression) ?? [])
    }, { arbitrary: { runs: 2000 } })

    it("classifies every character as the expression does", () => {
      for (let codePoint = 0; codePoint < 0x110000; codePoint += codePoint < 0x3000 ? 1 : 37) {
        if (codePoint >= 0xd800 && codePoint < 0xe000) continue
        const character = String.fromCodePoint(codePoint)
        const text = `a${character}b ${character}${character}`
        assert.deepStrictEqual(pieces(split, text), [...text.match(expression)!], `U+${codePoint.toString(16)}`)
      }
    })

    it("takes lone surrogates as other characters", () => {
      assert.strictEqual(pieces(split, "a\ud800b\udc00 \ud800").join(""), "a\ud800b\udc00 \ud800")
    })
  })
}

it("cuts GPT-2's words at U+FEFF and U+0085 as tokenizers 0.23 does", () => {
  assert.deepStrictEqual(pieces(splitGpt2, "the  \ufeff the"), ["the", " ", " \ufeff", " the"])
  assert.deepStrictEqual(pieces(splitGpt2, "a\u0085b \u0085 c"), ["a", "\u0085", "b", " \u0085", " c"])
})
