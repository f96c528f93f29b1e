/**
 * Jinja's filters of lists.
 *
 * @since 0.2.0
 */
import { bind, integer } from "./arguments.ts"
import { compare } from "./comparing.ts"
import { fail } from "./JinjaError.ts"
import { arithmetic } from "./operators.ts"
import { toStr } from "./printing.ts"
import { concat, join, Str, str } from "./Str.ts"
import {
  type CallArguments,
  Dict,
  Generator,
  hashOf,
  iterate,
  List,
  Range,
  truthy,
  typeName,
  Undefined,
  type Value
} from "./Values.ts"

type Filter = (value: Value, args: CallArguments) => Value

type AttributeOf = (path: Value, fallback?: Value | undefined) => (of: Value) => Value

const ignoreCase = (value: Value): Value => value instanceof Str ? value.map((text) => text.toLowerCase()) : value

const sorted = (items: ReadonlyArray<Value>, key: (item: Value) => Value, reverse: boolean): ReadonlyArray<Value> =>
  items.map((item) => [key(item), item] as const)
    .sort(([a], [b]) => reverse ? compare(b, a) : compare(a, b))
    .map(([, item]) => item)

const reversible = (value: Value): ReadonlyArray<Value> | undefined =>
  value instanceof Str || value instanceof List || value instanceof Dict || value instanceof Range
    ? [...iterate(value)]
    : undefined

/**
 * The filters by their names. `attributeOf` finds what a path such as `a.b` names.
 *
 * @category constructors
 * @since 0.2.0
 */
export const listFilters = (attributeOf: AttributeOf): ReadonlyArray<readonly [string, Filter]> => {
  /** What items are sorted and compared by. */
  const keyOf = (attribute: Value | undefined, caseSensitive: Value | undefined) => {
    const of = attribute === undefined || attribute === null ? (item: Value) => item : attributeOf(attribute)
    return truthy(caseSensitive ?? false) ? of : (item: Value) => ignoreCase(of(item))
  }

  /** Lists of what stands between commas: of equal parts no order is asked. */
  const sortKey = (attribute: Value | undefined, caseSensitive: Value | undefined) => {
    const paths = attribute instanceof Str ? attribute.text.split(",").map(str) : [attribute]
    const keys = paths.map((path) => keyOf(path, caseSensitive))
    return (item: Value) => new List(keys.map((key) => key(item)))
  }

  const extreme = (name: string, sign: number): readonly [string, Filter] => [name, (value, args) => {
    const [caseSensitive, attribute] = bind(name, args, ["case_sensitive", "attribute"])
    const key = keyOf(attribute, caseSensitive)
    const [first, ...rest] = iterate(value)
    if (first === undefined) return new Undefined("No aggregated item, sequence was empty.")
    return rest.reduce((best, item) => sign * compare(key(item), key(best)) < 0 ? item : best, first)
  }]

  return [
    ["batch", (value, args) => {
      const [count, fill = null] = bind("batch", args, ["linecount", "fill_with"], 1)
      const size = integer("batch", count, 1)
      const items = [...iterate(value)]
      const rows: Array<Value> = []
      for (let start = 0; start < items.length; start += size) {
        const row = items.slice(start, start + size)
        const missing = fill === null ? 0 : size - row.length
        rows.push(new List([...row, ...Array.from({ length: missing }, () => fill)]))
      }
      return new Generator(rows)
    }],
    ["dictsort", (value, args) => {
      const [caseSensitive, by, reverse = false] = bind("dictsort", args, ["case_sensitive", "by", "reverse"])
      const position = by === undefined ? "key" : toStr(by).text
      if (position !== "key" && position !== "value") return fail("You can only sort by either \"key\" or \"value\"")
      const dict = value instanceof Dict ? value : fail(`dictsort needs a dict, not ${typeName(value)}`)
      const pairs = dict.entries.map((pair) => new List(pair, true))
      const part = (pair: Value) => pair instanceof List ? pair.items[position === "key" ? 0 : 1] ?? null : null
      const key = (pair: Value) => truthy(caseSensitive ?? false) ? part(pair) : ignoreCase(part(pair))
      return new List(sorted(pairs, key, truthy(reverse)))
    }],
    ["first", (value, args) => {
      bind("first", args, [])
      const [first] = iterate(value)
      return first ?? (first === null ? null : new Undefined("No first item, sequence was empty."))
    }],
    ["items", (value, args) => {
      bind("items", args, [])
      if (value instanceof Undefined) return new Generator([])
      return value instanceof Dict
        ? new Generator(value.entries.map((pair) => new List(pair, true)))
        : fail("Can only get item pairs from a mapping.")
    }],
    ["join", (value, args) => {
      const [separator, attribute] = bind("join", args, ["d", "attribute"])
      const of = attribute === undefined || attribute === null ? (item: Value) => item : attributeOf(attribute)
      return join(
        Array.from(iterate(value), (item) => toStr(of(item))),
        separator === undefined ? str("") : toStr(separator)
      )
    }],
    ["last", (value, args) => {
      bind("last", args, [])
      if (value instanceof Undefined) return new Undefined("No last item, sequence was empty.")
      const items = reversible(value) ?? fail(`'${typeName(value)}' object is not reversible`)
      return items.length === 0 ? new Undefined("No last item, sequence was empty.") : items.at(-1) ?? null
    }],
    ["list", (value, args) => {
      bind("list", args, [])
      return new List([...iterate(value)])
    }],
    extreme("max", -1),
    extreme("min", 1),
    ["reverse", (value, args) => {
      bind("reverse", args, [])
      if (value instanceof Str) return concat(value.characters.toReversed())
      const items = reversible(value)
      return items === undefined
        ? new List([...iterate(value)].toReversed())
        : new Generator(items.toReversed(), "list_reverseiterator")
    }],
    ["slice", (value, args) => {
      const [slices, fill = null] = bind("slice", args, ["slices", "fill_with"], 1)
      const count = integer("slice", slices, 1)
      const items = [...iterate(value)]
      const size = Math.floor(items.length / count)
      const larger = items.length % count
      let start = 0
      const columns = Array.from({ length: count }, (_, index) => {
        const end = start + size + (index < larger ? 1 : 0)
        const column = items.slice(start, end)
        start = end
        return new List(fill !== null && index >= larger ? [...column, fill] : column)
      })
      return new Generator(columns)
    }],
    ["sort", (value, args) => {
      const [reverse = false, caseSensitive, attribute] = bind("sort", args, ["reverse", "case_sensitive", "attribute"])
      return new List(sorted([...iterate(value)], sortKey(attribute, caseSensitive), truthy(reverse)))
    }],
    ["sum", (value, args) => {
      const [attribute, start = 0n] = bind("sum", args, ["attribute", "start"])
      const of = attribute === undefined || attribute === null ? (item: Value) => item : attributeOf(attribute)
      let sum: Value = start
      for (const item of iterate(value)) sum = arithmetic("+", sum, of(item))
      return sum
    }],
    ["unique", (value, args) => {
      const [caseSensitive, attribute] = bind("unique", args, ["case_sensitive", "attribute"])
      const key = keyOf(attribute, caseSensitive)
      const seen = new Set<string>()
      const chosen = function*(): Iterable<Value> {
        for (const item of iterate(value)) {
          const hash = hashOf(key(item))
          if (!seen.has(hash)) yield item
          seen.add(hash)
        }
      }
      return new Generator(chosen())
    }]
  ]
}
