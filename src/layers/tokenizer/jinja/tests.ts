/**
 * What stands behind `is`: Jinja's tests.
 *
 * @since 0.2.0
 */
import { bind, integer } from "./arguments.ts"
import type * as Ast from "./Ast.ts"
import { equal } from "./comparing.ts"
import { fail, unsupported } from "./JinjaError.ts"
import { arithmetic, compares } from "./operators.ts"
import { toStr } from "./printing.ts"
import { Str } from "./Str.ts"
import { stringMethods } from "./stringMethods.ts"
import {
  Callable,
  type CallArguments,
  Dict,
  itemsOf,
  List,
  Range,
  sizeOf,
  Special,
  truthy,
  Undefined,
  type Value
} from "./Values.ts"

type Test = (value: Value, args: CallArguments) => boolean

const alone = (name: string, test: (value: Value) => boolean): Test => (value, args) => {
  bind(name, args, [])
  return test(value)
}

const comparing = (operator: Ast.Comparison): Test => (value, args) => {
  const [other = null] = bind(operator, args, ["other"], 1)
  return compares(operator, value, other)
}

const modulo = (value: Value, by: bigint): Value => arithmetic("%", value, by)

const isSequence = (value: Value): boolean =>
  value instanceof Str || value instanceof Dict || value instanceof Range || value instanceof Undefined ||
  (value instanceof List && value.view === null)

const isSame = (a: Value, b: Value): boolean =>
  a instanceof Str && b instanceof Str ? a.text === b.text : typeof a === typeof b && a === b

const textIs = (method: string): Test =>
  alone(method, (value) => stringMethods.get(method)?.(toStr(value), { positional: [], named: new Map() }) === true)

const tests: ReadonlyMap<string, Test> = new Map<string, Test>([
  ["odd", alone("odd", (value) => equal(modulo(value, 2n), 1n))],
  ["even", alone("even", (value) => equal(modulo(value, 2n), 0n))],
  [
    "divisibleby",
    (value, args) =>
      equal(modulo(value, BigInt(integer("divisibleby", bind("divisibleby", args, ["num"], 1)[0], 0))), 0n)
  ],
  ["defined", alone("defined", (value) => !(value instanceof Undefined))],
  ["undefined", alone("undefined", (value) => value instanceof Undefined)],
  ["none", alone("none", (value) => value === null)],
  ["boolean", alone("boolean", (value) => typeof value === "boolean")],
  ["false", alone("false", (value) => value === false)],
  ["true", alone("true", (value) => value === true)],
  ["integer", alone("integer", (value) => typeof value === "bigint")],
  ["float", alone("float", (value) => typeof value === "number")],
  ["number", alone("number", (value) => ["bigint", "number", "boolean"].includes(typeof value))],
  ["string", alone("string", (value) => value instanceof Str)],
  ["mapping", alone("mapping", (value) => value instanceof Dict)],
  ["sequence", alone("sequence", isSequence)],
  ["iterable", alone("iterable", (value) => itemsOf(value) !== undefined || sizeOf(value) !== undefined)],
  [
    "callable",
    alone("callable", (value) => value instanceof Callable || value instanceof Undefined || value instanceof Special)
  ],
  ["lower", textIs("islower")],
  ["upper", textIs("isupper")],
  ["sameas", (value, args) => isSame(value, bind("sameas", args, ["other"], 1)[0] ?? null)],
  ["in", (value, args) => compares("in", value, bind("in", args, ["seq"], 1)[0] ?? null)],
  ["==", comparing("==")],
  ["eq", comparing("==")],
  ["equalto", comparing("==")],
  ["!=", comparing("!=")],
  ["ne", comparing("!=")],
  [">", comparing(">")],
  ["gt", comparing(">")],
  ["greaterthan", comparing(">")],
  [">=", comparing(">=")],
  ["ge", comparing(">=")],
  ["<", comparing("<")],
  ["lt", comparing("<")],
  ["lessthan", comparing("<")],
  ["<=", comparing("<=")],
  ["le", comparing("<=")]
])

const others = new Set(["escaped", "filter", "test"])

/**
 * Whether Jinja has a test, supported or not.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isTest = (name: string): boolean => tests.has(name) || others.has(name)

/**
 * `value is name(args)`.
 *
 * @category predicates
 * @since 0.2.0
 */
export const applyTest = (name: string, value: Value, args: CallArguments): boolean => {
  const test = tests.get(name)
  if (test !== undefined) return test(value, args)
  return others.has(name) ? unsupported(`the test '${name}'`) : fail(`there is no test named '${name}'`)
}

/**
 * Whether a value counts as true where no test is named.
 *
 * @category predicates
 * @since 0.2.0
 */
export const testOf = (name: Value | undefined, args: CallArguments): (value: Value) => boolean =>
  name === undefined ? truthy : (value) => applyTest(toStr(name).text, value, args)
