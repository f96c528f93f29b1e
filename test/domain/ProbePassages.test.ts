import { assert, describe, it } from "@effect/vitest"
import * as ProbePassages from "../../src/domain/ProbePassages.ts"

const chosen = (texts: ReadonlyArray<string>) => {
  const chooser = new ProbePassages.Chooser()
  for (const [row, text] of texts.entries()) chooser.offer(row, text)
  return chooser.rows()
}

const plain = "A passage of forty characters and a few more"

describe("ProbePassages", () => {
  it("chooses the passage with the largest share beyond ASCII, a short one in ASCII, and each with a new kind of letters", () => {
    assert.deepStrictEqual(
      chosen([
        "?!",
        `${plain}, and a longer one`,
        plain,
        "too short",
        "café",
        "Café Élan", // no new kind: letters of the same block
        "a – b",
        "北海",
        "the light\u00ADhouse",
        "𐍈 of another plane",
        "海 again"
      ]),
      [7, 2, 4, 6, 8, 9]
    )
  })

  it("chooses nothing of passages without text", () => {
    assert.deepStrictEqual(chosen(["", "\n", " "]), [])
    assert.deepStrictEqual(chosen(["x"]), [0])
  })

  it("keeps no more than some hundred passages of any corpus", () => {
    const texts = Array.from({ length: 5000 }, (_, row) => String.fromCodePoint(0x3200 + row, 0x2000 + row % 100))
    assert.isAtMost(chosen(texts).length, 258)
  })
})
