/**
 * Attributes and items of values, as Jinja's sandbox finds them.
 *
 * @since 0.2.0
 */
import { bind, integer } from "./arguments.ts"
import { equal } from "./comparing.ts"
import { formatBraces } from "./formatting.ts"
import { fail, unsupported } from "./JinjaError.ts"
import { concat, Str, str } from "./Str.ts"
import { stringMethods, unknownStringMethods } from "./stringMethods.ts"
import {
  Callable,
  type CallArguments,
  Dict,
  List,
  Namespace,
  numberOf,
  Range,
  Special,
  typeName,
  Undefined,
  type Value
} from "./Values.ts"

const missing = (of: Value, name: string): Undefined =>
  new Undefined(`'${of === null ? "None" : `${typeName(of)} object`}' has no attribute '${name}'`)

const unsafe = (of: Value, name: string): Undefined =>
  new Undefined(`access to attribute '${name}' of '${typeName(of)}' object is unsafe.`)

const method = (name: string, call: (args: CallArguments) => Value): Callable => new Callable(name, call)

const changing: Readonly<Record<string, ReadonlyArray<string>>> = {
  list: ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"],
  dict: ["clear", "pop", "popitem", "setdefault", "update"]
}

/** Attributes of numbers, which no chat template is known to use. */
const ofNumbers = new Set(["real", "imag", "numerator", "denominator", "conjugate", "bit_length", "is_integer"])

const listMethod = (list: List, name: string): Value | undefined => {
  if (list.view !== null) return undefined
  switch (name) {
    case "count":
      return method(name, (args) => {
        const [value = null] = bind("count()", args, ["value"], 1)
        return BigInt(list.items.filter((item) => equal(item, value)).length)
      })
    case "index":
      return method(name, (args) => {
        const [value = null] = bind("index()", args, ["value"], 1)
        const at = list.items.findIndex((item) => equal(item, value))
        return at === -1 ? fail("the value is not in the list") : BigInt(at)
      })
    case "copy":
      return list.isTuple ? undefined : method(name, () => new List(list.items))
    default:
      return undefined
  }
}

const dictMethod = (dict: Dict, name: string): Value | undefined => {
  switch (name) {
    case "get":
      return method(name, (args) => {
        const [key = null, fallback = null] = bind("get()", args, ["key", "default"], 1)
        return dict.get(key) ?? fallback
      })
    case "items":
      return method(name, () => new List(dict.entries.map((pair) => new List(pair, true)), false, "dict_items"))
    case "keys":
      return method(name, () => new List(dict.entries.map(([key]) => key), false, "dict_keys"))
    case "values":
      return method(name, () => new List(dict.entries.map(([, value]) => value), false, "dict_values"))
    case "copy":
      return method(name, () => new Dict(dict.entries))
    case "fromkeys":
      return unsupported("dict.fromkeys")
    default:
      return undefined
  }
}

/** What Python's `getattr` finds. */
const own = (of: Value, name: string): Value | undefined => {
  if (of instanceof Str) {
    if (name === "format") return method(name, (args) => formatBraces(of, args, item))
    const found = stringMethods.get(name)
    if (found !== undefined) return method(name, (args) => found(of, args))
    return unknownStringMethods.has(name) ? unsupported(`str.${name}`) : undefined
  }
  if (of instanceof Namespace) return of.attributes.get(name)
  if (of instanceof Special) return of.attribute(name)
  if (of instanceof Callable) return name === "name" ? str(of.name) : undefined
  if (numberOf(of) !== undefined && ofNumbers.has(name)) return unsupported(`the attribute ${name} of numbers`)
  if (of instanceof List && typeName(of) === "list" && changing["list"]?.includes(name) === true) {
    return unsafe(of, name)
  }
  if (of instanceof Dict && changing["dict"]?.includes(name) === true) return unsafe(of, name)
  return of instanceof List ? listMethod(of, name) : of instanceof Dict ? dictMethod(of, name) : undefined
}

const at = <A>(items: ReadonlyArray<A>, key: Value): A | undefined => {
  const index = numberOf(key)
  return typeof index === "bigint" ? items.at(Number(index)) : undefined
}

/** What Python's `of[key]` finds. */
const subscript = (of: Value, key: Value): Value | undefined => {
  if (of instanceof Dict) return of.get(key)
  if (of instanceof Range || (of instanceof List && of.view === null)) return at<Value>(of.items, key)
  return of instanceof Str ? at(of.characters, key) : undefined
}

/** `None` is a value. */
const firstOf = (value: Value | undefined, otherwise: () => Value): Value => value === undefined ? otherwise() : value

/**
 * `of.name`: an attribute, else an item.
 *
 * @category getters
 * @since 0.2.0
 */
export const attribute = (of: Value, name: string): Value => {
  if (of instanceof Undefined) return fail(of.hint)
  return firstOf(own(of, name), () => firstOf(subscript(of, str(name)), () => missing(of, name)))
}

/**
 * `of[key]`: an item, else an attribute.
 *
 * @category getters
 * @since 0.2.0
 */
export const item = (of: Value, key: Value): Value => {
  if (of instanceof Undefined) return fail(of.hint)
  return firstOf(subscript(of, key), () =>
    key instanceof Str
      ? firstOf(own(of, key.text), () => missing(of, key.text))
      : new Undefined(`'${of === null ? "None" : `${typeName(of)} object`}' has no such element`))
}

/** The indices of `[start:stop:step]` among so many items, as Python's `slice.indices`. */
const indices = (size: number, start: Value, stop: Value, step: Value) => {
  const by = step === null ? 1 : integer("slice indices", step, 1)
  if (by === 0) return fail("slice step cannot be zero")
  const lowest = by > 0 ? 0 : -1
  const highest = by > 0 ? size : size - 1
  const clamp = (value: Value, fallback: number) => {
    if (value === null) return fallback
    const index = integer("slice indices", value, 0)
    return Math.min(highest, Math.max(lowest, index < 0 ? index + size : index))
  }
  return { from: clamp(start, by > 0 ? lowest : highest), to: clamp(stop, by > 0 ? highest : lowest), by }
}

const sliced = <A>(items: ReadonlyArray<A>, start: Value, stop: Value, step: Value): ReadonlyArray<A> => {
  const { by, from, to } = indices(items.length, start, stop, step)
  const picked: Array<A> = []
  for (let index = from; by > 0 ? index < to : index > to; index += by) picked.push(...items.slice(index, index + 1))
  return picked
}

/**
 * `of[start:stop:step]`; `None` where a part is left out.
 *
 * @category getters
 * @since 0.2.0
 */
export const slice = (of: Value, start: Value, stop: Value, step: Value): Value => {
  if (of instanceof Undefined) return fail(of.hint)
  if (of instanceof Str) return concat(sliced(of.characters, start, stop, step))
  if (of instanceof List && of.view === null) return new List(sliced(of.items, start, stop, step), of.isTuple)
  if (of instanceof Range) {
    const { by, from, to } = indices(of.length, start, stop, step)
    const item = (index: number) => of.start + BigInt(index) * of.step
    return new Range(item(from), item(to), of.step * BigInt(by))
  }
  if (of instanceof Dict) return fail("unhashable type: 'slice'")
  return fail(`'${typeName(of)}' object is not subscriptable`)
}
