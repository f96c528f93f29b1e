/**
 * Arithmetic and comparison of templates, with Python's meaning.
 *
 * @since 0.2.0
 */
import type * as Ast from "./Ast.ts"
import { compare, contains, equal } from "./comparing.ts"
import { formatPercent } from "./formatting.ts"
import { fail, unsupported } from "./JinjaError.ts"
import { concat, repeat, Str } from "./Str.ts"
import { defined, List, numberOf, typeName, type Value } from "./Values.ts"

const floorDivide = (a: bigint, b: bigint): bigint => {
  const quotient = a / b
  return a % b !== 0n && (a < 0n) !== (b < 0n) ? quotient - 1n : quotient
}

const modulo = (a: number, b: number): number => {
  const rest = a % b
  if (rest === 0) return b < 0 ? -0 : 0
  return (rest < 0) !== (b < 0) ? rest + b : rest
}

const ofIntegers = (operator: Ast.Arithmetic, a: bigint, b: bigint): Value => {
  switch (operator) {
    case "+":
      return a + b
    case "-":
      return a - b
    case "*":
      return a * b
    case "/":
      return b === 0n ? fail("division by zero") : Number(a) / Number(b)
    case "//":
      return b === 0n ? fail("integer division or modulo by zero") : floorDivide(a, b)
    case "%":
      return b === 0n ? fail("integer division or modulo by zero") : a - b * floorDivide(a, b)
    case "**":
      return b < 0n ? ofFloats(operator, Number(a), Number(b)) : a ** b
  }
}

const ofFloats = (operator: Ast.Arithmetic, a: number, b: number): Value => {
  switch (operator) {
    case "+":
      return a + b
    case "-":
      return a - b
    case "*":
      return a * b
    case "/":
      return b === 0 ? fail("float division by zero") : a / b
    case "//":
      return b === 0 ? fail("float floor division by zero") : Math.floor(a / b)
    case "%":
      return b === 0 ? fail("float modulo") : modulo(a, b)
    case "**":
      if (a === 0 && b < 0) return fail("0.0 cannot be raised to a negative power")
      return a < 0 && !Number.isInteger(b) ? unsupported("a complex number") : a ** b
  }
}

const repeated = (value: Str | List, times: bigint): Value => {
  const count = Math.max(0, Number(times))
  if (value instanceof Str) return repeat(value, count)
  return new List(Array.from({ length: count }, () => value.items).flat(), value.isTuple)
}

const isRepeatable = (value: Value): value is Str | List =>
  value instanceof Str || (value instanceof List && value.view === null)

/**
 * `left operator right`.
 *
 * @category combinators
 * @since 0.2.0
 */
export const arithmetic = (operator: Ast.Arithmetic, left: Value, right: Value): Value => {
  defined(left)
  if (operator === "%" && left instanceof Str) return formatPercent(left, right)
  defined(right)
  const [a, b] = [numberOf(left), numberOf(right)]
  if (a !== undefined && b !== undefined) {
    return typeof a === "bigint" && typeof b === "bigint"
      ? ofIntegers(operator, a, b)
      : ofFloats(operator, Number(a), Number(b))
  }
  if (operator === "+") {
    if (left instanceof Str && right instanceof Str) return concat([left, right])
    if (left instanceof List && right instanceof List && typeName(left) === typeName(right) && left.view === null) {
      return new List([...left.items, ...right.items], left.isTuple)
    }
    if (left instanceof Str) return fail(`can only concatenate str (not "${typeName(right)}") to str`)
  }
  if (operator === "*") {
    if (isRepeatable(left) && typeof b === "bigint") return repeated(left, b)
    if (isRepeatable(right) && typeof a === "bigint") return repeated(right, a)
  }
  return fail(`unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`)
}

/**
 * `-value` and `+value`.
 *
 * @category combinators
 * @since 0.2.0
 */
export const signed = (sign: "+" | "-", value: Value): Value => {
  const number = numberOf(defined(value)) ?? fail(`bad operand type for unary ${sign}: '${typeName(value)}'`)
  return sign === "-" ? -number : number
}

/**
 * `left operator right`, as a truth value.
 *
 * @category predicates
 * @since 0.2.0
 */
export const compares = (operator: Ast.Comparison, left: Value, right: Value): boolean => {
  switch (operator) {
    case "==":
      return equal(left, right)
    case "!=":
      return !equal(left, right)
    case "in":
      return contains(right, left)
    case "not in":
      return !contains(right, left)
    case "<":
      return compare(left, right, operator) < 0
    case "<=":
      return compare(left, right, operator) <= 0
    case ">":
      return compare(left, right, operator) > 0
    case ">=":
      return compare(left, right, operator) >= 0
  }
}
