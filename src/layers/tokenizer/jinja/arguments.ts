/**
 * Arguments of calls as the names that a function has for them.
 *
 * @since 0.2.0
 */
import { fail } from "./JinjaError.ts"
import { Str } from "./Str.ts"
import { type CallArguments, defined, numberOf, typeName, type Value } from "./Values.ts"

/**
 * The values of `names` in their order, `undefined` where a call leaves one out; more and others fail. The first `required`
 * must be there.
 *
 * @category combinators
 * @since 0.2.0
 */
export const bind = (
  what: string,
  { named, positional }: CallArguments,
  names: ReadonlyArray<string>,
  required = 0
): ReadonlyArray<Value | undefined> => {
  if (positional.length > names.length) {
    fail(`${what} takes at most ${names.length} arguments (${positional.length} given)`)
  }
  for (const name of named.keys()) {
    if (!names.includes(name)) fail(`${what} got an unexpected keyword argument '${name}'`)
    if (names.indexOf(name) < positional.length) fail(`${what} got multiple values for argument '${name}'`)
  }
  const values = names.map((name, index) => index < positional.length ? positional[index] : named.get(name))
  const missing = names.find((_, index) => index < required && values[index] === undefined)
  return missing === undefined ? values : fail(`${what} missing required argument: '${missing}'`)
}

/**
 * @category guards
 * @since 0.2.0
 */
export const string = (what: string, value: Value | undefined): Str =>
  value instanceof Str ? value : fail(`${what} must be str, not ${typeName(defined(value ?? null))}`)

/**
 * @category guards
 * @since 0.2.0
 */
export const integer = (what: string, value: Value | undefined, fallback: number): number => {
  if (value === undefined) return fallback
  const number = numberOf(value)
  return typeof number === "bigint"
    ? Number(number)
    : fail(`${what}: '${typeName(defined(value))}' object cannot be interpreted as an integer`)
}
