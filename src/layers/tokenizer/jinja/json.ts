/**
 * transformers' filter `tojson`: Python's `json.dumps`.
 *
 * @since 0.2.0
 */
import { bind } from "./arguments.ts"
import { compare } from "./comparing.ts"
import { fail } from "./JinjaError.ts"
import { floatText, toStr } from "./printing.ts"
import { concat, join, repeat, Str, str } from "./Str.ts"
import { type CallArguments, Dict, iterate, List, numberOf, truthy, typeName, type Value } from "./Values.ts"

interface Options {
  readonly ascii: boolean
  /** Text of one level of indentation, or `null` for one line. */
  readonly indent: Str | null
  readonly between: Str
  readonly colon: Str
  readonly sortKeys: boolean
}

const named: Readonly<Record<string, string>> = {
  "\"": "\\\"",
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\f": "\\f",
  "\b": "\\b"
}

const quoted = (value: Str, ascii: boolean): Str =>
  concat([
    str("\""),
    value.map((text) =>
      text.replaceAll(ascii ? /["\\]|[^ -~]/g : /["\\]|[^ -\uffff]/g, (sign) =>
        named[sign] ?? `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`)
    ),
    str("\"")
  ])

const float = (value: number): string =>
  Number.isNaN(value) ? "NaN" : value === Infinity ? "Infinity" : value === -Infinity ? "-Infinity" : floatText(value)

const scalar = (value: Value): string | undefined => {
  if (value === null) return "null"
  if (typeof value === "boolean") return String(value)
  return typeof value === "bigint" ? String(value) : typeof value === "number" ? float(value) : undefined
}

const keyOf = (key: Value): Str => {
  if (key instanceof Str) return key
  const text = scalar(key)
  return text === undefined
    ? fail(`keys must be str, int, float, bool or None, not ${typeName(key)}`)
    : str(text)
}

const dump = (value: Value, options: Options, depth: number): Str => {
  const simple = scalar(value)
  if (simple !== undefined) return str(simple)
  if (value instanceof Str) return quoted(value, options.ascii)
  const block = (open: string, parts: ReadonlyArray<Str>, close: string): Str => {
    if (parts.length === 0) return str(open + close)
    const { between, indent } = options
    if (indent === null) return concat([str(open), join(parts, between), str(close)])
    const line = (level: number) => concat([str("\n"), repeat(indent, level)])
    return concat([
      str(open),
      line(depth + 1),
      join(parts, concat([between, line(depth + 1)])),
      line(depth),
      str(close)
    ])
  }
  if (value instanceof List && value.view === null) {
    return block("[", value.items.map((item) => dump(item, options, depth + 1)), "]")
  }
  if (value instanceof Dict) {
    const entries = options.sortKeys ? value.entries.toSorted(([a], [b]) => compare(a, b)) : value.entries
    const parts = entries.map(([key, item]) =>
      concat([quoted(keyOf(key), options.ascii), options.colon, dump(item, options, depth + 1)])
    )
    return block("{", parts, "}")
  }
  return fail(`Object of type ${typeName(value)} is not JSON serializable`)
}

/**
 * `tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
 *
 * @category conversions
 * @since 0.2.0
 */
export const toJson = (value: Value, args: CallArguments): Str => {
  const [ascii = false, indent = null, separators = null, sortKeys = false] = bind("tojson()", args, [
    "ensure_ascii",
    "indent",
    "separators",
    "sort_keys"
  ])
  const width = numberOf(indent)
  const [between, colon] = separators === null
    ? [str(indent === null ? ", " : ","), str(": ")]
    : Array.from(iterate(separators), toStr)
  return dump(value, {
    ascii: truthy(ascii),
    indent: indent === null ? null : width === undefined ? toStr(indent) : repeat(str(" "), Number(width)),
    between: between ?? fail("separators needs two strings"),
    colon: colon ?? fail("separators needs two strings"),
    sortKeys: truthy(sortKeys)
  }, 0)
}
