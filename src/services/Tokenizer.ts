/**
 * Text to token ids and back.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Schema } from "effect"

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
 * One message of a conversation.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool"
  readonly content: string
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
  /** Ids of `text` without the special tokens that a model may want around it; markup of special tokens in it counts. */
  encode(text: string): Int32Array
  /** Text of `ids`, special tokens included unless `skipSpecialTokens`. */
  decode(ids: Int32Array, options?: { readonly skipSpecialTokens?: boolean | undefined }): string
  decoder(): StreamingDecoder
  /** Whether the tokenizer comes with a chat template. */
  readonly hasChatTemplate: boolean
  /** The text of a conversation; without a template the contents alone, as the reference does (spec §2.1). */
  applyChatTemplate(
    messages: ReadonlyArray<ChatMessage>,
    options: { readonly addGenerationPrompt: boolean }
  ): Effect.Effect<string, ChatTemplateError>
}>()("effect-search-r1/services/Tokenizer") {}
