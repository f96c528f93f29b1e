/**
 * Chat templates in Jinja, as Hugging Face's tokenizers carry them.
 *
 * @since 0.1.0
 */
import { Effect, Result } from "effect"
import * as Spans from "../../domain/Spans.ts"
import { ChatTemplateError, type Tokenizer } from "../../services/Tokenizer.ts"
import { Str } from "./jinja/Str.ts"
import * as Template from "./jinja/Template.ts"

/**
 * The part of a tokenizer that a chat template decides.
 *
 * @category models
 * @since 0.1.0
 */
export type ChatTemplate = Pick<Tokenizer["Service"], "hasChatTemplate" | "renderChat" | "applyChatTemplate">

/** {@link Tokenizer} derives the text from the spans. */
const of = (hasChatTemplate: boolean, renderChat: ChatTemplate["renderChat"]): ChatTemplate => ({
  hasChatTemplate,
  renderChat,
  applyChatTemplate: (messages, options) => Effect.map(renderChat(messages, options), Spans.text)
})

/**
 * Without a template: the contents alone, as the reference does (spec §2.1).
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: ChatTemplate = of(
  false,
  (messages) => Effect.succeed(Spans.concat(...messages.map(({ content }) => Spans.from(content))))
)

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
  Result.map(
    Template.make(source),
    (template) =>
      of(true, (messages, { addGenerationPrompt }) =>
        Effect.fromResult(Result.mapError(
          template.render({
            ...variables,
            messages: messages.map(({ content, role }) => ({ role, content: new Str(Spans.from(content)) })),
            add_generation_prompt: addGenerationPrompt,
            // transformers hands tools and documents on, too, as None where there are none.
            tools: null,
            documents: null
          }),
          (reason) => new ChatTemplateError({ reason })
        )))
  )
