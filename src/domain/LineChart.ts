/**
 * Line charts as SVG text: curves of runs for documents.
 *
 * @since 0.1.0
 */

/**
 * One curve. A point is `[x, y]`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Curve {
  readonly name: string
  readonly points: ReadonlyArray<readonly [number, number]>
}

/**
 * Curves that share their axes. `range` bounds the y axis where the quantity has natural bounds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Panel {
  readonly title: string
  readonly curves: ReadonlyArray<Curve>
  readonly range?: readonly [number, number] | undefined
}

const colours = ["#0b6fb8", "#d1495b", "#2a9d55", "#b5790a", "#7a4fbf", "#11919c", "#c2478f", "#5c6670", "#7d8f14"]
const dashes = ["", "6 3", "2 3"]

const width = 420
const height = 260
const margin = { left: 48, right: 14, top: 30, bottom: 34 }

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")

const short = (value: number): string => String(Number(value.toPrecision(3)))

/**
 * Round numbers that divide a range into about five parts: 1, 2 or 5 times a power of ten apart.
 *
 * @category getters
 * @since 0.1.0
 */
export const ticks = (low: number, high: number): ReadonlyArray<number> => {
  const raw = (high - low) / 5
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = power * ([1, 2, 5].find((factor) => factor * power >= raw * 0.999) ?? 10)
  const first = Math.ceil(low / step - 1e-9)
  const last = Math.floor(high / step + 1e-9)
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)))
}

const bounds = (values: ReadonlyArray<number>): readonly [number, number] => {
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  for (const value of values) {
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  if (low > high) return [0, 1]
  return low === high ? [low - 0.5, high + 0.5] : [low, high]
}

const style = (index: number): string => {
  const dash = dashes[Math.floor(index / colours.length) % dashes.length]
  return `stroke="${colours[index % colours.length]}"${dash === "" ? "" : ` stroke-dasharray="${dash}"`}`
}

const panelSvg = ({ curves, range, title }: Panel, names: ReadonlyArray<string>): string => {
  const finite = curves.map(({ name, points }) => ({
    name,
    points: points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y))
  }))
  const [left, right] = bounds(finite.flatMap(({ points }) => points.map(([x]) => x)))
  const [low, high] = range ?? bounds(finite.flatMap(({ points }) => points.map(([, y]) => y)))
  const x = (value: number) => margin.left + (value - left) / (right - left) * (width - margin.left - margin.right)
  const y = (value: number) =>
    height - margin.bottom - (value - low) / (high - low) * (height - margin.top - margin.bottom)
  const at = (value: number) => value.toFixed(1)
  const xTicks = ticks(left, right).map((value) =>
    `<text x="${at(x(value))}" y="${height - margin.bottom + 16}" text-anchor="middle">${short(value)}</text>`
  )
  const yTicks = ticks(low, high).flatMap((value) => [
    `<line x1="${margin.left}" x2="${width - margin.right}" y1="${at(y(value))}" y2="${
      at(y(value))
    }" stroke="#d8dde2"/>`,
    `<text x="${margin.left - 6}" y="${at(y(value) + 4)}" text-anchor="end">${short(value)}</text>`
  ])
  const lines = finite.flatMap(({ name, points }) => {
    const index = names.indexOf(name)
    const path = points.map(([px, py]) => `${at(x(px))},${at(y(Math.min(high, Math.max(low, py))))}`).join(" ")
    return points.length === 0
      ? []
      : points.length === 1
      ? [
        `<circle cx="${path.split(",")[0]}" cy="${path.split(",")[1]}" r="3" fill="${
          colours[index % colours.length]
        }"/>`
      ]
      : [`<polyline fill="none" stroke-width="1.8" ${style(index)} points="${path}"/>`]
  })
  return [
    `<text x="${margin.left}" y="18" font-weight="600">${escape(title)}</text>`,
    ...yTicks,
    ...xTicks,
    ...lines
  ].join("\n")
}

/**
 * Panels two a row over one legend. A curve has the same colour in all panels.
 *
 * @category formatting
 * @since 0.1.0
 */
export const svg = (panels: ReadonlyArray<Panel>, options: { readonly title: string; readonly x: string }): string => {
  const names = [...new Set(panels.flatMap(({ curves }) => curves.map(({ name }) => name)))]
  const columns = Math.min(2, Math.max(1, panels.length))
  const rows = Math.ceil(panels.length / columns)
  const legendTop = 34 + rows * height
  const total = { width: columns * width, height: legendTop + 20 * Math.ceil(names.length / columns) + 12 }
  const legend = names.map((name, index) => {
    const left = margin.left + (index % columns) * width
    const top = legendTop + 20 * Math.floor(index / columns) + 8
    return [
      `<line x1="${left}" x2="${left + 24}" y1="${top}" y2="${top}" stroke-width="2.5" ${style(index)}/>`,
      `<text x="${left + 32}" y="${top + 4}">${escape(name)}</text>`
    ].join("\n")
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total.width} ${total.height}" width="${total.width}" height="${total.height}" font-family="system-ui, sans-serif" font-size="12" fill="#24292f">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<text x="${margin.left}" y="22" font-size="15" font-weight="600">${escape(options.title)}</text>`,
    `<text x="${total.width - margin.right}" y="22" text-anchor="end">x: ${escape(options.x)}</text>`,
    ...panels.map((panel, index) =>
      `<g transform="translate(${(index % columns) * width} ${34 + Math.floor(index / columns) * height})">\n${
        panelSvg(panel, names)
      }\n</g>`
    ),
    ...legend,
    "</svg>",
    ""
  ].join("\n")
}
