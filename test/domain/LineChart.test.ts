import { assert, describe, it } from "@effect/vitest"
import { svg, ticks } from "../../src/domain/LineChart.ts"

describe("LineChart", () => {
  it("divides a range at round numbers within it", () => {
    assert.deepStrictEqual(ticks(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1])
    assert.deepStrictEqual(ticks(0, 15), [0, 5, 10, 15])
    assert.deepStrictEqual(ticks(-0.03, 0.07), [-0.02, 0, 0.02, 0.04, 0.06])
  })

  it("draws a line a curve in the colour of the legend, and a point where there is one value", () => {
    const text = svg(
      [
        { title: "a < b", range: [0, 1], curves: [{ name: "one", points: [[0, 0], [10, 1], [5, Number.NaN]] }] },
        { title: "c", curves: [{ name: "two", points: [[3, 7]] }, { name: "one", points: [[0, 1], [1, 2]] }] }
      ],
      { title: "T & U", x: "step" }
    )
    assert.include(text, "a &lt; b")
    assert.include(text, "T &amp; U")
    assert.deepStrictEqual([...text.matchAll(/<polyline/g)].length, 2)
    // bottom left to top right of the plot
    assert.match(text, /points="48\.0,226\.0 406\.0,30\.0"/)
    assert.match(text, /<circle cx="/)
    assert.notInclude(text, "NaN")
    const [colour] = [...text.matchAll(/<polyline[^>]* stroke="(#\w+)"/g)].map(([, found]) => found)
    assert.isAtLeast(text.split(`stroke="${colour}"`).length, 4, "both panels and the legend")
  })
})
