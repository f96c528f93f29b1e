/**
 * Which values the keys of a run's configuration take, in words for those who gave others.
 *
 * @since 0.2.0
 */
import type { Schema } from "effect"
import { either, meant, nearestChoice, nearestNumber, numberWords, type Range } from "./Allowed.ts"
import * as LaxJson from "./LaxJson.ts"
import { jsonSchema } from "./RunConfigJsonSchema.ts"

type Kind =
  | { readonly _tag: "Number"; readonly whole: boolean; readonly range: Range }
  | { readonly _tag: "Choice"; readonly choices: ReadonlyArray<Schema.Json> }
  | { readonly _tag: "Text" }
  | { readonly _tag: "Truth" }
  | { readonly _tag: "List"; readonly of: Kind }
  | { readonly _tag: "Object"; readonly keys: ReadonlyMap<string, Setting> }

/**
 * What a key takes.
 *
 * @category models
 * @since 0.2.0
 */
export interface Setting {
  readonly kind: Kind
  readonly nullable: boolean
  /** Undefined where nothing is to be had from the defaults. */
  readonly example: Schema.Json | undefined
}

interface Found {
  readonly path: string
  readonly reason: string
}

const isObject = (value: Schema.Json | undefined): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const numeric = (value: Schema.Json | undefined): number | undefined => typeof value === "number" ? value : undefined

const rangeOf = ({ exclusiveMaximum, exclusiveMinimum, maximum, minimum }: Schema.JsonObject): Range => {
  const most = numeric(exclusiveMaximum) ?? numeric(maximum) ?? Number.POSITIVE_INFINITY
  return {
    least: numeric(exclusiveMinimum) ?? numeric(minimum) ?? Number.NEGATIVE_INFINITY,
    most,
    openLeast: exclusiveMinimum !== undefined,
    openMost: exclusiveMaximum !== undefined
  }
}

const kindOf = (schema: Schema.JsonObject): Kind => {
  const { enum: choices, items, properties, type } = schema
  if (Array.isArray(choices)) return { _tag: "Choice", choices }
  if (isObject(properties)) {
    return {
      _tag: "Object",
      keys: new Map(
        Object.entries(properties).flatMap(([key, property]) =>
          isObject(property) ? [[key, settingOf(property)] as const] : []
        )
      )
    }
  }
  if (isObject(items)) return { _tag: "List", of: kindOf(items) }
  return type === "boolean"
    ? { _tag: "Truth" }
    : type === "string"
    ? { _tag: "Text" }
    : { _tag: "Number", whole: type === "integer", range: rangeOf(schema) }
}

const settingOf = (schema: Schema.JsonObject): Setting => {
  const { anyOf, default: example } = schema
  const branches = Array.isArray(anyOf) ? anyOf.filter(isObject) : [schema]
  const taken = branches.find(({ type }) => type !== "null") ?? schema
  return {
    kind: kindOf(taken),
    nullable: branches.length > 1,
    example: example === null ? undefined : example
  }
}

let whole: Setting | undefined

/** The whole configuration, made when it is first asked for. */
const root = (): Setting => whole ??= settingOf(jsonSchema())

/**
 * What the key at a path takes; undefined where there is none.
 *
 * @category getters
 * @since 0.2.0
 */
export const at = (path: ReadonlyArray<string>): Setting | undefined => {
  let setting: Setting | undefined = root()
  for (const key of path) setting = setting?.kind._tag === "Object" ? setting.kind.keys.get(key) : undefined
  return setting
}

/** Examples of texts, whose defaults are null. */
const texts: Readonly<Record<string, string>> = {
  model: "models/mine",
  train: "questions.jsonl",
  evaluate: "held-out.jsonl",
  corpus: "corpus.jsonl",
  url: "http://127.0.0.1:8000/retrieve"
}

/**
 * A value that the key at `path` takes, as it is written.
 *
 * @category getters
 * @since 0.2.0
 */
export const exampleOf = ({ example, kind }: Setting, path: string): string | undefined => {
  switch (kind._tag) {
    case "Number": {
      const { least, most } = kind.range
      return String(
        example ?? (!Number.isFinite(least) ? 1 : Number.isFinite(most) && !kind.whole ? (least + most) / 2 : least + 1)
      )
    }
    case "Choice":
      return String(example ?? kind.choices[0])
    case "Truth":
      return String(example ?? true)
    case "Text":
      return texts[path.slice(path.lastIndexOf(".") + 1)] ?? "text"
    case "List":
      return kind.of._tag === "Choice" ? JSON.stringify(kind.of.choices.slice(1, 2)) : undefined
    case "Object":
      return undefined
  }
}

const kindWords = (kind: Kind, beyond: boolean): string => {
  switch (kind._tag) {
    case "Number": {
      const { range, whole } = kind
      // the largest whole number there is limits nothing else
      const unlimited = range.most === Number.MAX_SAFE_INTEGER && !beyond
      return numberWords(whole, unlimited ? { ...range, most: Number.POSITIVE_INFINITY } : range)
    }
    case "Choice":
      return either(kind.choices.map(String))
    case "Text":
      return "text"
    case "Truth":
      return "true or false"
    case "List":
      return `a list of ${kindWords(kind.of, beyond)}`
    case "Object":
      return `an object with ${[...kind.keys.keys()].join(", ")}`
  }
}

const accepts = (kind: Kind, value: Schema.Json): boolean => {
  switch (kind._tag) {
    case "Number": {
      const { range, whole } = kind
      return typeof value === "number" && (!whole || Number.isSafeInteger(value)) &&
        nearestNumber(value, whole, range) === value
    }
    case "Choice":
      return kind.choices.includes(value)
    case "Text":
      return typeof value === "string" && value !== ""
    case "Truth":
      return typeof value === "boolean"
    case "List":
      return Array.isArray(value) && value.every((one) => accepts(kind.of, one))
    case "Object":
      return isObject(value)
  }
}

const nothing: ReadonlySet<string> = new Set([
  "none",
  "null",
  "nil",
  "off",
  "no",
  "false",
  "unlimited",
  "inf",
  "infinity"
])

/** A number as people and other languages write it: `1_000`, `1,000`, `" 10 "`, `.5`. */
const readNumber = (value: Schema.Json): number | undefined =>
  LaxJson.finite(typeof value === "string" ? value.trim().replaceAll(/(?<=\d)[_,](?=\d{3})/g, "") : value)

/** What was likely meant, as it is written. */
const suggestion = ({ kind, nullable }: Setting, value: Schema.Json): string => {
  if (nullable && typeof value === "string" && nothing.has(value.toLowerCase())) return meant("null")
  switch (kind._tag) {
    case "Number": {
      const number = readNumber(value)
      const next = number === undefined ? undefined : nearestNumber(number, kind.whole, kind.range)
      return next === undefined
        ? ""
        : next !== number
        ? `; the nearest is ${next}`
        : meant(typeof value === "string" && value.trim() === String(next) ? `${next} without quotes` : String(next))
    }
    case "Choice":
      return meant(typeof value === "object" ? undefined : nearestChoice(String(value), kind.choices.map(String)))
    case "Truth": {
      const truth = LaxJson.boolean(value)
      return meant(truth === undefined ? undefined : String(truth))
    }
    case "Text":
      return meant(typeof value === "number" || typeof value === "boolean" ? JSON.stringify(String(value)) : undefined)
    case "List":
      return meant(!Array.isArray(value) && accepts(kind.of, value) ? JSON.stringify([value]) : undefined)
    case "Object":
      return ""
  }
}

const cut = (text: string): string => text.length <= 60 ? text : `${text.slice(0, 59)}…`

/** Whether a value is beyond what numbers hold exactly. */
const isBeyond = (value: Schema.Json): boolean => typeof value === "number" && value > Number.MAX_SAFE_INTEGER

/** What is expected, with an example where the words alone do not tell how it is written. */
const expectation = (setting: Setting, value: Schema.Json, path: string): string => {
  const { kind, nullable } = setting
  const words = `expected ${kindWords(kind, isBeyond(value))}`
  const example = kind._tag === "Choice" || kind._tag === "Truth" ? undefined : exampleOf(setting, path)
  const shown = example === undefined ? words : `${words}, e.g. ${example}`
  return nullable ? `${shown}, or null` : shown
}

/**
 * How a part of an object is set: `, e.g. rollout.prompts=32`; nothing where the setting is no object.
 *
 * @category formatting
 * @since 0.2.0
 */
export const partOf = ({ kind }: Setting, path: string): string => {
  const [first] = kind._tag === "Object" ? [...kind.keys] : []
  if (first === undefined) return ""
  const inner = path === "" ? first[0] : `${path}.${first[0]}`
  const example = exampleOf(first[1], inner)
  return example === undefined ? "" : `, e.g. ${inner}=${example}`
}

/**
 * Everything in a value that its key does not take: what is expected, what was given, what was likely meant. `written` is
 * how the value was given where that is not JSON. Unknown keys are left out.
 *
 * @category validation
 * @since 0.2.0
 */
export const problems = (
  setting: Setting,
  value: Schema.Json,
  path: string,
  written = JSON.stringify(value)
): ReadonlyArray<Found> => {
  const { kind, nullable } = setting
  if (value === null && nullable) return []
  if (kind._tag === "Object" && isObject(value)) {
    return Object.entries(value).flatMap(([key, part]) => {
      const inner = kind.keys.get(key)
      return inner === undefined ? [] : problems(inner, part, path === "" ? key : `${path}.${key}`)
    })
  }
  if (kind._tag === "List" && Array.isArray(value)) {
    const one: Setting = { kind: kind.of, nullable: false, example: undefined }
    return value.flatMap((part, index) => problems(one, part, `${path}.${index}`))
  }
  if (accepts(kind, value)) return []
  const got = value === "" ? "nothing" : cut(written)
  return [{
    path,
    reason: `${expectation(setting, value, path)}${partOf(setting, path)}, and got ${got}${suggestion(setting, value)}`
  }]
}

/**
 * {@link problems} of a whole configuration.
 *
 * @category validation
 * @since 0.2.0
 */
export const wrong = (config: Schema.Json): ReadonlyArray<Found> => problems(root(), config, "")
