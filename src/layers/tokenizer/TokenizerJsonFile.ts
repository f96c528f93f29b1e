/**
 * The content of `tokenizer.json` and `tokenizer_config.json`.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { DecodingStep } from "./decodingOfJson.ts"

const flag = Schema.optionalKey(Schema.NullOr(Schema.Boolean))

const tokenFields = {
  content: Schema.String,
  special: flag,
  normalized: flag,
  lstrip: flag,
  rstrip: flag,
  single_word: flag
}

const AddedToken = Schema.Struct({ id: Schema.Natural, ...tokenFields })

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
      Schema.Struct({ ...DecodingStep.fields, decoders: Schema.optionalKey(Schema.Array(DecodingStep)) }),
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

/**
 * An added token in another file than `tokenizer.json`.
 *
 * @category schemas
 * @since 0.2.0
 */
export const ConfiguredToken = Schema.Struct(tokenFields)

/**
 * @category models
 * @since 0.2.0
 */
export type ConfiguredToken = typeof ConfiguredToken.Type

const SpecialToken = Schema.NullOr(Schema.Union([Schema.String, ConfiguredToken]))

const optionalToken = Schema.optionalKey(SpecialToken)

/**
 * Special tokens beside the named ones.
 *
 * @category schemas
 * @since 0.2.0
 */
export const ExtraTokens = Schema.optionalKey(Schema.NullOr(Schema.Union([
  Schema.Array(Schema.Union([Schema.String, ConfiguredToken])),
  Schema.Record(Schema.String, Schema.Union([Schema.String, ConfiguredToken]))
])))

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
  cls_token: optionalToken,
  mask_token: optionalToken,
  /** Added tokens by their ids; `tokenizer.json` need not have them. */
  added_tokens_decoder: Schema.optionalKey(Schema.NullOr(Schema.Record(Schema.String, ConfiguredToken))),
  additional_special_tokens: ExtraTokens,
  extra_special_tokens: ExtraTokens,
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

const specialNames = [
  "bos_token",
  "eos_token",
  "pad_token",
  "unk_token",
  "sep_token",
  "cls_token",
  "mask_token"
] as const

/**
 * The special tokens that have a name, such as `eos_token`.
 *
 * @category getters
 * @since 0.2.0
 */
export const namedTokens = (settings: TokenizerConfig): ReadonlyArray<string> =>
  specialNames.flatMap((name) => contents(settings[name]))

/**
 * What transformers lets a template refer to.
 *
 * @category getters
 * @since 0.1.0
 */
export const templateVariables = (settings: TokenizerConfig): Readonly<Record<string, string>> =>
  Object.fromEntries(specialNames.flatMap((name) => contents(settings[name]).map((content) => [name, content])))

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
