/**
 * How the ids of a `tokenizer.json` become text.
 *
 * @since 0.2.0
 */
import { Result, Schema } from "effect"
import type { AddedToken } from "./AddedTokens.ts"
import { fromAlphabet } from "./byteLevel/byteAlphabet.ts"
import { type ByteString, type IdBytesOptions, toByteString } from "./IdBytes.ts"
import { TokenizerFileInvalid, TokenizerUnsupported } from "./TokenizerErrors.ts"

/**
 * A step of decoding; which of the other keys are there depends on the type.
 *
 * @category schemas
 * @since 0.2.0
 */
export const DecodingStep = Schema.Struct({
  type: Schema.String,
  replacement: Schema.optionalKey(Schema.String),
  prepend_scheme: Schema.optionalKey(Schema.String),
  add_prefix_space: Schema.optionalKey(Schema.Boolean),
  pattern: Schema.optionalKey(Schema.Unknown),
  content: Schema.optionalKey(Schema.String),
  start: Schema.optionalKey(Schema.Natural),
  stop: Schema.optionalKey(Schema.Natural)
})

type DecodingStep = typeof DecodingStep.Type

interface Json {
  readonly model: { readonly type?: string | null }
  readonly decoder: DecodingStep & { readonly decoders?: ReadonlyArray<DecodingStep> } | null
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
const applyStep = (rules: Rules, step: DecodingStep): Rules | undefined => {
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

const rulesOf = (path: string, json: Json): Result.Result<Rules, TokenizerUnsupported> => {
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
 * How the ids of a tokenizer with this {@link vocabularyOf} and these {@link addedTokens} decode.
 *
 * @category conversions
 * @since 0.1.0
 */
export const decoding = (
  path: string,
  json: Json,
  vocabulary: ReadonlyMap<string, number> | undefined,
  added: ReadonlyArray<AddedToken>
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
    for (const { content, id } of added) tokens.set(id, toByteString(content))
    return {
      tokens,
      special: new Set(added.flatMap(({ id, special }) => special ? [id] : [])),
      dropFirstSpace,
      separator: json.decoder === null ? " " : ""
    }
  })
