/**
 * Numbers in text as Python reads them.
 *
 * @since 0.2.0
 */
import { strip } from "../../../domain/PythonString.ts"

const digitsOf: Readonly<Record<number, RegExp>> = {
  2: /^(?:0b_?)?[01]+(?:_[01]+)*$/i,
  8: /^(?:0o_?)?[0-7]+(?:_[0-7]+)*$/i,
  10: /^\d+(?:_\d+)*$/,
  16: /^(?:0x_?)?[\da-f]+(?:_[\da-f]+)*$/i
}

const prefixes: Readonly<Record<number, string>> = { 2: "0b", 8: "0o", 10: "", 16: "0x" }

/**
 * `int(text, base)`, or `undefined` where that fails.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parseIntText = (text: string, base: number): bigint | undefined => {
  const [, sign = "", digits = ""] = /^([+-]?)([^]*)$/.exec(strip(text)) ?? []
  if (digitsOf[base]?.test(digits) !== true) return undefined
  const bare = digits.replaceAll("_", "").replace(/^0[box]/i, "")
  const size = BigInt(`${prefixes[base] ?? ""}${bare}`)
  return sign === "-" ? -size : size
}

/**
 * `float(text)`, or `undefined` where that fails.
 *
 * @category parsing
 * @since 0.2.0
 */
export const parseFloatText = (text: string): number | undefined => {
  const trimmed = strip(text).replaceAll(/(?<=\d)_(?=\d)/g, "")
  const [, sign = "", word] = /^([+-]?)(inf|infinity|nan)$/i.exec(trimmed) ?? []
  if (word !== undefined) return /nan/i.test(word) ? Number.NaN : sign === "-" ? -Infinity : Infinity
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(trimmed) ? Number(trimmed) : undefined
}

/**
 * A number with so many digits behind the point, to the nearest, of two to the even one: Python's `'%.2f'`.
 *
 * @category conversions
 * @since 0.2.0
 */
export const fixedText = (value: number, digits: number): string => {
  // every digit that the number has; a tie is a five and nothing behind it
  const exact = value.toFixed(Math.min(100, digits + 60))
  const point = exact.indexOf(".")
  const kept = exact.slice(0, digits === 0 ? point : point + 1 + digits)
  const isTie = /^\.?50*$/.test(exact.slice(kept.length))
  return isTie && Number(kept.at(-1)) % 2 === 0 ? kept : value.toFixed(digits)
}

/**
 * `round(value, digits)`: to the nearest, of two to the even one.
 *
 * @category combinators
 * @since 0.2.0
 */
export const roundTo = (value: number, digits: number): number => {
  if (!Number.isFinite(value) || value === 0 || digits > 22) return value
  const scale = 10 ** digits
  if (digits <= 0) {
    const scaled = value * scale
    const floor = Math.floor(scaled)
    const rest = scaled - floor
    const nearest = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor
    return nearest === 0 && value < 0 ? -0 : nearest / scale
  }
  return Number(fixedText(value, digits))
}
