/**
 * Text that remembers who wrote which part of it.
 *
 * Marks of chat templates, and the protocol's tags where a model has tokens of their own for them, are special tokens. In
 * text of this package's own and of a template's, such a mark becomes its id. In foreign text (questions, documents, tools,
 * scripts, recordings) it is text like any other: a tokenizer never makes a special token of it. See
 * `Tokenizer.encodeSpans`.
 *
 * @since 0.2.0
 */

/**
 * @category models
 * @since 0.2.0
 */
export interface Span {
  readonly text: string
  readonly foreign: boolean
}

/**
 * @category models
 * @since 0.2.0
 */
export type Spans = ReadonlyArray<Span>

/**
 * Text of this package's own, in which marks count.
 *
 * @category constructors
 * @since 0.2.0
 */
export const own = (text: string): Spans => text === "" ? [] : [{ text, foreign: false }]

/**
 * Somebody else's text, in which marks are text.
 *
 * @category constructors
 * @since 0.2.0
 */
export const foreign = (text: string): Spans => text === "" ? [] : [{ text, foreign: true }]

/**
 * A string is foreign text unless it is said to be another's.
 *
 * @category conversions
 * @since 0.2.0
 */
export const from = (text: string | Spans): Spans => typeof text === "string" ? foreign(text) : text

/**
 * The text without its authors.
 *
 * @category getters
 * @since 0.2.0
 */
export const text = (spans: Spans): string =>
  spans.length === 1 ? spans[0]!.text : spans.map((span) => span.text).join("")

/**
 * Texts one behind the other. Neighbours of one author become one span.
 *
 * @category combinators
 * @since 0.2.0
 */
export const concat = (...parts: ReadonlyArray<Spans>): Spans => {
  const joined: Array<Span> = []
  for (const part of parts) {
    for (const span of part) {
      const last = joined.at(-1)
      if (span.text === "") continue
      if (last?.foreign === span.foreign) joined[joined.length - 1] = { ...last, text: last.text + span.text }
      else joined.push(span)
    }
  }
  return joined
}

/**
 * A template whose literal text is this package's own. What is inserted is foreign, unless it is spans already.
 *
 * @category constructors
 * @since 0.2.0
 */
export const template = (
  strings: TemplateStringsArray,
  ...values: ReadonlyArray<string | number | Spans>
): Spans =>
  concat(...strings.flatMap((literal, index) => {
    const value = values[index]
    return value === undefined
      ? [own(literal)]
      : [own(literal), typeof value === "number" ? own(String(value)) : from(value)]
  }))

/**
 * The part from `start` to `end`, in UTF-16 units as `String.slice` counts them.
 *
 * @category combinators
 * @since 0.2.0
 */
export const slice = (spans: Spans, start: number, end: number): Spans => {
  const parts: Array<Span> = []
  let offset = 0
  for (const span of spans) {
    const from = Math.max(start - offset, 0)
    const to = Math.min(end - offset, span.text.length)
    if (from < to) parts.push({ text: span.text.slice(from, to), foreign: span.foreign })
    offset += span.text.length
  }
  return parts
}

/**
 * Every span's text changed by itself.
 *
 * @category combinators
 * @since 0.2.0
 */
export const map = (spans: Spans, change: (text: string) => string): Spans =>
  concat(spans.map((span) => ({ ...span, text: change(span.text) })))

/**
 * Whether every character from `start` to `end` is this package's own.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isOwn = (spans: Spans): (start: number, end: number) => boolean => {
  if (spans.every((span) => !span.foreign)) return () => true
  const ranges: Array<readonly [start: number, end: number]> = []
  let offset = 0
  for (const span of concat(spans)) {
    if (!span.foreign) ranges.push([offset, offset + span.text.length])
    offset += span.text.length
  }
  return (start, end) => {
    let low = 0
    let high = ranges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((ranges[middle]?.[1] ?? 0) < end) low = middle + 1
      else high = middle
    }
    const range = ranges[low]
    return range !== undefined && range[0] <= start && end <= range[1]
  }
}
