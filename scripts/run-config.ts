/**
 * Writes what is derived from the run configuration's schema: `assets/run-config.schema.json` for editors and
 * `docs/configuration.md` for people. Run it after a change of the schema or the defaults: `npm run build:config`.
 */
import type { Schema } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { algorithms, jsonSchema, presets } from "../src/domain/RunConfig.ts"

const isObject = (value: Schema.Json | undefined): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** `[path, value]` of every leaf. */
const leaves = (object: object, prefix = ""): ReadonlyArray<readonly [string, unknown]> =>
  Object.entries(object).flatMap(([key, value]: [string, unknown]) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? leaves(value, `${prefix}${key}.`)
      : [[`${prefix}${key}`, value] as const]
  )

interface Key {
  readonly path: string
  readonly values: string
  readonly byDefault: string
  readonly description: string
}

const valuesOf = (schema: Schema.JsonObject): string => {
  const { anyOf, enum: literals, exclusiveMinimum, items, maximum, minimum, type } = schema
  if (isObject(items)) return `array of ${valuesOf(items)}`
  if (Array.isArray(anyOf)) return anyOf.filter(isObject).map(valuesOf).join(" or ")
  if (Array.isArray(literals)) return literals.map((literal) => `\`${String(literal)}\``).join(", ")
  const bounds = [
    ...(typeof exclusiveMinimum === "number" ? [`above ${exclusiveMinimum}`] : []),
    ...(typeof minimum === "number" && minimum > Number.MIN_SAFE_INTEGER ? [`from ${minimum}`] : []),
    ...(typeof maximum === "number" && maximum < Number.MAX_SAFE_INTEGER ? [`to ${maximum}`] : [])
  ]
  const name = type === "null" ? "`null`" : String(type)
  return [name, ...bounds].join(" ")
}

const keysOf = (schema: Schema.JsonObject, prefix: string): ReadonlyArray<Key> => {
  const { properties } = schema
  if (!isObject(properties)) return []
  return Object.entries(properties).flatMap(([key, property]): ReadonlyArray<Key> => {
    if (!isObject(property) || key === "$schema") return []
    const path = `${prefix}${key}`
    if (isObject(property["properties"])) return keysOf(property, `${path}.`)
    return [{
      path: `\`${path}\``,
      values: valuesOf(property),
      byDefault: `\`${JSON.stringify(property["default"] ?? null)}\``,
      description: String(property["description"] ?? "")
    }]
  })
}

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n")
}

const partTable = (parts: Readonly<Record<string, object>>): string =>
  table(
    ["name", "sets"],
    Object.entries(parts).map(([name, part]) => [
      `\`${name}\``,
      leaves(part).map(([path, value]) => `\`${path}=${typeof value === "string" ? value : JSON.stringify(value)}\``)
        .join(", ") || "the defaults"
    ])
  )

const configuration = (): string => {
  const keys = keysOf(jsonSchema(), "")
  return `# Configuration of a run

Written by \`npm run build:config\` from the schema; an editor reads the same from \`assets/run-config.schema.json\` when a
configuration file begins with \`{"$schema": ".../run-config.schema.json"}\`.

A configuration file is JSON and holds only what differs from the defaults. \`--set path=value\` sets one key, the value
being JSON where it parses as such and text otherwise. A value comes from the last of these that sets it: the defaults, the
algorithm, each of \`presets\` in order, the file, \`--set\`. An unknown key is an error that names the nearest known one.

## Keys

${
    table(
      ["key", "values", "default", "what"],
      keys.map((key) => [key.path, key.values, key.byDefault, key.description])
    )
  }

## Algorithms

${partTable(algorithms)}

## Presets

${partTable(presets)}
`
}

/**
 * Path in the project and content of every derived file.
 */
export const files = (): Readonly<Record<string, string>> => ({
  "assets/run-config.schema.json": `${JSON.stringify(jsonSchema(), null, 2)}\n`,
  "docs/configuration.md": configuration()
})

if (import.meta.main) {
  for (const [path, content] of Object.entries(files())) writeFileSync(join(import.meta.dirname, "..", path), content)
}
