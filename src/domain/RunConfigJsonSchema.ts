/**
 * The JSON Schema of configuration files, for editors.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { base } from "./RunConfigDefaults.ts"
import { PresetName, RunConfig } from "./RunConfigSchema.ts"

const isObject = (value: Schema.Json | undefined): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Annotations come as members of an `allOf`; editors look for them beside the type. */
const flattened = (schema: Schema.JsonObject): Schema.JsonObject => {
  const { allOf, ...rest } = schema
  return Array.isArray(allOf) && allOf.every(isObject)
    ? Object.fromEntries([rest, ...allOf].flatMap((part) => Object.entries(part)))
    : schema
}

/** No key is required, each has the default's value. */
const optional = (schema: Schema.JsonObject, value: Schema.Json | undefined): Schema.JsonObject => {
  const { properties, required: _, ...rest } = flattened(schema)
  if (!isObject(properties)) return value === undefined ? rest : { ...rest, default: value }
  const defaults = isObject(value) ? value : {}
  return {
    ...rest,
    properties: Object.fromEntries(
      Object.entries(properties).map(([key, property]) => [
        key,
        isObject(property) ? optional(property, defaults[key]) : property
      ])
    )
  }
}

const plain = Schema.decodeUnknownSync(Schema.JsonObject)

/**
 * The JSON Schema (draft 2020-12) of a configuration file: every key optional, with its description and default, unknown
 * keys rejected.
 *
 * @category conversions
 * @since 0.1.0
 */
export const jsonSchema = (): Schema.JsonObject => {
  const document = Schema.toJsonSchemaDocument(RunConfig, { onExcessProperty: "error" })
  const presets = Schema.toJsonSchemaDocument(Schema.Array(PresetName))
  const { properties, ...whole } = optional(plain(document.schema), { ...base })
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "effect-search-r1 run configuration",
    ...whole,
    properties: {
      $schema: { type: "string", description: "Where an editor finds this schema." },
      presets: {
        ...plain(presets.schema),
        description: "Named sets of values, applied in order on top of the defaults and below the other keys.",
        default: []
      },
      ...(isObject(properties) ? properties : {})
    },
    $defs: plain(document.definitions)
  }
}
