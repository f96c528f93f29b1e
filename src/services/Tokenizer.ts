/**
 * Text to token ids and back.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Schema } from "effect"
import type { Spans } from "../domain/Spans.ts"

/**
 * A conversation could not be rendered with the tokenizer's chat template.
 *
 * @category errors
 * @since 0.1.0
 */
export class ChatTemplateError extends Schema.TaggedError<ChatTemplateError>()("ChatTemplateError", {
  reason: Schema.String
}) {
  override get message() {
    return `the chat template cannot render this conversation: ${this.reason}`
  }
}

/**
 * One message of a conversation. Content that is a string is foreign text: marks in it are text.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool"
  readonly content: string | Spans
}

/**
 * Decodes a growing list of ids without ever splitting a character: bytes of an incomplete one are held back.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamingDecoder {
  /** Text of the ids that came so far and not yet given. The array is the caller's: a decoder keeps no hold of it. */
  readonly push: (ids: Int32Array) => string
  /** What is held back, with U+FFFD for a character that never became complete. */
  readonly flush: () => string
}

/**
 * The tokenizer of a policy. Encoding and decoding are total: any text has ids, unknown ids decode to U+FFFD.
 *
 * @category services
 * @since 0.1.0
 */
export class Tokenizer extends Context.Service<Tokenizer, {
  /** One more than the greatest id. */
  readonly vocabularySize: number
  /** Ids below `vocabularySize` that stand for no token; absent where there are none. */
  readonly unusedIds?: ReadonlyArray<number> | undefined
  /** Ids that end a text. */
  readonly endOfText: ReadonlyArray<number>
  /**
   * Ids that a template, the protocol or the model itself may write and no foreign text ever becomes: special tokens, and
   * added tokens that are spelled as markup.
   */
  readonly specialIds: ReadonlyArray<number>
  /**
   * Ids of a text that is all this package's own: markup of special tokens in it counts, and none is added around it. For
   * any other text there is `encodeSpans`.
   */
  encode(text: string): Int32Array
  /** Ids of a text of several authors: markup counts in its own parts only. Equal to `encode` where no part is foreign. */
  encodeSpans(text: Spans): Int32Array
  /** Text of `ids`, special tokens included unless `skipSpecialTokens`. */
  decode(ids: Int32Array, options?: { readonly skipSpecialTokens?: boolean | undefined }): string
  decoder(): StreamingDecoder
  /** Whether the tokenizer comes with a chat template. */
  readonly hasChatTemplate: boolean
  /** The text of a conversation; without a template the contents alone, as the reference does (spec §2.1). */
  renderChat(
    messages: ReadonlyArray<ChatMessage>,
    options: { readonly addGenerationPrompt: boolean }
  ): Effect.Effect<Spans, ChatTemplateError>
  /** The same without who wrote what: to be shown, not to be encoded. */
  applyChatTemplate(
    messages: ReadonlyArray<ChatMessage>,
    options: { readonly addGenerationPrompt: boolean }
  ): Effect.Effect<string, ChatTemplateError>
}>()("effect-search-r1/services/Tokenizer") {}
