/**
 * Encoding by `@huggingface/tokenizers`.
 *
 * @since 0.2.0
 */
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers"
import { Effect } from "effect"
import { type AddedToken, isControl } from "./AddedTokens.ts"
import * as TextEncoding from "./TextEncoding.ts"
import { type TokenizerError, TokenizerFileInvalid, TokenizerUnsupported } from "./TokenizerErrors.ts"
import type { TokenizerJson } from "./TokenizerJsonFile.ts"

/** The library tells of a part that it lacks with one form of words, and of everything else with others. */
const libraryError = (path: string, message: string): TokenizerError => {
  const [, part, found] = /^Unknown (\S+) type: (.*)$/u.exec(message) ?? []
  return part === undefined || found === undefined
    ? new TokenizerFileInvalid({ path, reason: message })
    : new TokenizerUnsupported({ path, part, found, supported: ["what @huggingface/tokenizers implements"] })
}

/** What the library answers for a piece that its vocabulary has no token for. */
const unknownId = (json: TokenizerJson, library: HuggingFaceTokenizer): number | undefined =>
  library.model?.unk_token_id ?? (typeof json.model.unk_token === "string"
    ? library.model?.tokens_to_ids.get(json.model.unk_token)
    : undefined)

/**
 * A vocabulary without the tokens that only markup has. In Unigram's list a place is an id, so that a word which no text
 * holds stands in: a noncharacter of Unicode.
 */
const withoutControl = (vocabulary: unknown, never: ReadonlySet<number>): unknown =>
  Array.isArray(vocabulary)
    ? vocabulary.map((pair: unknown, id) =>
      Array.isArray(pair) && never.has(id) ? [`\uFFFF${id}\uFFFF`, pair[1]] : pair
    )
    : vocabulary

/** Everything but added tokens, which are found in front of the library: it cannot leave them out of parts of a text. */
const open = (json: TokenizerJson, never: ReadonlySet<number>): HuggingFaceTokenizer =>
  new HuggingFaceTokenizer(
    { ...json, added_tokens: [], model: { ...json.model, vocab: withoutControl(json.model.vocab, never) } },
    // An unknown word needs the id of a token that the library looks for in the other file.
    { unk_token: json.model.unk_token ?? undefined }
  )

/**
 * Encodes through the library, which knows every kind of model, normalizer and pre-tokenizer. No text becomes one of the
 * `added` tokens that are control tokens but for the one that stands for unknown words.
 *
 * @category constructors
 * @since 0.2.0
 */
export const throughLibrary = (
  path: string,
  json: TokenizerJson,
  added: ReadonlyArray<AddedToken>
): Effect.Effect<TextEncoding.TextEncoding, TokenizerError> => {
  const isUnknown = ({ content, id }: AddedToken) => content === json.model.unk_token || id === json.model["unk_id"]
  const unknownToken = added.find(isUnknown)
  const control = added.filter((token) => isControl(token) && !isUnknown(token))
  const never = new Set(control.map(({ id }) => id))
  /** Foreign markup is not to be read as a special token that stands for unknown words. */
  const isLeftOut = (word: string): boolean =>
    unknownToken?.special === true && control.some(({ content }) => word.includes(content))
  return Effect.try({
    try: () => open(json, never),
    catch: (cause) => libraryError(path, cause instanceof Error ? cause.message : String(cause))
  }).pipe(Effect.flatMap((library) => {
    const { model, normalizer, pre_tokenizer: preTokenizer } = library
    if (model === null) return Effect.fail(new TokenizerFileInvalid({ path, reason: "it has no model" }))
    const unknown = unknownId(json, library)
    for (const { content } of control) model.tokens_to_ids.delete(content)
    return Effect.succeed(TextEncoding.make({
      added,
      unknown: unknownToken?.id,
      ...(normalizer === null ? {} : { normalize: (text) => normalizer(text) }),
      encode: (text, use, { start }) => {
        if (text === "") return
        const words = preTokenizer === null ? [text] : preTokenizer(text, { section_index: start === 0 ? 0 : 1 })
        for (const token of model(words)) {
          // The library answers undefined for a piece that the vocabulary has no token for, not even an unknown one.
          const found = model.tokens_to_ids.get(token)
          const id = found === undefined || never.has(found) ? unknown : found
          if (id !== undefined && !(id === unknown && isLeftOut(token))) use(id)
        }
      }
    }))
  }))
}
