/**
 * Reads values as Python and NumPy print them: `['a', 'b']`, `['a' 'b'\n 'c']`, `array(['a'], dtype=object)`,
 * `{'target': [...]}`, `np.str_('x')`.
 *
 * @since 0.2.0
 */
import { Result } from "effect"

/**
 * Why a text is no value: it is written in another way, or NumPy left out the middle of a long array (`...`).
 *
 * @category models
 * @since 0.2.0
 */
export type Flaw = "malformed" | "elided"

/** Deeper values are no answers. */
const maxDepth = 64

const escapes: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  "'": "'",
  "\"": "\"",
  "\n": ""
}

const escape = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|([^]))/g

/** The text between quotes; an escape that Python does not know keeps its backslash. */
const unescape = (body: string): string =>
  body.replace(
    escape,
    (whole, hex?: string, short?: string, long?: string, octal?: string, char?: string) => {
      if (char !== undefined) return escapes[char] ?? whole
      const point = octal === undefined ? Number.parseInt(hex ?? short ?? long ?? "", 16) : Number.parseInt(octal, 8)
      return point <= 0x10ffff ? String.fromCodePoint(point) : "\uFFFD"
    }
  )

/** `b'caf\xc3\xa9'`: each character is a byte. */
const bytesText = (characters: string): string =>
  new TextDecoder().decode(Uint8Array.from(characters, (character) => character.charCodeAt(0)))

const names: ReadonlyMap<string, boolean | null> = new Map([
  ["True", true],
  ["true", true],
  ["False", false],
  ["false", false],
  ["None", null],
  ["null", null],
  ["nan", null],
  ["NaN", null],
  ["NaT", null]
])

const between = /[\s,]*/y
const quoted = /([bBuUrR]{0,2})(?:'([^'\\]*(?:\\[^][^'\\]*)*)'|"([^"\\]*(?:\\[^][^"\\]*)*)")/y
const number = /[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?/y
const name = /[A-Za-z_][\w.]*/y
const wrapper =
  /^(?:(?:np\.|numpy\.)?(?:array|str_|bytes_|bool_?|u?int\d+|float\d+)|list|tuple|set|frozenset|dict|(?:collections\.)?OrderedDict|(?:decimal\.)?Decimal)$/
const keyword = /[A-Za-z_]\w*\s*=\s*/y

class Reader {
  /** The first flaw; what is read behind it has no meaning. */
  flaw: Flaw | undefined
  private at = 0
  private readonly text: string

  constructor(text: string) {
    this.text = text
  }

  value(depth = 0): unknown {
    if (depth > maxDepth) return this.fail("malformed")
    if (this.take("...")) return this.fail("elided")
    if (this.take("[")) return this.items("]", depth)
    if (this.take("(")) return this.items(")", depth)
    if (this.take("{")) return this.braces(depth)
    return this.quoted() ?? this.number() ?? this.named(depth)
  }

  /** White space and commas alike stand between values: NumPy writes no commas. Whether the text ends behind them. */
  skip(): boolean {
    this.match(between)
    return this.at === this.text.length
  }

  private fail(flaw: Flaw): undefined {
    this.flaw ??= flaw
    return undefined
  }

  private match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.text)
    if (found !== null) this.at = pattern.lastIndex
    return found
  }

  private take(wanted: string): boolean {
    const found = this.text.startsWith(wanted, this.at)
    if (found) this.at += wanted.length
    return found
  }

  /** Whether another element comes before `close`. */
  private more(close: string): boolean {
    this.skip()
    return this.flaw === undefined && !this.take(close)
  }

  private items(close: string, depth: number): ReadonlyArray<unknown> {
    const found: Array<unknown> = []
    while (this.more(close)) found.push(this.value(depth + 1))
    return found
  }

  private braces(depth: number): unknown {
    const fields: Array<readonly [string, unknown]> = []
    const elements: Array<unknown> = []
    while (this.more("}")) {
      const key = this.value(depth + 1)
      this.skip()
      if (this.take(":")) {
        this.skip()
        fields.push([String(key), this.value(depth + 1)])
      } else elements.push(key)
    }
    return elements.length > 0 ? elements : Object.fromEntries(fields)
  }

  private quoted(): string | undefined {
    const string = this.match(quoted)
    if (string === null) return undefined
    const prefix = (string[1] ?? "").toLowerCase()
    const body = string[2] ?? string[3] ?? ""
    const text = prefix.includes("r") ? body : unescape(body)
    return prefix.includes("b") ? bytesText(text) : text
  }

  private number(): number | bigint | undefined {
    const digits = this.match(number)?.[0]
    if (digits === undefined) return undefined
    const value = Number(digits)
    return /^[-+]?\d+$/.test(digits) && !Number.isSafeInteger(value) ? BigInt(digits.replace("+", "")) : value
  }

  private named(depth: number): unknown {
    const word = this.match(name)?.[0]
    if (word === undefined) return this.fail("malformed")
    if (wrapper.test(word) && this.take("(")) return this.call(depth)
    const known = names.get(word.replace(/^np\.(True|False)_$/, "$1"))
    return known === undefined ? this.fail(word === "Ellipsis" ? "elided" : "malformed") : known
  }

  /** What stands in the parentheses of `array([…], dtype=object)`: its only argument. */
  private call(depth: number): unknown {
    const positional: Array<unknown> = []
    while (this.more(")")) {
      if (this.match(keyword) === null) positional.push(this.value(depth + 1))
      // a type is a name, which is no value
      else if (this.match(name) === null) this.value(depth + 1)
    }
    return positional.length > 1 ? this.fail("malformed") : positional[0] ?? []
  }
}

/**
 * The value that a text prints. Arrays, tuples and sets are arrays, dictionaries are objects, `None` and `nan` are null,
 * and integers that a number would round are `bigint`, as in `Json.parse`.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parse = (text: string): Result.Result<unknown, Flaw> => {
  const reader = new Reader(text.trim())
  const value = reader.value()
  const ended = reader.skip()
  return reader.flaw !== undefined
    ? Result.fail(reader.flaw)
    : ended
    ? Result.succeed(value)
    : Result.fail("malformed")
}
