/**
 * In what two values of the same shape differ, key by key.
 *
 * @since 0.2.0
 */
import { Schema } from "effect"

/**
 * A key whose value was `before` and is `after`. `key` is a dotted path; a key that is not there has the value null.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Difference = Schema.Struct({ key: Schema.String, before: Schema.Json, after: Schema.Json })

/**
 * @category models
 * @since 0.2.0
 */
export type Difference = typeof Difference.Type

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const json = Schema.decodeUnknownSync(Schema.Json)

/**
 * All keys with other values, at any depth, in their order. Arrays are compared as a whole.
 *
 * @category getters
 * @since 0.2.0
 */
export const between = (before: object, after: object, prefix = ""): ReadonlyArray<Difference> => {
  const olds = new Map<string, unknown>(Object.entries(before))
  const news = new Map<string, unknown>(Object.entries(after))
  return [...new Set([...olds.keys(), ...news.keys()])].flatMap((name): ReadonlyArray<Difference> => {
    const old = olds.get(name)
    const next = news.get(name)
    const key = `${prefix}${name}`
    if (isObject(old) && isObject(next)) return between(old, next, `${key}.`)
    return JSON.stringify(old) === JSON.stringify(next)
      ? []
      : [{ key, before: json(old ?? null), after: json(next ?? null) }]
  })
}

/**
 * A difference in words.
 *
 * @category formatting
 * @since 0.2.0
 */
export const describe = ({ after, before, key }: Difference): string =>
  `${key} was ${JSON.stringify(before)} and is now ${JSON.stringify(after)}`
