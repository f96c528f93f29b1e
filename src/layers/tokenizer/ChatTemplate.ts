/**
 * Chat templates in Jinja, as Hugging Face's tokenizers carry them.
 *
 * @since 0.1.0
 */
import { Template } from "@huggingface/jinja"
import { Effect, Result } from "effect"
import { ChatTemplateError, type Tokenizer } from "../../services/Tokenizer.ts"

/**
 * The part of a tokenizer that a chat template decides.
 *
 * @category models
 * @since 0.1.0
 */
export type ChatTemplate = Pick<Tokenizer["Service"], "hasChatTemplate" | "applyChatTemplate">

/**
 * Without a template: the contents alone, as the reference does (spec §2.1).
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: ChatTemplate = {
  hasChatTemplate: false,
  applyChatTemplate: (messages) => Effect.succeed(messages.map((message) => message.content).join(""))
}

const reasonOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/**
 * Parses a template; the failure says what is wrong with it. `variables` are what it may refer to beside the
 * conversation, such as `bos_token`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  source: string,
  variables: Readonly<Record<string, string>>
): Result.Result<ChatTemplate, string> =>
  Result.try({ try: () => new Template(source), catch: reasonOf }).pipe(
    Result.map((template): ChatTemplate => ({
      hasChatTemplate: true,
      applyChatTemplate: (messages, { addGenerationPrompt }) =>
        Effect.try({
          // transformers hands tools and documents on, too, as None where there are none.
          try: () =>
            template.render({
              ...variables,
              messages,
              add_generation_prompt: addGenerationPrompt,
              tools: null,
              documents: null
            }),
          catch: (cause) => new ChatTemplateError({ reason: reasonOf(cause) })
        })
    }))
  )
