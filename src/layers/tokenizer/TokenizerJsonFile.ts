/**
 * The content of `tokenizer.json` and `tokenizer_config.json`.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"
import { fromAlphabet } from "./byteLevel/byteAlphabet.ts"
import { type ByteString, type IdBytesOptions, toByteString } from "./IdBytes.ts"
import { TokenizerFileInvalid, TokenizerUnsupported } from "./TokenizerErrors.ts"

const AddedToken = Schema.Struct({
  id: Schema.Natural,
  content: Schema.String,
  special: Schema.optionalKey(Schema.Boolean)
})

/** A step of decoding; which of the other keys are there depends on the type. */
const Step = Schema.Struct({
  type: Schema.String,
  replacement: Schema.optionalKey(Schema.String),
  prepend_scheme: Schema.optionalKey(Schema.String),
  add_prefix_space: Schema.optionalKey(Schema.Boolean),
  pattern: Schema.optionalKey(Schema.Unknown),
  content: Schema.optionalKey(Schema.String),
  start: Schema.optionalKey(Schema.Natural),
  stop: Schema.optionalKey(Schema.Natural)
})

type Step = typeof Step.Type

/**
 * What is checked of a `tokenizer.json`; everything else goes to the library as it is.
 *
 * @category schemas
 * @since 0.1.0
 */
export const TokenizerJson = Schema.StructWithRest(
  Schema.Struct({
    model: Schema.StructWithRest(
      Schema.Struct({
        type: Schema.optionalKey(Schema.NullOr(Schema.String)),
        vocab: Schema.Unknown,
        unk_token: Schema.optionalKey(Schema.NullOr(Schema.String))
      }),
      [Schema.Record(Schema.String, Schema.Unknown)]
    ),
    added_tokens: Schema.Array(AddedToken.pipe(
      (schema) => Schema.StructWithRest(schema, [Schema.Record(Schema.String, Schema.Unknown)])
    )),
    decoder: Schema.NullOr(Schema.StructWithRest(
      Schema.Struct({ ...Step.fields, decoders: Schema.optionalKey(Schema.Array(Step)) }),
      [Schema.Record(Schema.String, Schema.Unknown)]
    ))
  }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)

/**
 * @category models
 * @since 0.1.0
 */
export type TokenizerJson = typeof TokenizerJson.Type

const SpecialToken = Schema.NullOr(Schema.Union([Schema.String, Schema.Struct({ content: Schema.String })]))

const optionalToken = Schema.optionalKey(SpecialToken)

/**
 * What is read of a `tokenizer_config.json`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const TokenizerConfig = Schema.Struct({
  bos_token: optionalToken,
  eos_token: optionalToken,
  pad_token: optionalToken,
  unk_token: optionalToken,
  sep_token: optionalToken,
  chat_template: Schema.optionalKey(Schema.NullOr(Schema.Union([
    Schema.String,
    Schema.Array(Schema.Struct({ name: Schema.String, template: Schema.String }))
  ])))
})

/**
 * @category models
 * @since 0.1.0
 */
export type TokenizerConfig = typeof TokenizerConfig.Type

/**
 * The text of a special token's setting, none or one.
 *
 * @category getters
 * @since 0.1.0
 */
export const contents = (token: typeof SpecialToken.Type | undefined): ReadonlyArray<string> =>
  token === undefined || token === null ? [] : [typeof token === "string" ? token : token.content]

/**
 * The template for conversations without tools: the only one, or that named "default".
 *
 * @category getters
 * @since 0.1.0
 */
export const defaultTemplate = ({ chat_template: template }: TokenizerConfig): string | undefined =>
  template === undefined || template === null
    ? undefined
    : typeof template === "string"
    ? template
    : template.find(({ name }) => name === "default")?.template

/**
 * What transformers lets a template refer to.
 *
 * @category getters
 * @since 0.1.0
 */
export const templateVariables = (settings: TokenizerConfig): Readonly<Record<string, string>> => {
  const names = ["bos_token", "eos_token", "pad_token", "unk_token", "sep_token"] as const
  return Object.fromEntries(names.flatMap((name) => contents(settings[name]).map((content) => [name, content])))
}

/**
 * The ids of a vocabulary without added tokens: an object of ids, or Unigram's list of pairs.
 *
 * @category getters
 * @since 0.1.0
 */
export const vocabularyOf = (vocabulary: unknown): ReadonlyMap<string, number> | undefined => {
  const ids = new Map<string, number>()
  if (Array.isArray(vocabulary)) {
    vocabulary.forEach((pair: unknown, id) => {
      if (Array.isArray(pair) && typeof pair[0] === "string") ids.set(pair[0], id)
    })
    return ids
  }
  if (typeof vocabulary !== "object" || vocabulary === null) return undefined
  const entries: ReadonlyArray<readonly [string, unknown]> = Object.entries(vocabulary)
  for (const [token, id] of entries) {
    if (typeof id === "number" && Number.isInteger(id) && id >= 0) ids.set(token, id)
  }
  return ids
}

const supportedModels = ["BPE", "Unigram", "WordLevel"]

const supportedDecoders = [
  "ByteLevel",
  "Metaspace",
  "Sequence of Replace, ByteFallback, Fuse, Strip, ByteLevel and Metaspace"
]

interface Rules {
  readonly bytesOf: (token: string) => ByteString
  readonly dropFirstSpace: boolean
}

const isStringPattern = Schema.is(Schema.Struct({ String: Schema.String }))

const byteFallback = /^<0x([0-9A-Fa-f]{2})>$/u

/** What one step does to every token; undefined for a step that looks at more than one token. */
const applyStep = (rules: Rules, step: Step): Rules | undefined => {
  switch (step.type) {
    case "ByteLevel":
      return { ...rules, bytesOf: fromAlphabet }
    case "Metaspace": {
      const replacement = step.replacement ?? "\u2581"
      const prefixed = step.prepend_scheme === undefined
        ? step.add_prefix_space !== false
        : step.prepend_scheme !== "never"
      return {
        bytesOf: (token) => rules.bytesOf(token.replaceAll(replacement, " ")),
        dropFirstSpace: rules.dropFirstSpace || prefixed
      }
    }
    case "Replace": {
      const { content, pattern } = step
      if (!isStringPattern(pattern) || content === undefined) return undefined
      return { ...rules, bytesOf: (token) => rules.bytesOf(token.replaceAll(pattern.String, content)) }
    }
    case "ByteFallback":
      return {
        ...rules,
        bytesOf: (token) => {
          const hex = byteFallback.exec(token)?.[1]
          return hex === undefined ? rules.bytesOf(token) : String.fromCharCode(Number.parseInt(hex, 16))
        }
      }
    case "Fuse":
      return rules
    case "Strip":
      return step.content === " " && step.start === 1 && (step.stop ?? 0) === 0
        ? { ...rules, dropFirstSpace: true }
        : undefined
    default:
      return undefined
  }
}

const rulesOf = (path: string, json: TokenizerJson): Result.Result<Rules, TokenizerUnsupported> => {
  let rules: Rules = { bytesOf: toByteString, dropFirstSpace: false }
  const steps = json.decoder === null
    ? []
    : json.decoder.type === "Sequence"
    ? json.decoder.decoders ?? []
    : [json.decoder]
  // Rules wrap those of the steps behind them, so that the first step sees the token first.
  for (const step of steps.toReversed()) {
    const applied = applyStep(rules, step)
    if (applied === undefined) {
      return Result.fail(
        new TokenizerUnsupported({ path, part: "decoder", found: step.type, supported: supportedDecoders })
      )
    }
    rules = applied
  }
  return Result.succeed(rules)
}

/**
 * How the ids of a tokenizer with this {@link vocabularyOf} decode.
 *
 * @category conversions
 * @since 0.1.0
 */
export const decoding = (
  path: string,
  json: TokenizerJson,
  vocabulary: ReadonlyMap<string, number> | undefined
): Result.Result<IdBytesOptions, TokenizerFileInvalid | TokenizerUnsupported> =>
  Result.gen(function*() {
    const { type } = json.model
    if (type !== undefined && type !== null && !supportedModels.includes(type)) {
      return yield* Result.fail(
        new TokenizerUnsupported({ path, part: "model", found: type, supported: supportedModels })
      )
    }
    if (vocabulary === undefined || vocabulary.size === 0) {
      return yield* Result.fail(new TokenizerFileInvalid({ path, reason: "model.vocab holds no tokens" }))
    }
    const { bytesOf, dropFirstSpace } = yield* rulesOf(path, json)
    const tokens = new Map<number, ByteString>()
    for (const [token, id] of vocabulary) tokens.set(id, bytesOf(token))
    for (const { content, id } of json.added_tokens) tokens.set(id, toByteString(content))
    return {
      tokens,
      special: new Set(json.added_tokens.flatMap(({ id, special }) => special === true ? [id] : [])),
      dropFirstSpace,
      separator: json.decoder === null ? " " : ""
    }
  })
