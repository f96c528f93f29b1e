/**
 * Values of templates as text, as Python prints them.
 *
 * @since 0.2.0
 */
import { fail } from "./JinjaError.ts"
import { concat, join, Str, str } from "./Str.ts"
import { Dict, List, Namespace, Range, typeName, Undefined, type Value } from "./Values.ts"

/**
 * A float as Python prints it.
 *
 * @category conversions
 * @since 0.2.0
 */
export const floatText = (value: number): string => {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf"
  const [mantissa = "", exponent = "0"] = value.toExponential().split("e")
  const power = Number(exponent)
  if (power < -4 || power >= 16) {
    return `${mantissa}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`
  }
  const text = Object.is(value, -0) ? "-0" : String(value)
  const plain = text.includes("e") ? value.toFixed(Math.max(0, mantissa.replace(/\D/g, "").length - 1 - power)) : text
  return plain.includes(".") ? plain : `${plain}.0`
}

const unprintable = /[\p{C}\p{Z}]/u

const escaped = (text: string, quote: string): string =>
  Array.from(text, (character) => {
    if (character === quote || character === "\\") return `\\${character}`
    if (character === " " || !unprintable.test(character)) return character
    const named = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[character]
    if (named !== undefined) return named
    const point = character.codePointAt(0) ?? 0
    const [letter, width] = point <= 0xff ? ["x", 2] : point <= 0xffff ? ["u", 4] : ["U", 8]
    return `\\${letter}${point.toString(16).padStart(Number(width), "0")}`
  }).join("")

const between = (open: string, parts: ReadonlyArray<Str>, close: string): Str =>
  concat([str(open), join(parts, str(", ")), str(close)])

const pairs = (entries: Iterable<readonly [Value, Value]>): ReadonlyArray<Str> =>
  Array.from(entries, ([key, value]) => concat([repr(key), str(": "), repr(value)]))

/**
 * `repr(value)`. What would show an address in memory fails.
 *
 * @category conversions
 * @since 0.2.0
 */
export const repr = (value: Value): Str => {
  if (value instanceof Str) {
    const quote = value.text.includes("'") && !value.text.includes("\"") ? "\"" : "'"
    return concat([str(quote), value.map((text) => escaped(text, quote)), str(quote)])
  }
  if (value === null) return str("None")
  if (typeof value === "boolean") return str(value ? "True" : "False")
  if (typeof value === "number") return str(floatText(value))
  if (typeof value === "bigint") return str(String(value))
  if (value instanceof List) {
    const parts = value.items.map(repr)
    if (value.view !== null) return between(`${value.view}([`, parts, "])")
    return value.isTuple ? between("(", parts, parts.length === 1 ? ",)" : ")") : between("[", parts, "]")
  }
  if (value instanceof Dict) return between("{", pairs(value.entries), "}")
  if (value instanceof Namespace) {
    return concat([
      str("<Namespace "),
      between("{", pairs(Array.from(value.attributes, ([name, one]) => [str(name), one])), "}>")
    ])
  }
  if (value instanceof Range) {
    return str(`range(${value.start}, ${value.stop}${value.step === 1n ? "" : `, ${value.step}`})`)
  }
  if (value instanceof Undefined) return str("Undefined")
  return fail(`a ${typeName(value)} cannot be printed`)
}

/**
 * `str(value)`: what a template prints.
 *
 * @category conversions
 * @since 0.2.0
 */
export const toStr = (value: Value): Str =>
  value instanceof Str ? value : value instanceof Undefined ? str("") : repr(value)
