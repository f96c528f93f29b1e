/**
 * Tokenizers in tiktoken's rank files, such as Qwen's and Llama 3's: byte-level byte pairs, encoded here.
 *
 * @since 0.1.0
 */
import { Effect, type FileSystem, Layer, Result } from "effect"
import { Tokenizer } from "../../services/Tokenizer.ts"
import * as BytePairs from "./byteLevel/BytePairs.ts"
import { noRank } from "./byteLevel/mergePairs.ts"
import * as Ranks from "./byteLevel/Ranks.ts"
import { splitWords } from "./byteLevel/splitWords.ts"
import { toNfc } from "./byteLevel/toNfc.ts"
import * as ChatTemplate from "./ChatTemplate.ts"
import * as IdBytes from "./IdBytes.ts"
import * as TextEncoding from "./TextEncoding.ts"
import { readText, type TokenizerError, TokenizerFileInvalid, UnknownSpecialToken } from "./TokenizerErrors.ts"

/**
 * What a rank file does not say. The defaults are Qwen's.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenizerTiktokenOptions {
  /** The rank file. */
  readonly path: string
  /** Tokens that the ranks do not hold, with ids that follow the greatest rank in this order. */
  readonly specialTokens?: ReadonlyArray<string> | undefined
  /** Special tokens that end a text. */
  readonly endOfText?: ReadonlyArray<string> | undefined
  /** The form that text is brought into first; Llama 3 has none. */
  readonly normalization?: "NFC" | "none" | undefined
  /** The most digits of a piece: 1 for Qwen, 3 for Llama 3. */
  readonly digits?: number | undefined
  /** A Jinja template of conversations. */
  readonly chatTemplate?: string | undefined
}

/**
 * The special tokens of Qwen2 and Qwen2.5 behind the 151,643 ranks.
 *
 * @category constants
 * @since 0.1.0
 */
export const qwenSpecialTokens: ReadonlyArray<string> = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

const ascii = /^[\0-\x7f]*$/u

/** ASCII is its own byte string. */
const spell = (text: string): IdBytes.ByteString => ascii.test(text) ? text : IdBytes.toByteString(text)

const encoderOf = (
  ids: ReadonlyMap<IdBytes.ByteString, number>,
  special: ReadonlyMap<string, number>,
  options: TokenizerTiktokenOptions
) => {
  const split = splitWords(options.digits ?? 1)
  const pairs = BytePairs.make({
    spell,
    ids,
    never: new Set(special.values()),
    ranks: (piece) => (start, _, end) => ids.get(piece.slice(start, end)) ?? noRank,
    wholeFirst: true
  })
  return TextEncoding.make({
    added: Array.from(special, ([content, id]) => ({ content, id, special: true })),
    ...(options.normalization === "none" ? {} : { normalize: toNfc }),
    encode: (text, use) => split(text, (piece) => pairs(piece, use))
  })
}

const specialIds = (
  ranks: ReadonlyMap<IdBytes.ByteString, number>,
  markup: ReadonlyArray<string>
): ReadonlyMap<string, number> => {
  let first = 0
  for (const rank of ranks.values()) first = Math.max(first, rank + 1)
  return new Map(markup.map((token, index) => [token, first + index]))
}

/**
 * Makes the tokenizer of a rank file.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fn("TokenizerTiktoken.make")(function*(
  options: TokenizerTiktokenOptions
): Effect.fn.Return<Tokenizer["Service"], TokenizerError, FileSystem.FileSystem> {
  const { path } = options
  const text = yield* readText(path)
  const ranks = yield* Effect.fromResult(Ranks.decode(path, text))
  const special = specialIds(ranks, options.specialTokens ?? qwenSpecialTokens)
  const endOfText: Array<number> = []
  for (const token of options.endOfText ?? qwenSpecialTokens.filter((name) => name !== "<|im_start|>")) {
    const id = special.get(token)
    if (id === undefined) {
      return yield* new UnknownSpecialToken({ path, setting: "endOfText", token })
    }
    endOfText.push(id)
  }
  const chat = options.chatTemplate === undefined
    ? ChatTemplate.none
    : yield* Effect.fromResult(
      Result.mapError(
        ChatTemplate.make(options.chatTemplate, {}),
        (reason) => new TokenizerFileInvalid({ path, reason: `the chat template cannot be parsed: ${reason}` })
      )
    )
  const tokens = new Map<number, IdBytes.ByteString>()
  for (const [token, rank] of ranks) tokens.set(rank, token)
  for (const [token, id] of special) tokens.set(id, IdBytes.toByteString(token))
  const ids = IdBytes.make({ tokens, special: new Set(special.values()) })
  return Tokenizer.of({
    vocabularySize: ids.size,
    unusedIds: ids.unused,
    endOfText,
    ...encoderOf(ranks, special, options),
    decode: (list, decodeOptions) => ids.decode(list, decodeOptions?.skipSpecialTokens === true),
    decoder: ids.decoder,
    ...chat
  })
})

/**
 * The tokenizer of a rank file.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: TokenizerTiktokenOptions
): Layer.Layer<Tokenizer, TokenizerError, FileSystem.FileSystem> => Layer.effect(Tokenizer, make(options))
