/**
 * Demonstrations as tokens.
 *
 * @since 0.2.0
 */
import { Effect } from "effect"
import type { Demonstration, Piece } from "../../domain/Demonstration.ts"
import { promptSpans } from "../../domain/Protocol.ts"
import * as Spans from "../../domain/Spans.ts"
import { type ChatTemplateError, Tokenizer } from "../../services/Tokenizer.ts"

/**
 * The tokens of a demonstration, shape `[tokens]`; `weights` is 1 where the policy wrote them and 0 elsewhere.
 *
 * @category models
 * @since 0.1.0
 */
export interface Example {
  readonly key: string
  readonly ids: Int32Array
  readonly weights: Float32Array
  /** Whether the prompt is another text than the one that was recorded: the one that rollouts of this model have. */
  readonly rendered: boolean
  /** Whether the recording has tokens of another tokenizer; the bytes of scripted policies are nobody's. */
  readonly foreignTokens: boolean
}

type TokenizerService = Tokenizer["Service"]

const byteTokens = 257

/** Whether the tokens are the bytes of the text, as scripted policies speak: no model has learned to write those. */
const areBytes = ({ ids, text }: NonNullable<Piece["recorded"]>): boolean =>
  ids.every((id) => id >= 0 && id < byteTokens) &&
  text.startsWith(new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(ids.filter((id) => id < 256))))

const isOwn = (tokenizer: TokenizerService, recorded: NonNullable<Piece["recorded"]>): boolean => {
  const { ids, text } = recorded
  return ids.every((id) => id >= 0 && id < tokenizer.vocabularySize) && tokenizer.decode(ids) === text &&
    !areBytes(recorded)
}

const specialOf = (tokenizer: TokenizerService, ids: Int32Array): string =>
  ids.filter((id) => tokenizer.specialIds.includes(id)).join()

/**
 * The recorded tokens where they are this tokenizer's, else those of the text. What the policy was shown has no special
 * tokens but those that it would have today.
 */
const tokensOf = (tokenizer: TokenizerService, piece: Piece): Int32Array => {
  const { ends, learned, recorded, spans } = piece
  const known = recorded !== null && isOwn(tokenizer, recorded) ? recorded.ids : null
  if (known !== null && learned) return known
  const encoded = tokenizer.encodeSpans(spans)
  if (known !== null && specialOf(tokenizer, known) === specialOf(tokenizer, encoded)) return known
  const end = ends ? tokenizer.endOfText[0] : undefined
  return end === undefined ? encoded : Int32Array.of(...encoded, end)
}

const opensThought = /<think>\s*$/
const beginsThought = /^\s*<think>\s*/

/** Without the tag with which a thought begins, where the prompt has opened it already. */
const continuing = (pieces: ReadonlyArray<Piece>, prompt: Spans.Spans): ReadonlyArray<Piece> => {
  const [first, ...rest] = pieces
  if (first === undefined || !first.learned || !opensThought.test(Spans.text(prompt))) return pieces
  const text = Spans.text(first.spans)
  const tag = beginsThought.exec(text)?.[0] ?? ""
  return tag === ""
    ? pieces
    : [{ ...first, spans: Spans.slice(first.spans, tag.length, text.length), recorded: null }, ...rest]
}

/** The prompt that rollouts of this model have for the messages, whatever prompt was recorded. */
const promptOf = Effect.fnUntraced(function*(tokenizer: TokenizerService, { prompt, question }: Demonstration) {
  const messages = prompt === null || prompt.messages.length === 0
    ? [{ role: "user" as const, content: promptSpans("search", question) }]
    : prompt.messages
  const spans = yield* tokenizer.renderChat(messages, { addGenerationPrompt: true })
  const opened = prompt?.opened ?? []
  return Spans.text(spans).trimEnd().endsWith(Spans.text(opened).trim()) ? spans : Spans.concat(spans, opened)
})

/**
 * Tokenizes a demonstration. Its prompt is rendered with this model's chat template, as rollouts have it; one that was not
 * recorded is the reference's with the question. Text of others becomes no special token.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toExample = Effect.fnUntraced(function*(
  demonstration: Demonstration,
  key: string
): Effect.fn.Return<Example, ChatTemplateError, Tokenizer> {
  const tokenizer = yield* Tokenizer
  const prompt = yield* promptOf(tokenizer, demonstration)
  const recorded = demonstration.prompt?.text ?? null
  const pieces = continuing(demonstration.pieces, prompt)
  const parts = [
    { ids: tokenizer.encodeSpans(prompt), learned: false },
    ...pieces.map((piece) => ({ ids: tokensOf(tokenizer, piece), learned: piece.learned }))
  ]
  const tokens = parts.reduce((sum, part) => sum + part.ids.length, 0)
  const ids = new Int32Array(tokens)
  const weights = new Float32Array(tokens)
  let offset = 0
  for (const part of parts) {
    ids.set(part.ids, offset)
    if (part.learned) weights.fill(1, offset, offset + part.ids.length)
    offset += part.ids.length
  }
  return {
    key,
    ids,
    weights,
    rendered: recorded !== null && recorded !== Spans.text(prompt),
    foreignTokens: pieces.some(({ learned, recorded }) =>
      learned && recorded !== null && !isOwn(tokenizer, recorded) && !areBytes(recorded)
    )
  }
})
