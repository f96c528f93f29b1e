/**
 * The word-level tokenizer of the fictional encyclopedia, for models that are made with `search-r1 pretrain`.
 *
 * @since 0.1.0
 */
import { Layer } from "effect"
import * as Spans from "../../domain/Spans.ts"
import * as Vocabulary from "../../domain/world/Vocabulary.ts"
import { Tokenizer } from "../../services/Tokenizer.ts"
import * as ChatTemplate from "./ChatTemplate.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The words: `Vocabulary.world` unless given, `Vocabulary.recipe` for models with 275 tokens. */
  readonly vocabulary?: Vocabulary.Vocabulary | undefined
}

/**
 * A token is a word, a sign, or a fixed text of the protocol. Upper case, spaces and quotation marks are not kept;
 * decoded tokens have a space between them.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Tokenizer> => {
  const vocabulary = options?.vocabulary ?? Vocabulary.world
  const { decode, encodeSpans, endOfText, pad, specialIds, unknown } = vocabulary
  // where padding stands for unknown words it is text
  const isText = (id: number): boolean => id !== endOfText && (id !== pad || pad === unknown)
  return Layer.succeed(
    Tokenizer,
    Tokenizer.of({
      vocabularySize: vocabulary.tokens.length,
      endOfText: [endOfText],
      specialIds,
      encode: (text) => encodeSpans(Spans.own(text)),
      encodeSpans,
      decode: (ids, options) => decode(options?.skipSpecialTokens === true ? ids.filter(isText) : ids),
      decoder: () => {
        let separator = ""
        const push = (ids: Int32Array): string => {
          if (ids.length === 0) return ""
          const text = separator + decode(ids)
          separator = " "
          return text
        }
        return { push, flush: () => "" }
      },
      ...ChatTemplate.none
    })
  )
}
