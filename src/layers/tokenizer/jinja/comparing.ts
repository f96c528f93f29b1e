/**
 * How values of templates compare, as those of Python do.
 *
 * @since 0.2.0
 */
import { fail } from "./JinjaError.ts"
import { Str } from "./Str.ts"
import { defined, Dict, itemsOf, List, numberOf, Range, typeName, Undefined, type Value } from "./Values.ts"

/**
 * @category predicates
 * @since 0.2.0
 */
export const equal = (a: Value, b: Value): boolean => {
  const [left, right] = [numberOf(a), numberOf(b)]
  if (left !== undefined && right !== undefined) return left == right
  if (a instanceof Str && b instanceof Str) return a.text === b.text
  if (a instanceof List && b instanceof List) {
    return typeName(a) === typeName(b) && a.items.length === b.items.length &&
      a.items.every((item, index) => equal(item, b.items[index] ?? null))
  }
  if (a instanceof Range && b instanceof Range) return equal(new List(a.items), new List(b.items))
  if (a instanceof Dict && b instanceof Dict) {
    return a.entries.length === b.entries.length && a.entries.every(([key, value]) => {
      const other = b.get(key)
      return other !== undefined && equal(value, other)
    })
  }
  return a instanceof Undefined ? b instanceof Undefined : a === b
}

const compareTexts = (a: string, b: string): number => {
  const [left, right] = [Array.from(a), Array.from(b)]
  for (let i = 0; i < left.length && i < right.length; i++) {
    const difference = (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? 0)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

/**
 * Below 0 where `a` comes first, above where `b` does; what has no order fails. `sign` is for the message.
 *
 * @category combinators
 * @since 0.2.0
 */
export const compare = (a: Value, b: Value, sign = "<"): number => {
  defined(a)
  defined(b)
  const [left, right] = [numberOf(a), numberOf(b)]
  if (left !== undefined && right !== undefined) return left < right ? -1 : left > right ? 1 : 0
  if (a instanceof Str && b instanceof Str) return compareTexts(a.text, b.text)
  if (a instanceof List && b instanceof List && a.view === null && typeName(a) === typeName(b)) {
    const at = a.items.findIndex((item, index) => index >= b.items.length || !equal(item, b.items[index] ?? null))
    const [x, y] = [a.items[at], b.items[at]]
    return x === undefined || y === undefined ? a.items.length - b.items.length : compare(x, y, sign)
  }
  return fail(`'${sign}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`)
}

/**
 * `item in container`.
 *
 * @category predicates
 * @since 0.2.0
 */
export const contains = (container: Value, item: Value): boolean => {
  if (container instanceof Str) {
    return item instanceof Str
      ? container.text.includes(item.text)
      : fail(`'in <string>' requires string as left operand, not ${typeName(item)}`)
  }
  if (container instanceof Dict) return container.get(item) !== undefined
  const items = itemsOf(container) ?? fail(`argument of type '${typeName(container)}' is not iterable`)
  for (const one of items) if (equal(one, item)) return true
  return false
}
