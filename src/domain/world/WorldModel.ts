/**
 * The shape of the base model for the search world, and its tokenizer as a file.
 *
 * @since 0.1.0
 */
import { type ModelConfig, plainLlama } from "../ModelConfig.ts"
import { questionId, searchInstruction, type Vocabulary } from "./Vocabulary.ts"
import { forms } from "./Words.ts"

/**
 * Tokens of the longest context.
 *
 * @category constants
 * @since 0.1.0
 */
export const contextTokens = 384

/**
 * A Llama with SwiGLU of three times its width and tied embeddings: 0.9 million weights at width 128 with four layers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const config = (options: {
  readonly vocabulary: Vocabulary
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
}): ModelConfig =>
  plainLlama({
    vocabularySize: options.vocabulary.tokens.length,
    hiddenSize: options.hiddenSize,
    layers: options.layers,
    heads: options.heads,
    maxPositions: contextTokens,
    endOfText: options.vocabulary.endOfText,
    pad: options.vocabulary.pad
  })

/**
 * Why a model of these sizes cannot be made, or nothing.
 *
 * @category validation
 * @since 0.1.0
 */
export const sizeProblem = (
  { heads, hiddenSize }: { readonly heads: number; readonly hiddenSize: number }
): string | undefined =>
  hiddenSize % heads !== 0 || (hiddenSize / heads) % 2 !== 0
    ? `a width of ${hiddenSize} cannot be shared by ${heads} heads: each needs an even number of dimensions`
    : undefined

const replace = (pattern: { readonly String: string } | { readonly Regex: string }, content: string) => ({
  type: "Replace",
  pattern,
  content
})

/**
 * The content of a `tokenizer.json` with which the libraries of Hugging Face encode prompts of the `search` template,
 * passages and actions as the vocabulary does. (The other templates' instructions are one token here and many there.)
 *
 * @category encoding
 * @since 0.1.0
 */
export const tokenizerJson = (vocabulary: Vocabulary): Readonly<Record<string, unknown>> => {
  const tokens = vocabulary.tokens.map((token, id) => id === questionId ? searchInstruction : token)
  const whole = tokens.flatMap((content, id) =>
    /^<.*>$/.test(content) || content.includes(" ") ? [{ content, id }] : []
  )
  const special = new Set([vocabulary.pad, vocabulary.endOfText])
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: whole.map(({ content, id }) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: special.has(id)
    })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        replace({ Regex: "Doc [0-9]+\\(Title:" }, " | "),
        replace({ String: "\"" }, " "),
        replace({ String: ")" }, " : "),
        { type: "Lowercase" },
        ...forms.map(([form, word]) => replace({ Regex: `\\b${form}\\b` }, word))
      ]
    },
    pre_tokenizer: {
      type: "Split",
      pattern: { Regex: "[\\p{L}\\p{M}\\p{N}]+|[^\\s]" },
      behavior: "Removed",
      invert: true
    },
    post_processor: null,
    decoder: null,
    model: {
      type: "WordLevel",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      unk_token: tokens[vocabulary.unknown]
    }
  }
}
