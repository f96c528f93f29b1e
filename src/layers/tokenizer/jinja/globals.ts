/**
 * What every chat template may call: Jinja's functions and transformers'.
 *
 * @since 0.2.0
 */
import { bind, integer } from "./arguments.ts"
import { fail, unsupported } from "./JinjaError.ts"
import { toStr } from "./printing.ts"
import { Str, str } from "./Str.ts"
import { strftime } from "./strftime.ts"
import { Callable, Dict, iterate, Namespace, Range, type Value } from "./Values.ts"

const pairsOf = (value: Value | undefined): ReadonlyArray<readonly [Value, Value]> => {
  if (value === undefined) return []
  if (value instanceof Dict) return value.entries
  return Array.from(iterate(value), (pair) => {
    const [key, one, ...more] = iterate(pair)
    return key === undefined || one === undefined || more.length > 0
      ? fail("dictionary update sequence elements need two items each")
      : [key, one]
  })
}

const entriesOf = (what: string, positional: ReadonlyArray<Value>, named: ReadonlyMap<string, Value>) => {
  if (positional.length > 1) fail(`${what} expected at most 1 argument, got ${positional.length}`)
  return [
    ...pairsOf(positional[0]),
    ...Array.from(named, ([name, value]): readonly [Value, Value] => [str(name), value])
  ]
}

/**
 * Gives a namespace an attribute; transformers refuses names that begin with an underscore.
 *
 * @category combinators
 * @since 0.2.0
 */
export const setAttribute = (namespace: Namespace, name: string, value: Value): void => {
  if (name.startsWith("_")) {
    fail(`Chat templates cannot store underscore-prefixed attributes on a namespace, but got '${name}'.`)
  }
  namespace.attributes.set(name, value)
}

const functions: ReadonlyArray<Callable> = [
  new Callable("range", ({ named, positional }) => {
    if (named.size > 0 || positional.length === 0) return fail("range() takes 1 to 3 positional arguments")
    const [first, second, step] = positional.map((value) => BigInt(integer("range()", value, 0)))
    return second === undefined
      ? new Range(0n, first ?? 0n, 1n)
      : new Range(first ?? 0n, second, step ?? 1n)
  }),
  new Callable("dict", ({ named, positional }) => new Dict(entriesOf("dict", positional, named))),
  new Callable("namespace", ({ named, positional }) => {
    const namespace = new Namespace()
    for (const [key, value] of entriesOf("namespace", positional, named)) {
      setAttribute(namespace, toStr(key).text, value)
    }
    return namespace
  }),
  new Callable(
    "raise_exception",
    (args) => fail(toStr(bind("raise_exception()", args, ["message"], 1)[0] ?? null).text)
  ),
  new Callable("strftime_now", (args) => {
    const [format] = bind("strftime_now()", args, ["format"], 1)
    return format instanceof Str ? str(strftime(new Date(), format.text)) : fail("strftime_now needs a format")
  }),
  ...["cycler", "joiner", "lipsum"].map((name) => new Callable(name, () => unsupported(`${name}()`)))
]

/**
 * By their names.
 *
 * @category constants
 * @since 0.2.0
 */
export const globals: ReadonlyMap<string, Value> = new Map(functions.map((one) => [one.name, one]))
