/**
 * The values of templates with Python's meaning: what is true, how long, what they hold.
 *
 * Integers are `bigint`, floats `number`.
 *
 * @since 0.2.0
 */
import { fail } from "./JinjaError.ts"
import { Str } from "./Str.ts"

/**
 * What a name or an attribute is that does not exist: printed as nothing, false, empty, and an error in any other use.
 *
 * @category models
 * @since 0.2.0
 */
export class Undefined {
  readonly hint: string

  constructor(hint: string) {
    this.hint = hint
  }
}

/**
 * A list, or a tuple where `isTuple`; `view` is how Python calls what `dict.items()` and its kin answer. Templates may change
 * none of them.
 *
 * @category models
 * @since 0.2.0
 */
export class List {
  readonly items: ReadonlyArray<Value>
  readonly isTuple: boolean
  readonly view: string | null

  constructor(items: ReadonlyArray<Value>, isTuple = false, view: string | null = null) {
    this.items = items
    this.isTuple = isTuple
    this.view = view
  }
}

/**
 * A dictionary, in the order of its keys.
 *
 * @category models
 * @since 0.2.0
 */
export class Dict {
  private readonly byKey = new Map<string, readonly [key: Value, value: Value]>()

  constructor(entries: Iterable<readonly [key: Value, value: Value]>) {
    for (const [key, value] of entries) {
      const hash = hashOf(key)
      this.byKey.set(hash, [this.byKey.get(hash)?.[0] ?? key, value])
    }
  }

  get(key: Value): Value | undefined {
    return this.byKey.get(hashOf(key))?.[1]
  }

  get entries(): ReadonlyArray<readonly [key: Value, value: Value]> {
    return [...this.byKey.values()]
  }
}

/**
 * `range(start, stop, step)`.
 *
 * @category models
 * @since 0.2.0
 */
export class Range {
  readonly start: bigint
  readonly stop: bigint
  readonly step: bigint
  readonly length: number

  constructor(start: bigint, stop: bigint, step: bigint) {
    if (step === 0n) fail("range() arg 3 must not be zero")
    this.start = start
    this.stop = stop
    this.step = step
    const [from, to, by] = step > 0n ? [start, stop, step] : [stop, start, -step]
    this.length = to > from ? Number((to - from - 1n) / by) + 1 : 0
    if (this.length > 100_000) fail("Range too big. The sandbox blocks ranges larger than 100000.")
  }

  get items(): ReadonlyArray<bigint> {
    return Array.from({ length: this.length }, (_, index) => this.start + BigInt(index) * this.step)
  }
}

/**
 * What a filter such as `map` makes: it can be gone through once and has no length.
 *
 * @category models
 * @since 0.2.0
 */
export class Generator {
  readonly iterator: Iterator<Value>
  /** How Python's `repr` calls it. */
  readonly kind: string

  constructor(items: Iterable<Value>, kind = "generator") {
    this.iterator = items[Symbol.iterator]()
    this.kind = kind
  }
}

/**
 * What `namespace()` makes: its attributes can be set.
 *
 * @category models
 * @since 0.2.0
 */
export class Namespace {
  readonly attributes = new Map<string, Value>()
}

/**
 * Arguments of a call.
 *
 * @category models
 * @since 0.2.0
 */
export interface CallArguments {
  readonly positional: ReadonlyArray<Value>
  readonly named: ReadonlyMap<string, Value>
}

/**
 * Macros, methods and what templates are given to call.
 *
 * @category models
 * @since 0.2.0
 */
export class Callable {
  readonly name: string
  readonly call: (args: CallArguments) => Value

  constructor(name: string, call: (args: CallArguments) => Value) {
    this.name = name
    this.call = call
  }
}

/**
 * An object whose attributes are computed: `loop`.
 *
 * @category models
 * @since 0.2.0
 */
export abstract class Special {
  abstract readonly kind: string
  abstract attribute(name: string): Value | undefined
  call(_args: CallArguments): Value {
    return fail(`'${this.kind}' object is not callable`)
  }
}

/**
 * @category models
 * @since 0.2.0
 */
export type Value =
  | Undefined
  | null
  | boolean
  | bigint
  | number
  | Str
  | List
  | Dict
  | Range
  | Generator
  | Namespace
  | Callable
  | Special

/**
 * The name of a value's type in Python's messages.
 *
 * @category getters
 * @since 0.2.0
 */
export const typeName = (value: Value): string => {
  if (value === null) return "NoneType"
  if (typeof value === "boolean") return "bool"
  if (typeof value === "bigint") return "int"
  if (typeof value === "number") return "float"
  if (value instanceof Str) return "str"
  if (value instanceof List) return value.view ?? (value.isTuple ? "tuple" : "list")
  if (value instanceof Dict) return "dict"
  if (value instanceof Range) return "range"
  if (value instanceof Generator) return value.kind
  if (value instanceof Namespace) return "Namespace"
  if (value instanceof Callable) return "function"
  return value instanceof Undefined ? "Undefined" : value.kind
}

/**
 * Fails where a value is used that does not exist.
 *
 * @category guards
 * @since 0.2.0
 */
export const defined = (value: Value): Exclude<Value, Undefined> =>
  value instanceof Undefined ? fail(value.hint) : value

/**
 * @category predicates
 * @since 0.2.0
 */
export const truthy = (value: Value): boolean => {
  if (value === null || value instanceof Undefined) return false
  if (typeof value === "object") return sizeOf(value) !== 0
  return Boolean(value)
}

/**
 * `len(value)`, or `undefined` for what has none.
 *
 * @category getters
 * @since 0.2.0
 */
export const sizeOf = (value: Value): number | undefined => {
  if (value instanceof Str || value instanceof Range) return value.length
  if (value instanceof List) return value.items.length
  if (value instanceof Dict) return value.entries.length
  if (value instanceof Undefined) return 0
  return value instanceof Special && value.kind === "LoopContext" ? Number(value.attribute("length")) : undefined
}

/**
 * @category getters
 * @since 0.2.0
 */
export const length = (value: Value): bigint =>
  BigInt(sizeOf(value) ?? fail(`object of type '${typeName(value)}' has no len()`))

const drain = function*(iterator: Iterator<Value>): Iterable<Value> {
  for (let step = iterator.next(); step.done !== true; step = iterator.next()) yield step.value
}

/**
 * The items of a value, or `undefined` for what has none.
 *
 * @category getters
 * @since 0.2.0
 */
export const itemsOf = (value: Value): Iterable<Value> | undefined => {
  if (value instanceof Str) return value.characters
  if (value instanceof List || value instanceof Range) return value.items
  if (value instanceof Dict) return value.entries.map(([key]) => key)
  if (value instanceof Generator) return drain(value.iterator)
  return value instanceof Undefined ? [] : undefined
}

/**
 * @category getters
 * @since 0.2.0
 */
export const iterate = (value: Value): Iterable<Value> =>
  itemsOf(value) ?? fail(`'${typeName(value)}' object is not iterable`)

/**
 * What equal keys of a dictionary have in common.
 *
 * @category getters
 * @since 0.2.0
 */
export const hashOf = (value: Value): string => {
  if (value instanceof Str) return `s${value.text}`
  const number = numberOf(value)
  if (number !== undefined) {
    return `n${typeof number === "number" && Number.isInteger(number) ? BigInt(number) : number}`
  }
  if (value === null) return "none"
  if (value instanceof List && value.isTuple) return `t${JSON.stringify(value.items.map(hashOf))}`
  if (value instanceof Undefined) return "undefined"
  return fail(`unhashable type: '${typeName(value)}'`)
}

/**
 * Numbers and, as integers, truth values.
 *
 * @category getters
 * @since 0.2.0
 */
export const numberOf = (value: Value): bigint | number | undefined =>
  typeof value === "bigint" || typeof value === "number"
    ? value
    : typeof value === "boolean"
    ? BigInt(value)
    : undefined
