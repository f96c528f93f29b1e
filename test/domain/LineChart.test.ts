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

  it.each<readonly [number, number, ReadonlyArray<number>]>([
    [0, 10, [0, 2, 4, 6, 8, 10]],
    [0, 25, [0, 5, 10, 15, 20, 25]],
    [0, 50, [0, 10, 20, 30, 40, 50]],
    [0, 60, [0, 20, 40, 60]],
    [0.5, 1.5, [0.6, 0.8, 1, 1.2, 1.4]],
    [-1, 1, [-1, -0.5, 0, 0.5, 1]],
    [0, 0.3, [0, 0.1, 0.2, 0.3]],
    [0, 5e-7, [0, 1e-7, 2e-7, 3e-7, 4e-7, 5e-7]],
    [1000, 6000, [1000, 2000, 3000, 4000, 5000, 6000]]
  ])(
    "divides %d to %d by steps of 1, 2 or 5",
    (low, high, expected) => assert.deepStrictEqual(ticks(low, high), expected)
  )

  const points = (y: number) => [[0, y], [10, y]] as const
  const attributes = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, ...found]) => found)

  it("lays panels of 420 by 260 out in two columns, and the legend below them", () => {
    const panels = ["a", "b", "c"].map((title) => ({ title, curves: [{ name: title, points: points(1) }] }))
    const text = svg(panels, { title: "T", x: "step" })
    assert.include(text, `viewBox="0 0 840 606" width="840" height="606"`)
    assert.deepStrictEqual(attributes(text, /translate\((\d+) (\d+)\)/g), [["0", "34"], ["420", "34"], ["0", "294"]])
    assert.deepStrictEqual(
      attributes(text, /<line x1="(\d+)" x2="(\d+)" y1="(\d+)" y2="(\d+)" stroke-width="2.5"/g),
      [["48", "72", "562", "562"], ["468", "492", "562", "562"], ["48", "72", "582", "582"]]
    )
    assert.deepStrictEqual(
      attributes(text, /<text x="(\d+)" y="(\d+)">(.)<\/text>/g),
      [["80", "566", "a"], ["500", "566", "b"], ["80", "586", "c"]]
    )
    assert.include(text, `<text x="826" y="22" text-anchor="end">x: step</text>`)
    assert.include(text, `<text x="48" y="22" font-size="15" font-weight="600">T</text>`)
    assert.include(text, `<text x="48" y="18" font-weight="600">a</text>`)
    assert.isTrue(text.startsWith("<svg xmlns=\"http://www.w3.org/2000/svg\""))
    assert.isTrue(text.endsWith("</svg>\n"))
    const one = svg(panels.slice(0, 1), { title: "T", x: "x" })
    assert.include(one, `viewBox="0 0 420 326"`)
    assert.include(svg([], { title: "T", x: "x" }), `viewBox="0 0 420 46"`)
  })

  it("draws axes, curves and points where their values lie", () => {
    const text = svg([{
      title: "t",
      range: [0, 10],
      curves: [
        { name: "line", points: [[0, 0], [5, 5], [10, 20], [10, -5], [Number.NaN, 3], [3, Infinity]] },
        { name: "dot", points: [[5, 5]] },
        { name: "none", points: [] }
      ]
    }], { title: "T", x: "x" })
    assert.deepStrictEqual(attributes(text, /<polyline[^>]*points="([^"]*)"/g), [
      ["48.0,226.0 227.0,128.0 406.0,30.0 406.0,226.0"]
    ])
    assert.include(text, `<circle cx="227.0" cy="128.0" r="3" fill="#d1495b"/>`)
    assert.deepStrictEqual(
      attributes(text, /<text x="([\d.]+)" y="242" text-anchor="middle">(\d+)</g),
      [["48.0", "0"], ["119.6", "2"], ["191.2", "4"], ["262.8", "6"], ["334.4", "8"], ["406.0", "10"]]
    )
    assert.deepStrictEqual(
      attributes(text, /<text x="42" y="([\d.]+)" text-anchor="end">(\d+)</g),
      [["230.0", "0"], ["190.8", "2"], ["151.6", "4"], ["112.4", "6"], ["73.2", "8"], ["34.0", "10"]]
    )
    assert.include(text, `<line x1="48" x2="406" y1="226.0" y2="226.0" stroke="#d8dde2"/>`)
    assert.notMatch(text, /NaN|Infinity/)
  })

  it("widens a range of one value, and takes 0 to 1 where there is none", () => {
    const flat = svg([{ title: "t", curves: [{ name: "a", points: points(3) }] }], { title: "T", x: "x" })
    assert.deepStrictEqual(
      attributes(flat, /<text x="42" y="[\d.]+" text-anchor="end">([\d.]+)</g).flat(),
      ["2.6", "2.8", "3", "3.2", "3.4"]
    )
    assert.include(flat, `points="48.0,128.0 406.0,128.0"`)
    const none = svg([{ title: "t", curves: [] }], { title: "T", x: "x" })
    assert.deepStrictEqual(
      attributes(none, /<text x="42" y="[\d.]+" text-anchor="end">([\d.]+)</g).flat(),
      ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    )
  })

  it("tells nine colours apart, and then their dashes", () => {
    const names = Array.from({ length: 28 }, (_, index) => `curve ${index}`)
    const text = svg([{ title: "t", curves: names.map((name) => ({ name, points: points(1) })) }], {
      title: "T",
      x: "x"
    })
    const styles = attributes(
      text,
      /<polyline fill="none" stroke-width="1.8" stroke="(#\w{6})"((?: stroke-dasharray="[\d ]+")?) /g
    )
    assert.strictEqual(styles.length, 28)
    assert.strictEqual(new Set(styles.slice(0, 9).map(([colour]) => colour)).size, 9)
    assert.deepStrictEqual(styles.map(([, dash]) => dash?.trim()), [
      ...Array.from({ length: 9 }, () => ""),
      ...Array.from({ length: 9 }, () => "stroke-dasharray=\"6 3\""),
      ...Array.from({ length: 9 }, () => "stroke-dasharray=\"2 3\""),
      ""
    ])
    assert.deepStrictEqual(styles[9]?.[0], styles[0]?.[0])
  })

  it("writes signs of XML as what they stand for", () => {
    assert.include(svg([], { title: "a & \"b\" < c > d", x: "&&" }), "a &amp; &quot;b&quot; &lt; c &gt; d")
    assert.include(svg([], { title: "T", x: "&&" }), "x: &amp;&amp;")
  })
})
