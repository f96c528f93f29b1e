/**
 * Jinja's filters.
 *
 * @since 0.2.0
 */
import { item } from "./access.ts"
import { bind, integer } from "./arguments.ts"
import { formatPercent } from "./formatting.ts"
import { fail, unsupported } from "./JinjaError.ts"
import { toJson } from "./json.ts"
import { listFilters } from "./listFilters.ts"
import { parseFloatText, parseIntText, roundTo } from "./numbers.ts"
import { toStr } from "./printing.ts"
import { concat, join, repeat, Str, str } from "./Str.ts"
import { capitalize, centered, padded, replace, splitLines, strip } from "./stringMethods.ts"
import { testOf } from "./tests.ts"
import {
  type CallArguments,
  defined,
  Dict,
  Generator,
  iterate,
  length as lengthOf,
  List,
  numberOf,
  truthy,
  typeName,
  Undefined,
  type Value
} from "./Values.ts"

type Filter = (value: Value, args: CallArguments) => Value

/** A filter without arguments. */
const alone = (name: string, filter: (value: Value) => Value): readonly [string, Filter] => [name, (value, args) => {
  bind(name, args, [])
  return filter(value)
}]

const wordBeginnings = /([-\s({[<]+)/

const title = (text: Str): Str => {
  let from = 0
  const parts = text.text.split(wordBeginnings).map((part) => {
    const word = text.cut(from, from + part.length)
    from += part.length
    const [first] = word.characters
    return first === undefined
      ? word
      : concat([first.map((sign) => sign.toUpperCase()), word.cut(first.text.length).map((rest) => rest.toLowerCase())])
  })
  return concat(parts)
}

const indent: Filter = (value, args) => {
  const [width, first = false, blank = false] = bind("indent", args, ["width", "first", "blank"])
  const indention = width instanceof Str ? width : repeat(str(" "), integer("indent", width, 4))
  const newline = str("\n")
  const text = value instanceof Str ? value : fail(`indent needs a string, not ${typeName(value)}`)
  const lines = splitLines(concat([text, newline]))
  const indented = lines.map((line, index) =>
    index === 0 || (!truthy(blank) && line.text === "") ? line : concat([indention, line])
  )
  const result = join(indented, newline)
  return truthy(first) ? concat([indention, result]) : result
}

const truncate: Filter = (value, args) => {
  const [length, killWords = false, end, leeway] = bind("truncate", args, ["length", "killwords", "end", "leeway"])
  const most = integer("truncate", length, 255)
  const sign = end === undefined ? str("...") : toStr(end)
  const slack = leeway === null ? 5 : integer("truncate", leeway, 5)
  if (most < sign.length) return fail(`expected length >= ${sign.length}, got ${most}`)
  if (lengthOf(value) <= BigInt(most + slack)) return value
  const text = value instanceof Str ? value : fail(`truncate needs a string, not ${typeName(value)}`)
  const cut = concat(text.characters.slice(0, most - sign.length))
  const space = cut.text.lastIndexOf(" ")
  return concat([truthy(killWords) || space === -1 ? cut : cut.cut(0, space), sign])
}

/** A whole number rounded to tens, hundreds …, halves to the even one, as Python rounds. */
const roundWhole = (number: bigint, digits: number): bigint => {
  if (digits >= 0) return number
  if (-digits > String(number).length) return 0n
  const unit = 10n ** BigInt(-digits)
  const rest = (number % unit + unit) % unit
  const below = number - rest
  return 2n * rest > unit || (2n * rest === unit && below / unit % 2n !== 0n) ? below + unit : below
}

const round: Filter = (value, args) => {
  const [precision, method] = bind("round", args, ["precision", "method"])
  const number = numberOf(value) ?? fail(`type ${typeName(value)} cannot be rounded`)
  const digits = integer("round", precision, 0)
  const how = method === undefined ? "common" : toStr(method).text
  if (how === "common") return typeof number === "bigint" ? roundWhole(number, digits) : roundTo(number, digits)
  const scaled = Number(number) * 10 ** digits
  if (how !== "ceil" && how !== "floor") return fail("method must be common, ceil or floor")
  return (how === "ceil" ? Math.ceil(scaled) : Math.floor(scaled)) / 10 ** digits
}

const toInteger: Filter = (value, args) => {
  const [fallback = 0n, base] = bind("int", args, ["default", "base"])
  const number = value instanceof Str ? parseIntText(value.text, integer("int", base, 10)) : numberOf(defined(value))
  if (typeof number === "bigint") return number
  const float = number ?? (value instanceof Str ? parseFloatText(value.text) : undefined)
  return float === undefined || !Number.isFinite(float) ? fallback : BigInt(Math.trunc(float))
}

const toFloat: Filter = (value, args) => {
  const [fallback = 0] = bind("float", args, ["default"])
  const number = value instanceof Str ? parseFloatText(value.text) : numberOf(defined(value))
  return number === undefined ? fallback : Number(number)
}

const defaulted: Filter = (value, args) => {
  const [fallback = str(""), boolean = false] = bind("default", args, ["default_value", "boolean"])
  return value instanceof Undefined || (truthy(boolean) && !truthy(value)) ? fallback : value
}

const without = ({ named, positional }: CallArguments, count: number): CallArguments => ({
  named,
  positional: positional.slice(count)
})

const map: Filter = (value, args) => {
  const { named, positional } = args
  const attribute = named.get("attribute")
  if (positional.length === 0 && attribute !== undefined) {
    const [, fallback] = bind("map", args, ["attribute", "default"])
    const of = attributeOf(attribute, fallback)
    return new Generator(lazily(value, of))
  }
  const [name] = positional
  if (name === undefined) return fail("map requires a filter argument")
  const rest = without(args, 1)
  return new Generator(lazily(value, (item) => applyFilter(toStr(name).text, item, rest)))
}

const lazily = function*(value: Value, of: (item: Value) => Value): Iterable<Value> {
  if (truthy(value)) { for (const item of iterate(value)) yield of(item) }
}

/** `a.b.0` of an item; `fallback` for what does not exist on the way. */
const attributeOf = (path: Value, fallback?: Value | undefined): (of: Value) => Value => {
  const keys = path instanceof Str
    ? path.text.split(".").map((part) => /^\d+$/.test(part) ? BigInt(part) : str(part))
    : [path]
  return (of) =>
    keys.reduce<Value>((value, key) => {
      const found = item(value, key)
      return found instanceof Undefined && fallback !== undefined && fallback !== null ? fallback : found
    }, of)
}

const choosing = (name: string, wanted: boolean, byAttribute: boolean): readonly [string, Filter] => [
  name,
  (value, args) => {
    const { positional } = args
    if (byAttribute && positional.length === 0) return fail("Missing parameter for attribute name")
    const of = byAttribute ? attributeOf(positional[0] ?? null) : (item: Value) => item
    const skipped = byAttribute ? 1 : 0
    const test = testOf(positional[skipped], without(args, skipped + 1))
    const chosen = function*(): Iterable<Value> {
      if (truthy(value)) { for (const item of iterate(value)) if (test(of(item)) === wanted) yield item }
    }
    return new Generator(chosen())
  }
]

const filters: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  alone("abs", (value) => {
    const number = numberOf(value) ?? fail(`bad operand type for abs(): '${typeName(value)}'`)
    return number < 0 ? -number : number
  }),
  alone("capitalize", (value) => capitalize(toStr(value))),
  ["center", (value, args) => {
    const width = integer("center", bind("center", args, ["width"])[0], 80)
    return padded(toStr(value), width, str(" "), centered(width))
  }],
  alone("count", lengthOf),
  alone("length", lengthOf),
  ["d", defaulted],
  ["default", defaulted],
  ["float", toFloat],
  ["format", (value, { named, positional }) => {
    if (named.size > 0 && positional.length > 0) fail("can't handle positional and keyword arguments at the same time")
    return formatPercent(
      toStr(value),
      named.size > 0 ? new Dict(Array.from(named, ([name, one]) => [str(name), one])) : new List(positional, true)
    )
  }],
  ["indent", indent],
  ["int", toInteger],
  alone("lower", (value) => toStr(value).map((text) => text.toLowerCase())),
  ["map", map],
  ["replace", (value, args) => {
    const [old = null, by = null, count] = bind("replace", args, ["old", "new", "count"], 2)
    return replace(toStr(value), toStr(old), toStr(by), count === null ? -1 : integer("replace", count, -1))
  }],
  ["round", round],
  alone("string", toStr),
  alone("title", (value) => title(toStr(value))),
  ["tojson", toJson],
  ["trim", (value, args) => strip(toStr(value), bind("trim", args, ["chars"])[0])],
  ["truncate", truncate],
  alone("upper", (value) => toStr(value).map((text) => text.toUpperCase())),
  alone("wordcount", (value) => BigInt(toStr(value).text.match(/[\p{L}\p{N}_\p{M}]+/gu)?.length ?? 0)),
  choosing("select", true, false),
  choosing("reject", false, false),
  choosing("selectattr", true, true),
  choosing("rejectattr", false, true),
  ...listFilters(attributeOf)
])

/** What Jinja has and this has not. */
const others = new Set([
  "attr",
  "e",
  "escape",
  "filesizeformat",
  "forceescape",
  "groupby",
  "pprint",
  "random",
  "safe",
  "striptags",
  "urlencode",
  "urlize",
  "wordwrap",
  "xmlattr"
])

/**
 * Whether Jinja has a filter, supported or not.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isFilter = (name: string): boolean => filters.has(name) || others.has(name)

/**
 * `value | name(args)`.
 *
 * @category combinators
 * @since 0.2.0
 */
export const applyFilter = (name: string, value: Value, args: CallArguments): Value => {
  const filter = filters.get(name)
  if (filter !== undefined) return filter(value, args)
  return others.has(name) ? unsupported(`the filter '${name}'`) : fail(`there is no filter named '${name}'`)
}
