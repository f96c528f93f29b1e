/**
 * Strings of templates, which know which of their characters came from foreign text. Every operation goes through `slice`,
 * `map` and `concat` and so keeps that knowledge. Lengths and positions count characters as Python does, not UTF-16 units.
 *
 * @since 0.2.0
 */
import * as Spans from "../../../domain/Spans.ts"

const surrogate = /\p{Surrogate}|[\u{10000}-\u{10ffff}]/u

/**
 * @category models
 * @since 0.2.0
 */
export class Str {
  readonly spans: Spans.Spans
  readonly text: string

  constructor(spans: Spans.Spans) {
    this.spans = spans
    this.text = Spans.text(spans)
  }

  /** UTF-16 offsets of the characters, the end included; absent where every character is one unit. */
  private get offsets(): ReadonlyArray<number> | undefined {
    if (!surrogate.test(this.text)) return undefined
    const offsets = [0]
    for (const character of this.text) offsets.push((offsets.at(-1) ?? 0) + character.length)
    return offsets
  }

  get length(): number {
    const { offsets } = this
    return offsets === undefined ? this.text.length : offsets.length - 1
  }

  /** The position in characters of an offset in UTF-16 units. */
  position(offset: number): number {
    const { offsets } = this
    return offsets === undefined || offset < 0 ? offset : offsets.indexOf(offset)
  }

  /** The characters one by one. */
  get characters(): ReadonlyArray<Str> {
    const characters: Array<Str> = []
    let start = 0
    for (const { length } of this.text) {
      characters.push(this.cut(start, start + length))
      start += length
    }
    return characters
  }

  /** The part from `start` to `end` in UTF-16 units. */
  cut(start: number, end = this.text.length): Str {
    return start === 0 && end >= this.text.length ? this : new Str(Spans.slice(this.spans, start, end))
  }

  /** Every author's text changed by itself; the whole where there is one author. */
  map(change: (text: string) => string): Str {
    return new Str(Spans.map(this.spans, change))
  }
}

/**
 * A string of the template's own.
 *
 * @category constructors
 * @since 0.2.0
 */
export const str = (text: string): Str => new Str(Spans.own(text))

/**
 * @category combinators
 * @since 0.2.0
 */
export const concat = (parts: ReadonlyArray<Str>): Str => new Str(Spans.concat(...parts.map(({ spans }) => spans)))

/**
 * @category combinators
 * @since 0.2.0
 */
export const join = (parts: ReadonlyArray<Str>, separator: Str): Str =>
  concat(parts.flatMap((part, index) => index === 0 ? [part] : [separator, part]))

/**
 * @category combinators
 * @since 0.2.0
 */
export const repeat = (text: Str, times: number): Str => concat(Array.from({ length: Math.max(0, times) }, () => text))
