/**
 * From what a user writes to a whole configuration: presets, an algorithm, a configuration file and `--set path=value`.
 *
 * @since 0.1.0
 */
import { Result, Schema, SchemaIssue } from "effect"
import * as JsonFlaw from "./JsonFlaw.ts"
import { algorithms, base, presets } from "./RunConfigDefaults.ts"
import * as RunConfig from "./RunConfigSchema.ts"
import * as Values from "./RunConfigValues.ts"
import { greedy } from "./Sampling.ts"
import { nearest } from "./Suggestion.ts"

type JsonObject = Schema.JsonObject

const isObject = (value: Schema.Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * One thing wrong with a configuration. `path` is a dotted path, empty for the whole.
 *
 * @category models
 * @since 0.1.0
 */
export const Problem = Schema.Struct({ path: Schema.String, reason: Schema.String })

/**
 * @category models
 * @since 0.1.0
 */
export type Problem = typeof Problem.Type

/**
 * A configuration that cannot be used, with everything that is wrong with it.
 *
 * @category errors
 * @since 0.1.0
 */
export class RunConfigInvalid extends Schema.TaggedError<RunConfigInvalid>()("RunConfigInvalid", {
  problems: Schema.Array(Problem)
}) {
  override get message() {
    const lines = this.problems.map(({ path, reason }) => path === "" ? reason : `${path}: ${reason}`)
    return lines.length === 1
      ? `${lines[0]}`
      : `the configuration has ${lines.length} problems\n  ${lines.join("\n  ")}`
  }
}

const invalid = (...problems: ReadonlyArray<Problem>) => Result.fail(new RunConfigInvalid({ problems }))

const baseJson: JsonObject = { ...base }

/** Keys that a configuration may hold besides those of `RunConfig`. */
const topLevel = new Set(["presets", "$schema"])

const leaves = (object: JsonObject, prefix: string): ReadonlyArray<string> =>
  Object.entries(object).flatMap(([key, value]) =>
    isObject(value) ? leaves(value, `${prefix}${key}.`) : [`${prefix}${key}`]
  )

/** All paths that can be set, dotted. */
const paths = leaves(baseJson, "")

/** The nearest sibling of an unknown key, or else a key of that name elsewhere. */
const suggestion = (key: string, siblings: ReadonlyArray<string>, prefix: string): string => {
  const near = nearest(key, siblings)
  if (near !== undefined) return `; did you mean ${prefix}${near}?`
  const named = paths.map((path) => [path, path.slice(path.lastIndexOf(".") + 1)] as const)
  const same = named.filter(([, name]) => name === key)
  const elsewhere = (same.length > 0 ? same : named.filter(([, name]) => nearest(key, [name]) !== undefined))
    .map(([path]) => path)
  return elsewhere.length > 0
    ? `; did you mean ${elsewhere.slice(0, 3).join(" or ")}?`
    : `; known keys here: ${siblings.join(", ")}`
}

/** Objects that are null by default: what their missing keys are filled up with. */
const nullable: Readonly<Record<string, JsonObject>> = { "evaluation.sampling": { ...greedy } }

const known = (path: string, value: Schema.Json | undefined): JsonObject | undefined =>
  nullable[path] ?? (isObject(value) ? value : undefined)

const unknownKeys = (input: JsonObject, shape: JsonObject, prefix: string): ReadonlyArray<Problem> =>
  Object.entries(input).flatMap(([key, value]): ReadonlyArray<Problem> => {
    const path = `${prefix}${key}`
    if (prefix === "" && topLevel.has(key)) return []
    if (!Object.hasOwn(shape, key)) {
      const siblings = prefix === "" ? [...Object.keys(shape), "presets"] : Object.keys(shape)
      return [{ path, reason: `unknown key${suggestion(key, siblings, prefix)}` }]
    }
    const inner = known(path, shape[key])
    return inner !== undefined && isObject(value) ? unknownKeys(value, inner, `${path}.`) : []
  })

const merge = (under: JsonObject, over: JsonObject, prefix = ""): JsonObject => {
  const merged: Record<string, Schema.Json> = { ...under }
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key] ?? nullable[`${prefix}${key}`]
    merged[key] = isObject(below) && isObject(value) ? merge(below, value, `${prefix}${key}.`) : value
  }
  return merged
}

const decodeOptions = { errors: "all", onExcessProperty: "error" } as const
const toIssues = SchemaIssue.makeFormatterStandardSchemaV1()
const decodeConfig = Schema.decodeUnknownResult(RunConfig.RunConfig, decodeOptions)
const decodePresets = Schema.decodeUnknownResult(Schema.Array(RunConfig.PresetName))
const decodeAlgorithm = Schema.decodeUnknownResult(RunConfig.Algorithm)

const problemsOf = (error: Schema.SchemaError): ReadonlyArray<Problem> =>
  toIssues(error.issue).issues.map(({ message, path }) => ({
    path: (path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join("."),
    reason: message
  }))

/** A schema's own words only where ours find nothing wrong. */
const inWords = (found: ReadonlyArray<Problem>, error: Schema.SchemaError): ReadonlyArray<Problem> =>
  found.length > 0 ? found : problemsOf(error)

const wrongAt = (key: string, value: Schema.Json, error: Schema.SchemaError): ReadonlyArray<Problem> => {
  const setting = Values.at([key])
  return inWords(
    setting === undefined ? [] : Values.problems(setting, value, key),
    error
  )
}

/** Values that are fine by themselves and not together. */
const contradictions = (config: RunConfig.RunConfig): ReadonlyArray<Problem> => {
  const { compat, evaluation, loss, retriever, rollout, sampling } = config
  const problems: Array<Problem> = []
  const expect = (holds: boolean, path: string, reason: string) => {
    if (!holds) problems.push({ path, reason })
  }
  expect(
    retriever.kind !== "remote" || retriever.url !== null,
    "retriever.url",
    "a remote retriever needs a URL, e.g. http://127.0.0.1:8000/retrieve"
  )
  expect(
    retriever.url === null || /^https?:\/\/[^\s/]/i.test(retriever.url),
    "retriever.url",
    `expected the URL of a server, e.g. http://127.0.0.1:8000/retrieve, and got ${JSON.stringify(retriever.url)}`
  )
  expect(
    rollout.maxPromptTokens < rollout.maxContextTokens,
    "rollout.maxPromptTokens",
    `leaves no room for a response in rollout.maxContextTokens (${rollout.maxContextTokens})`
  )
  expect(
    rollout.minimumGroup === null || rollout.minimumGroup <= rollout.groupSize,
    "rollout.minimumGroup",
    `cannot exceed rollout.groupSize (${rollout.groupSize})`
  )
  expect(
    config.advantage.estimator !== "rloo" || rollout.groupSize > 1,
    "rollout.groupSize",
    "rloo compares the samples of a prompt: it needs at least 2"
  )
  expect(loss.clipLow <= 1, "loss.clipLow", "cannot exceed 1, where the ratio's lower bound is 0")
  expect(sampling.temperature > 0, "sampling.temperature", "training needs to explore: it must be above 0")
  expect(
    rollout.staleness === 0 || compat.idsSource === "sampled",
    "rollout.staleness",
    "importance sampling needs the sampler's log-probabilities, which compat.idsSource = retokenised loses"
  )
  expect(
    evaluation.every === 0 || evaluation.questions === null || evaluation.questions > 0,
    "evaluation.questions",
    "must be above 0"
  )
  return problems
}

/**
 * The whole configuration of an input: defaults, overlaid by the algorithm's, by each of its `presets` in order, and by
 * the input's own keys. Unknown keys are errors with a suggestion; all problems are reported together.
 *
 * @category constructors
 * @since 0.1.0
 */
export const resolve = (input: Schema.Json): Result.Result<RunConfig.RunConfig, RunConfigInvalid> => {
  if (!isObject(input)) return invalid({ path: "", reason: "a configuration is a JSON object" })
  const { $schema: _, presets: named, ...own } = input
  const unknown = unknownKeys(input, baseJson, "")

  const names = decodePresets(named ?? [])
  if (Result.isFailure(names)) {
    return invalid(...unknown, ...wrongAt("presets", named ?? [], names.failure))
  }
  const parts: ReadonlyArray<JsonObject> = names.success.map((name) => ({ ...presets[name] }))
  const algorithm = decodeAlgorithm(
    own.algorithm ?? parts.reduce<Schema.Json>((last, part) => part.algorithm ?? last, base.algorithm)
  )
  if (Result.isFailure(algorithm)) {
    return invalid(...unknown, ...wrongAt("algorithm", own.algorithm ?? null, algorithm.failure))
  }
  const layers: ReadonlyArray<JsonObject> = [{ ...algorithms[algorithm.success] }, ...parts, {
    ...own,
    algorithm: algorithm.success
  }]
  const whole = layers.reduce((under, over) => merge(under, over), baseJson)
  const decoded = decodeConfig(whole)
  const isUnknown = (path: string) =>
    unknown.some((problem) => path === problem.path || path.startsWith(`${problem.path}.`))
  const problems = [
    ...unknown,
    ...(Result.isFailure(decoded)
      ? inWords(Values.wrong(whole), decoded.failure).filter(({ path }) => !isUnknown(path))
      : [])
  ]
  if (Result.isFailure(decoded) || problems.length > 0) return invalid(...problems)
  const contradicting = contradictions(decoded.success)
  return contradicting.length > 0 ? invalid(...contradicting) : Result.succeed(decoded.success)
}

const parseValue = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Json))

const setAt = (object: JsonObject, path: ReadonlyArray<string>, value: Schema.Json): JsonObject => {
  const [key, ...rest] = path
  if (key === undefined) return object
  const below = object[key]
  return { ...object, [key]: rest.length === 0 ? value : setAt(isObject(below) ? below : {}, rest, value) }
}

/** The value of an assignment: JSON, or text as it stands, which a key that takes text gets whatever it looks like. */
const valueOf = (
  setting: Values.Setting | undefined,
  path: string,
  text: string
): Result.Result<Schema.Json, string> => {
  const parsed = parseValue(text)
  const takesText = setting?.kind._tag === "Text"
  if (Result.isSuccess(parsed)) {
    const { success: value } = parsed
    return Result.succeed(takesText && (typeof value === "number" || typeof value === "boolean") ? text : value)
  }
  return !takesText && /^\s*[{["]/.test(text)
    ? Result.fail(
      `it is not JSON (${JsonFlaw.describe(text)}): ${text}${setting === undefined ? "" : Values.partOf(setting, path)}`
    )
    : Result.succeed(text)
}

/**
 * Applies one `path=value` to an input. The value is JSON where it parses as such (`true`, `1e-6`, `null`, `"text"`,
 * `["a"]`), otherwise text as it stands; keys of text take numbers as text. An unknown path, or a value that the key does
 * not take, fails with what it takes and what was likely meant.
 *
 * @category combinators
 * @since 0.1.0
 */
export const set = (input: Schema.Json, assignment: string): Result.Result<Schema.Json, RunConfigInvalid> => {
  const equals = assignment.indexOf("=")
  if (equals <= 0) {
    const setting = Values.at(assignment.trim().split("."))
    const example = setting === undefined ? undefined : Values.exampleOf(setting, assignment.trim())
    return invalid({
      path: assignment,
      reason: `expected path=value, e.g. ${
        example === undefined ? "optimizer.learningRate=1e-6" : `${assignment.trim()}=${example}`
      }`
    })
  }
  const path = assignment.slice(0, equals).trim().split(".")
  const text = assignment.slice(equals + 1)
  const setting = Values.at(path)
  const found = valueOf(setting, path.join("."), text)
  if (Result.isFailure(found)) return invalid({ path: path.join("."), reason: found.failure })
  const value = found.success
  if (!isObject(input)) return invalid({ path: "", reason: "a configuration is a JSON object" })
  const updated = setAt(input, path, value)
  const unknown = unknownKeys(setAt({}, path, value), baseJson, "")
  if (unknown.length > 0) return invalid(...unknown)
  const written = typeof value === "string" ? undefined : text
  const wrong = setting === undefined
    // a path into a key that has no parts
    ? Values.wrong(setAt({}, path, value))
    : Values.problems(setting, value, path.join("."), written)
  return wrong.length > 0 ? invalid(...wrong) : Result.succeed(updated)
}

/**
 * Applies assignments in order; all that is wrong with them is reported together.
 *
 * @category combinators
 * @since 0.1.0
 */
export const setAll = (
  input: Schema.Json,
  assignments: ReadonlyArray<string>
): Result.Result<Schema.Json, RunConfigInvalid> => {
  let current = input
  const problems: Array<Problem> = []
  for (const assignment of assignments) {
    const next = set(current, assignment)
    if (Result.isFailure(next)) problems.push(...next.failure.problems)
    else current = next.success
  }
  return problems.length > 0 ? invalid(...problems) : Result.succeed(current)
}
