/**
 * Run configurations: their schema, defaults and presets, what users write, and the JSON Schema for editors.
 *
 * @since 0.1.0
 */
export * from "./RunConfigDefaults.ts"
export * from "./RunConfigInput.ts"
export * from "./RunConfigJsonSchema.ts"
export * from "./RunConfigSchema.ts"
