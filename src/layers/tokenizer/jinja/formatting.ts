/**
 * Python's two ways to put values into a string: `"%s" % value` and `"{}".format(value)`.
 *
 * @since 0.2.0
 */
import { fail, unsupported } from "./JinjaError.ts"
import { fixedText } from "./numbers.ts"
import { repr, toStr } from "./printing.ts"
import { concat, repeat, Str, str } from "./Str.ts"
import { type CallArguments, Dict, List, numberOf, Range, typeName, Undefined, type Value } from "./Values.ts"

const fill = (text: Str, width: number, align: string, sign = " "): Str => {
  const missing = Math.max(0, width - text.length)
  const left = align === ">" ? missing : align === "^" ? Math.floor(missing / 2) : 0
  return concat([repeat(str(sign), left), text, repeat(str(sign), missing - left)])
}

/** Digits of a number without its sign, and the sign as the flags want it. */
const signed = (digits: string, negative: boolean, plus: string): readonly [sign: string, digits: string] => [
  negative ? "-" : plus,
  digits
]

const integerOf = (value: Value, conversion: string): bigint => {
  const number = numberOf(value)
  if (typeof number === "bigint") return number
  return typeof number === "number"
    ? BigInt(Math.trunc(number))
    : fail(`%${conversion} format: a number is required, not ${typeName(value)}`)
}

const floatOf = (value: Value): number => {
  const number = numberOf(value)
  return number === undefined ? fail(`must be real number, not ${typeName(value)}`) : Number(number)
}

const percent = /%(?:\(([^)]*)\))?([-+ 0#]*)(\d+|\*)?(?:\.(\d+|\*))?[hlL]?(.)?/gsu

const convert = (conversion: string, value: Value, flags: string, precision: number | undefined): Str => {
  const plus = flags.includes("+") ? "+" : flags.includes(" ") ? " " : ""
  const number = (digits: string, negative: boolean) => str(signed(digits, negative, plus).join(""))
  switch (conversion) {
    case "s":
    case "r": {
      const text = conversion === "s" ? toStr(value) : repr(value)
      return precision === undefined ? text : concat(text.characters.slice(0, precision))
    }
    case "d":
    case "i":
    case "u":
    case "x":
    case "X": {
      const integer = integerOf(value, conversion)
      const digits = (integer < 0n ? -integer : integer).toString(conversion.toLowerCase() === "x" ? 16 : 10)
      return number(conversion === "X" ? digits.toUpperCase() : digits, integer < 0n)
    }
    case "f":
    case "F": {
      const float = floatOf(value)
      return number(fixedText(Math.abs(float), precision ?? 6), float < 0)
    }
    case "c":
      return value instanceof Str ? value : str(String.fromCodePoint(Number(integerOf(value, "c"))))
    default:
      return unsupported(`the format %${conversion}`)
  }
}

/**
 * `format % value`.
 *
 * @category combinators
 * @since 0.2.0
 */
export const formatPercent = (format: Str, value: Value): Str => {
  const values = value instanceof List && value.isTuple ? value.items : [value]
  const parts: Array<Str> = []
  let from = 0
  let next = 0
  for (const match of format.text.matchAll(percent)) {
    const { 0: whole, 1: key, 2: flags = "", 3: width, 4: precision, 5: conversion, index } = match
    parts.push(format.cut(from, index))
    from = index + whole.length
    if (conversion === undefined) return fail("incomplete format")
    if (conversion === "%") {
      parts.push(str("%"))
      continue
    }
    if (width === "*" || precision === "*") return unsupported("a width of * in a format")
    const given = key === undefined
      ? next < values.length ? values[next++] ?? null : fail("not enough arguments for format string")
      : value instanceof Dict
      ? value.get(str(key)) ?? fail(`there is no "${key}" to format`)
      : fail("format requires a mapping")
    const text = convert(conversion, given, flags, precision === undefined ? undefined : Number(precision))
    const columns = Number(width ?? 0)
    const zeros = flags.includes("0") && !flags.includes("-") && !"src".includes(conversion)
    const sign = zeros && /^[-+ ]/.test(text.text) ? 1 : 0
    parts.push(
      zeros
        ? concat([text.cut(0, sign), fill(text.cut(sign), columns - sign, ">", "0")])
        : fill(text, columns, flags.includes("-") ? "<" : ">")
    )
  }
  // what has a subscript counts as a mapping, of which not everything need be used
  const isMapping = value instanceof Dict || value instanceof Range || value instanceof Undefined ||
    (value instanceof List && typeName(value) === "list")
  if (next < values.length && !isMapping) return fail("not all arguments converted during string formatting")
  return concat([...parts, format.cut(from)])
}

const specification = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?(,|_)?(?:\.(\d+))?([bcdeEfFgGnosxX%])?$/su

const grouped = (digits: string, separator: string): string => {
  const [whole = "", fraction] = digits.split(".")
  const parts = whole.replaceAll(/\B(?=(?:\d{3})+$)/g, separator)
  return fraction === undefined ? parts : `${parts}.${fraction}`
}

/** `format(value, spec)` of strings and numbers. */
const formatValue = (value: Value, spec: string): Str => {
  if (spec === "") return toStr(value)
  const match = specification.exec(spec) ?? fail(`Invalid format specifier '${spec}'`)
  const [, sign = " ", align, plusSign, alternate, zero, width, separator, precision, type] = match
  if (alternate !== undefined) return unsupported(`the format specifier '${spec}'`)
  const number = numberOf(value)
  const columns = Number(width ?? 0)
  if (number === undefined) {
    if (!(value instanceof Str)) return fail(`unsupported format string passed to ${typeName(value)}.__format__`)
    if (type !== undefined && type !== "s") return fail(`Unknown format code '${type}' for object of type 'str'`)
    const cut = precision === undefined ? value : concat(value.characters.slice(0, Number(precision)))
    return fill(cut, columns, align ?? "<", zero === undefined ? sign : "0")
  }
  const plus = plusSign === "+" ? "+" : plusSign === " " ? " " : ""
  const kind = type ?? (typeof number === "bigint" ? "d" : precision === undefined ? "r" : "g")
  const digits = (() => {
    const size = number < 0 ? -number : number
    switch (kind) {
      case "d":
      case "x":
      case "X":
      case "b":
      case "o": {
        if (typeof size !== "bigint") return fail(`Unknown format code '${kind}' for object of type 'float'`)
        const text = size.toString({ d: 10, x: 16, X: 16, b: 2, o: 8 }[kind])
        return kind === "X" ? text.toUpperCase() : text
      }
      case "f":
      case "F":
        return fixedText(Number(size), Number(precision ?? 6))
      case "%":
        return `${fixedText(Number(size) * 100, Number(precision ?? 6))}%`
      case "r":
        return repr(Number(size)).text
      default:
        return unsupported(`the format specifier '${spec}'`)
    }
  })()
  const [front, rest] = signed(separator === undefined ? digits : grouped(digits, separator), number < 0, plus)
  if (zero !== undefined || align === "=") {
    return concat([str(front), fill(str(rest), columns - front.length, ">", zero === undefined ? sign : "0")])
  }
  return fill(str(front + rest), columns, align ?? ">", sign)
}

const field = /^([^.[!:]*)((?:\.[^.[!:]+|\[[^\]]*\])*)(?:!([rsa]))?(?::([^]*))?$/

const braces = /\{\{|\}\}|\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}|[{}]/g

/**
 * `format.format(…)`. `item` finds what a field such as `{0[key]}` names.
 *
 * @category combinators
 * @since 0.2.0
 */
export const formatBraces = (
  format: Str,
  { named, positional }: CallArguments,
  item: (of: Value, key: Value) => Value
): Str => {
  const parts: Array<Str> = []
  let from = 0
  let next = 0
  // whether fields have numbers, once that is known
  let numbering: boolean | undefined
  for (const { 0: whole, 1: inner, index } of format.text.matchAll(braces)) {
    parts.push(format.cut(from, index))
    from = index + whole.length
    if (whole === "{{" || whole === "}}") parts.push(str(whole.slice(1)))
    else if (inner === undefined) return fail(`Single '${whole}' encountered in format string`)
    else {
      const [, name = "", path = "", conversion, spec = ""] = field.exec(inner) ??
        fail(`the field {${inner}} is not understood`)
      if (spec.includes("{") || conversion === "a") return unsupported(`the field {${inner}}`)
      const numbered = /^\d+$/.test(name)
      if (numbered || name === "") {
        if (numbering === !numbered) return fail("automatic and manual numbering of fields cannot be mixed")
        numbering = numbered
      }
      const found = name === "" ? positional[next++] : numbered ? positional[Number(name)] : named.get(name)
      let value: Value = found === undefined ? fail(`there is no argument for {${inner}}`) : found
      for (const [step] of path.matchAll(/\.[^.[]+|\[[^\]]*\]/g)) {
        const key = step.startsWith(".") ? step.slice(1) : step.slice(1, -1)
        value = item(value, /^\d+$/.test(key) && !step.startsWith(".") ? BigInt(key) : str(key))
      }
      parts.push(
        conversion === "r"
          ? formatValue(repr(value), spec)
          : conversion === "s"
          ? formatValue(toStr(value), spec)
          : formatValue(value, spec)
      )
    }
  }
  return concat([...parts, format.cut(from)])
}
