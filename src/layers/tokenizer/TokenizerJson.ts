/**
 * Tokenizers in Hugging Face's `tokenizer.json`. Byte-level byte pairs as in Qwen, Llama 3 and GPT-2 are encoded here, an
 * order of magnitude faster than by `@huggingface/tokenizers`, which encodes all others.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Layer, Path, Result, Schema } from "effect"
import { Tokenizer } from "../../services/Tokenizer.ts"
import * as addedTokensOfFiles from "./addedTokensOfFiles.ts"
import { fromJson } from "./byteLevel/fromJson.ts"
import * as ChatTemplate from "./ChatTemplate.ts"
import { decoding } from "./decodingOfJson.ts"
import * as IdBytes from "./IdBytes.ts"
import { throughLibrary } from "./throughLibrary.ts"
import {
  fromPlatform,
  readJson,
  readText,
  type TokenizerError,
  TokenizerFileInvalid,
  TokenizerFileMissing,
  UnknownSpecialToken
} from "./TokenizerErrors.ts"
import * as TokenizerJsonFile from "./TokenizerJsonFile.ts"

/**
 * Where the files are and what to take instead of what they say.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenizerJsonOptions {
  /** A folder with `tokenizer.json`; `tokenizer_config.json`, `chat_template.jinja`, `generation_config.json` and
   * `config.json` in it are read where they are there. */
  readonly directory: string
  /** Special tokens that end a text, instead of those that the files name. */
  readonly endOfText?: ReadonlyArray<string> | undefined
  /** A Jinja template instead of the one in the files. */
  readonly chatTemplate?: string | undefined
}

const Ids = Schema.Struct({
  eos_token_id: Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.Natural, Schema.Array(Schema.Natural)])))
})

interface Files {
  readonly path: (name: string) => string
  readonly read: <A>(
    name: string,
    schema: Schema.ConstraintDecoder<A>
  ) => Effect.Effect<A | undefined, TokenizerError, FileSystem.FileSystem>
  readonly text: (name: string) => Effect.Effect<string | undefined, TokenizerError, FileSystem.FileSystem>
}

const filesOf = Effect.fnUntraced(function*(directory: string) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const path = (name: string) => join(directory, name)
  const whenThere = <A, E, R>(name: string, read: Effect.Effect<A, E, R>) =>
    fs.exists(path(name)).pipe(
      Effect.mapError(fromPlatform(path(name))),
      Effect.flatMap((exists) => exists ? read : Effect.succeed(undefined))
    )
  const files: Files = {
    path,
    read: (name, schema) => whenThere(name, readJson(path(name), schema)),
    text: (name) => whenThere(name, readText(path(name)))
  }
  return files
})

/** The ids that end a text: what the tokenizer's settings name, then what the model's settings add. */
const endOfTextIds = Effect.fnUntraced(function*(
  files: Files,
  options: TokenizerJsonOptions,
  settings: TokenizerJsonFile.TokenizerConfig,
  idOf: (token: string) => number | undefined
) {
  const named = options.endOfText ?? TokenizerJsonFile.contents(settings.eos_token)
  const ids: Array<number> = []
  for (const token of named) {
    const id = idOf(token)
    if (id === undefined) {
      return yield* new UnknownSpecialToken({
        path: options.endOfText === undefined ? files.path("tokenizer_config.json") : files.path("tokenizer.json"),
        setting: options.endOfText === undefined ? "eos_token" : "endOfText",
        token
      })
    }
    ids.push(id)
  }
  if (options.endOfText === undefined) {
    for (const name of ["generation_config.json", "config.json"]) {
      const { eos_token_id } = (yield* files.read(name, Ids)) ?? {}
      ids.push(...(typeof eos_token_id === "number" ? [eos_token_id] : eos_token_id ?? []))
    }
  }
  return [...new Set(ids)]
})

const chatTemplate = Effect.fnUntraced(function*(
  files: Files,
  options: TokenizerJsonOptions,
  settings: TokenizerJsonFile.TokenizerConfig
) {
  const file = options.chatTemplate === undefined ? yield* files.text("chat_template.jinja") : undefined
  const source = options.chatTemplate ?? file ?? TokenizerJsonFile.defaultTemplate(settings)
  if (source === undefined) return ChatTemplate.none
  return yield* Effect.fromResult(
    Result.mapError(
      ChatTemplate.make(source, TokenizerJsonFile.templateVariables(settings)),
      (reason) =>
        new TokenizerFileInvalid({
          path: files.path(file === undefined ? "tokenizer_config.json" : "chat_template.jinja"),
          reason: `the chat template cannot be parsed: ${reason}`
        })
    )
  )
})

const legacyFiles = Effect.fnUntraced(function*(files: Files) {
  const legacy: addedTokensOfFiles.LegacyFiles = {
    addedTokens: yield* files.read("added_tokens.json", addedTokensOfFiles.LegacyTokens),
    specialTokensMap: yield* files.read("special_tokens_map.json", addedTokensOfFiles.SpecialTokensMap)
  }
  return legacy
})

/**
 * Makes the tokenizer of a folder.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fn("TokenizerJson.make")(function*(
  options: TokenizerJsonOptions
): Effect.fn.Return<Tokenizer["Service"], TokenizerError, FileSystem.FileSystem | Path.Path> {
  const files = yield* filesOf(options.directory)
  const path = files.path("tokenizer.json")
  const json = yield* files.read("tokenizer.json", TokenizerJsonFile.TokenizerJson)
  if (json === undefined) {
    return yield* new TokenizerFileMissing({
      path,
      reason: "there is no such file; a model folder of Hugging Face has one (transformers: save_pretrained)"
    })
  }
  const settings = (yield* files.read("tokenizer_config.json", TokenizerJsonFile.TokenizerConfig)) ?? {}
  const legacy = settings.added_tokens_decoder === undefined ? yield* legacyFiles(files) : {}
  const vocabulary = TokenizerJsonFile.vocabularyOf(json.model.vocab)
  const { moved, tokens: added } = addedTokensOfFiles.addedTokens(json, vocabulary, settings, legacy)
  for (const { content, given, id } of moved) {
    yield* Effect.logWarning(
      `${
        files.path("tokenizer_config.json")
      }: it gives ${content} the id ${given}; the id is ${id}, as transformers has it`
    )
  }
  const idBytes = yield* Effect.fromResult(decoding(path, json, vocabulary, added))
  const encoding = fromJson(json, vocabulary, added) ?? (yield* throughLibrary(path, json, added))
  const ids = IdBytes.make(idBytes)
  const byContent = new Map(added.map(({ content, id }) => [content, id]))
  const endOfText = yield* endOfTextIds(
    files,
    options,
    settings,
    (token) => byContent.get(token) ?? vocabulary?.get(token)
  )
  const chat = yield* chatTemplate(files, options, settings)
  return Tokenizer.of({
    vocabularySize: ids.size,
    unusedIds: ids.unused,
    endOfText,
    ...encoding,
    decode: (list, decodeOptions) => ids.decode(list, decodeOptions?.skipSpecialTokens === true),
    decoder: ids.decoder,
    ...chat
  })
})

/**
 * The tokenizer of a folder in Hugging Face's layout.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: TokenizerJsonOptions
): Layer.Layer<Tokenizer, TokenizerError, FileSystem.FileSystem | Path.Path> => Layer.effect(Tokenizer, make(options))
