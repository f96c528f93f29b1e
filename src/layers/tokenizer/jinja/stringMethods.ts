/**
 * The methods of Python's `str`.
 *
 * @since 0.2.0
 */
import { escapeRegExp } from "../../../domain/escapeRegExp.ts"
import { whitespaceClass } from "../../../domain/PythonString.ts"
import { bind, integer, string } from "./arguments.ts"
import { fail } from "./JinjaError.ts"
import { concat, join, repeat, Str, str } from "./Str.ts"
import { type CallArguments, iterate, List, typeName, type Value } from "./Values.ts"

type Method = (self: Str, args: CallArguments) => Value

const spaces = `[${whitespaceClass}]`
const leadingSpaces = new RegExp(`^${spaces}+`)
const trailingSpaces = new RegExp(`${spaces}+$`)

const charactersOf = (chars: Value | undefined): string | undefined =>
  chars === undefined || chars === null ? undefined : string("strip arg", chars).text

/** The class of characters that `strip` takes away, white space unless told. */
const stripped = (self: Str, chars: string | undefined, left: boolean, right: boolean): Str => {
  if (chars === "") return self
  const set = chars === undefined ? undefined : `[${escapeRegExp(chars).replaceAll("-", "\\-")}]`
  const start = left
    ? (set === undefined ? leadingSpaces : new RegExp(`^${set}+`, "u")).exec(self.text)?.[0].length ?? 0
    : 0
  if (start === self.text.length) return str("")
  const end = right
    ? (set === undefined ? trailingSpaces : new RegExp(`${set}+$`, "u")).exec(self.text)?.index
    : undefined
  return self.cut(start, end)
}

/**
 * `str.strip`, of `chars` or of white space.
 *
 * @category combinators
 * @since 0.2.0
 */
export const strip = (self: Str, chars?: Value | undefined): Str => stripped(self, charactersOf(chars), true, true)

const stripMethod = (what: string, left: boolean, right: boolean): Method => (self, args) =>
  stripped(self, charactersOf(bind(what, args, ["chars"])[0]), left, right)

/** The first upper case, the rest lower: the parts of what one character becomes, too. */
const capitalized = (text: string): string => {
  const [first = ""] = text
  const upper = first.toUpperCase()
  const [head = ""] = upper
  return head + upper.slice(head.length).toLowerCase() + text.slice(first.length).toLowerCase()
}

/**
 * `str.capitalize`.
 *
 * @category combinators
 * @since 0.2.0
 */
export const capitalize = (self: Str): Str => {
  const [first] = self.characters
  return first === undefined
    ? self
    : concat([first.map(capitalized), self.cut(first.text.length).map((text) => text.toLowerCase())])
}

const words = /\p{L}\p{M}*(?:\p{L}|\p{M})*/gu

const title = (self: Str): Str => {
  const parts: Array<Str> = []
  let from = 0
  for (const { 0: word, index } of self.text.matchAll(words)) {
    parts.push(self.cut(from, index), capitalize(self.cut(index, index + word.length)))
    from = index + word.length
  }
  return concat([...parts, self.cut(from)])
}

const cutAt = (self: Str, at: ReadonlyArray<readonly [start: number, end: number]>): ReadonlyArray<Str> => {
  const parts: Array<Str> = []
  let from = 0
  for (const [start, end] of at) {
    parts.push(self.cut(from, start))
    from = end
  }
  return [...parts, self.cut(from)]
}

const occurrences = (self: Str, wanted: string): ReadonlyArray<readonly [number, number]> => {
  const found: Array<readonly [number, number]> = []
  for (let at = self.text.indexOf(wanted); at !== -1; at = self.text.indexOf(wanted, at + wanted.length)) {
    found.push([at, at + wanted.length])
  }
  return found
}

const some = <A>(items: ReadonlyArray<A>, most: number, fromEnd: boolean): ReadonlyArray<A> =>
  most < 0 || most >= items.length ? items : fromEnd ? items.slice(items.length - most) : items.slice(0, most)

const splitMethod = (what: string, fromEnd: boolean): Method => (self, args) => {
  const [separator, maxsplit] = bind(what, args, ["sep", "maxsplit"])
  const most = integer(what, maxsplit, -1)
  if (separator !== undefined && separator !== null) {
    const { text } = string("must be str or None, not", separator)
    if (text === "") fail("empty separator")
    return new List(cutAt(self, some(fromEnd ? lastOccurrences(self, text) : occurrences(self, text), most, fromEnd)))
  }
  const found = Array.from(
    self.text.matchAll(new RegExp(`[^${whitespaceClass}]+`, "g")),
    ({ 0: { length }, index }) => [index, index + length] as const
  )
  const all = found.map(([start, end]) => self.cut(start, end))
  if (most < 0 || found.length <= most) return new List(all)
  // what is beyond the limit stays in one piece, with the white space at its far end
  return new List(
    fromEnd
      ? [self.cut(0, found[found.length - most - 1]?.[1]), ...all.slice(found.length - most)]
      : [...all.slice(0, most), self.cut(found[most]?.[0] ?? 0)]
  )
}

const lastOccurrences = (self: Str, wanted: string): ReadonlyArray<readonly [number, number]> => {
  const found: Array<readonly [number, number]> = []
  for (let at = self.text.lastIndexOf(wanted); at !== -1;) {
    found.unshift([at, at + wanted.length])
    at = at < wanted.length ? -1 : self.text.lastIndexOf(wanted, at - wanted.length)
  }
  return found
}

// oxlint-disable-next-line no-control-regex
const lineBreaks = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g

/**
 * `str.splitlines`.
 *
 * @category combinators
 * @since 0.2.0
 */
export const splitLines = (self: Str, keepEnds = false): ReadonlyArray<Str> => {
  const lines: Array<Str> = []
  let from = 0
  for (const { 0: { length }, index } of self.text.matchAll(lineBreaks)) {
    lines.push(self.cut(from, keepEnds ? index + length : index))
    from = index + length
  }
  return from < self.text.length ? [...lines, self.cut(from)] : lines
}

/**
 * `str.replace`.
 *
 * @category combinators
 * @since 0.2.0
 */
export const replace = (self: Str, old: Str, by: Str, count = -1): Str => {
  const at = old.text === ""
    ? Array.from({ length: self.length + 1 }, (_, index) => {
      const offset = self.characters.slice(0, index).reduce((sum, { text }) => sum + text.length, 0)
      return [offset, offset] as const
    })
    : occurrences(self, old.text)
  return join(cutAt(self, some(at, count, false)), by)
}

/** The part of a text that `find` and its kin look at, and the offset of its beginning. */
const window = (
  what: string,
  self: Str,
  args: CallArguments
): readonly [wanted: Value, part: string, start: number] => {
  const [wanted, start, end] = bind(what, args, ["sub", "start", "end"], 1)
  const size = self.length
  const clamp = (value: Value | undefined, fallback: number) => {
    const at = value === null ? fallback : integer(what, value, fallback)
    return Math.min(size, at < 0 ? Math.max(0, at + size) : at)
  }
  const [from, to] = [clamp(start, 0), clamp(end, size)]
  const { characters } = self
  return [wanted ?? null, characters.slice(from, to).map(({ text }) => text).join(""), from]
}

const findMethod = (what: string, last: boolean, strict: boolean): Method => (self, args) => {
  const [sub, part, from] = window(what, self, args)
  const wanted = string(`${what} arg`, sub).text
  const offset = last ? part.lastIndexOf(wanted) : part.indexOf(wanted)
  if (offset === -1) return strict ? fail("substring not found") : -1n
  return BigInt(from + Array.from(part.slice(0, offset)).length)
}

const affixMethod = (what: string, matches: (text: string, affix: string) => boolean): Method => (self, args) => {
  const [affix, part] = window(what, self, args)
  const affixes = affix instanceof List && affix.isTuple ? affix.items : [affix]
  return affixes.some((one) =>
    one instanceof Str
      ? matches(part, one.text)
      : fail(`${what} first arg must be str or a tuple of str, not ${typeName(one)}`)
  )
}

const every = (pattern: RegExp): Method => (self) => pattern.test(self.text)

const cased = /\p{Lu}|\p{Ll}|\p{Lt}/u

const partitionMethod = (what: string, last: boolean): Method => (self, args) => {
  const { text } = string(what, bind(what, args, ["sep"], 1)[0])
  if (text === "") fail("empty separator")
  const at = last ? self.text.lastIndexOf(text) : self.text.indexOf(text)
  const nothing = [str(""), str("")]
  return new List(
    at === -1
      ? (last ? [...nothing, self] : [self, ...nothing])
      : [self.cut(0, at), self.cut(at, at + text.length), self.cut(at + text.length)],
    true
  )
}

/**
 * `str.center` and its kin: `left` of the fill characters stand in front.
 *
 * @category combinators
 * @since 0.2.0
 */
export const padded = (self: Str, width: number, fill: Str, left: (missing: number) => number): Str => {
  const missing = Math.max(0, width - self.length)
  const before = left(missing)
  return concat([repeat(fill, before), self, repeat(fill, missing - before)])
}

/**
 * How many fill characters `str.center` puts in front.
 *
 * @category getters
 * @since 0.2.0
 */
export const centered = (width: number) => (missing: number): number =>
  Math.floor(missing / 2) + (missing % 2 === 1 && width % 2 === 1 ? 1 : 0)

const padMethod = (what: string, left: (width: number) => (missing: number) => number): Method => (self, args) => {
  const [width, fill] = bind(what, args, ["width", "fillchar"], 1)
  const columns = integer(what, width, 0)
  const sign = fill === undefined ? str(" ") : string(what, fill)
  if (sign.length !== 1) fail("The fill character must be exactly one character long")
  return padded(self, columns, sign, left(columns))
}

/**
 * The methods that are here. Python has more, which a template is told of.
 *
 * @category constants
 * @since 0.2.0
 */
export const stringMethods: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["capitalize", capitalize],
  ["center", padMethod("center()", centered)],
  ["count", (self, args) => {
    const [sub, part] = window("count()", self, args)
    const wanted = string("count() arg", sub).text
    return BigInt(wanted === "" ? Array.from(part).length + 1 : part.split(wanted).length - 1)
  }],
  ["endswith", affixMethod("endswith", (text, affix) => text.endsWith(affix))],
  ["find", findMethod("find()", false, false)],
  ["index", findMethod("index()", false, true)],
  ["isalnum", every(/^[\p{L}\p{N}]+$/u)],
  ["isalpha", every(/^\p{L}+$/u)],
  ["isascii", every(/^[\0-\x7f]*$/u)],
  ["isdecimal", every(/^\p{Nd}+$/u)],
  ["isdigit", every(/^[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089]+$/u)],
  ["islower", (self) => cased.test(self.text) && self.text === self.text.toLowerCase()],
  ["isnumeric", every(/^\p{N}+$/u)],
  ["isspace", every(new RegExp(`^${spaces}+$`))],
  ["isupper", (self) => cased.test(self.text) && self.text === self.text.toUpperCase()],
  ["join", (self, args) => {
    const parts = Array.from(iterate(bind("join()", args, ["iterable"], 1)[0] ?? null))
    return join(parts.map((part, index) => string(`sequence item ${index}: expected str instance; it`, part)), self)
  }],
  ["ljust", padMethod("ljust()", () => () => 0)],
  ["lower", (self) => self.map((text) => text.toLowerCase())],
  ["lstrip", stripMethod("lstrip()", true, false)],
  ["partition", partitionMethod("partition()", false)],
  ["removeprefix", (self, args) => {
    const { text } = string("removeprefix()", bind("removeprefix()", args, ["prefix"], 1)[0])
    return self.text.startsWith(text) ? self.cut(text.length) : self
  }],
  ["removesuffix", (self, args) => {
    const { text } = string("removesuffix()", bind("removesuffix()", args, ["suffix"], 1)[0])
    return text !== "" && self.text.endsWith(text) ? self.cut(0, self.text.length - text.length) : self
  }],
  ["replace", (self, args) => {
    const [old, by, count] = bind("replace()", args, ["old", "new", "count"], 2)
    return replace(
      self,
      string("replace() argument 1", old),
      string("replace() argument 2", by),
      integer("replace()", count, -1)
    )
  }],
  ["rfind", findMethod("rfind()", true, false)],
  ["rindex", findMethod("rindex()", true, true)],
  ["rjust", padMethod("rjust()", () => (missing) => missing)],
  ["rpartition", partitionMethod("rpartition()", true)],
  ["rsplit", splitMethod("rsplit()", true)],
  ["rstrip", stripMethod("rstrip()", false, true)],
  ["split", splitMethod("split()", false)],
  ["splitlines", (self, args) => {
    const [keep] = bind("splitlines()", args, ["keepends"])
    return new List(splitLines(self, keep === true || (keep !== undefined && integer("splitlines()", keep, 0) !== 0)))
  }],
  ["startswith", affixMethod("startswith", (text, affix) => text.startsWith(affix))],
  ["strip", stripMethod("strip()", true, true)],
  [
    "swapcase",
    (self) =>
      self.map((text) =>
        Array.from(text, (sign) => /\p{Lu}/u.test(sign) ? sign.toLowerCase() : sign.toUpperCase()).join("")
      )
  ],
  ["title", title],
  ["upper", (self) => self.map((text) => text.toUpperCase())],
  ["zfill", (self, args) => {
    const width = integer("zfill()", bind("zfill()", args, ["width"], 1)[0], 0)
    const sign = /^[+-]/.test(self.text) ? 1 : 0
    return concat([self.cut(0, sign), padded(self.cut(sign), width - sign, str("0"), (missing) => missing)])
  }]
])

/**
 * Methods of `str` that Python has and this has not.
 *
 * @category constants
 * @since 0.2.0
 */
export const unknownStringMethods: ReadonlySet<string> = new Set([
  "casefold",
  "encode",
  "expandtabs",
  "format_map",
  "isidentifier",
  "isprintable",
  "istitle",
  "maketrans",
  "translate"
])
