/**
 * Encoding of whole texts: marks of tokens, normal form, then whatever a vocabulary does with the text between them.
 *
 * @since 0.2.0
 */
import * as Spans from "../../domain/Spans.ts"
import * as AddedTokens from "./AddedTokens.ts"

/**
 * Where a stretch of text without marks stands: `start` is its offset, `texts` counts those in front of it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Place {
  readonly start: number
  readonly texts: number
}

/**
 * @category models
 * @since 0.2.0
 */
export interface TextEncodingOptions {
  readonly added: ReadonlyArray<AddedTokens.AddedToken>
  /** What is done with text between marks before it is encoded; nothing unless given. */
  readonly normalize?: ((text: string) => string) | undefined
  readonly unknown?: number | undefined
  /** Hands the ids of normalised text without marks on in order: none but those of text. */
  readonly encode: (text: string, use: (id: number) => void, place: Place) => void
}

/**
 * From texts to ids. No foreign text becomes one of `specialIds`.
 *
 * @category models
 * @since 0.2.0
 */
export interface TextEncoding {
  readonly specialIds: ReadonlyArray<number>
  readonly encode: (text: string) => Int32Array
  readonly encodeSpans: (text: Spans.Spans) => Int32Array
}

/** {@link Spans.isOwn} of a stretch of spans after it was normalised. Where the parts cannot be told, nothing is own. */
const ownAfter = (spans: Spans.Spans, normalized: string, normalize: (text: string) => string) => {
  if (spans.every(({ foreign }) => !foreign)) return () => true
  const moved: Array<Spans.Span> = []
  let original = ""
  let reached = 0
  for (const { foreign, text } of spans) {
    original += text
    const before = normalize(original)
    if (!normalized.startsWith(before) || before.length < reached) return () => false
    moved.push({ text: normalized.slice(reached, before.length), foreign })
    reached = before.length
  }
  return reached === normalized.length ? Spans.isOwn(moved) : () => false
}

/**
 * Makes the encoding of texts. `unknown` is the id that words without a token get, where it is that of an added token: any
 * text may have it.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (options: TextEncodingOptions): TextEncoding => {
  const { added, encode, normalize } = options
  const unnormalized = AddedTokens.splitter(added.filter(({ normalized }) => normalized !== true))
  const inNormalForm = added.flatMap((token) =>
    token.normalized === true ? [{ ...token, content: normalize?.(token.content) ?? token.content }] : []
  )
  const normalized = AddedTokens.splitter(inNormalForm)
  let ids = new Int32Array(1024)
  let count = 0
  const add = (id: number) => {
    if (count === ids.length) {
      const larger = new Int32Array(2 * count)
      larger.set(ids)
      ids = larger
    }
    ids[count++] = id
  }
  const encodeSpans = (spans: Spans.Spans): Int32Array => {
    count = 0
    const text = Spans.text(spans)
    const isOwn = Spans.isOwn(spans)
    let texts = 0
    for (const piece of unnormalized(text, isOwn)) {
      if (typeof piece === "number") {
        add(piece)
        continue
      }
      const { end, start } = piece
      const original = text.slice(start, end)
      const normal = normalize === undefined ? original : normalize(original)
      if (inNormalForm.length === 0) {
        encode(normal, add, { start, texts: texts++ })
        continue
      }
      const mayControl = normalize === undefined
        ? (from: number, to: number) => isOwn(start + from, start + to)
        : ownAfter(Spans.slice(spans, start, end), normal, normalize)
      for (const part of normalized(normal, mayControl)) {
        if (typeof part === "number") add(part)
        else encode(normal.slice(part.start, part.end), add, { start: start + part.start, texts: texts++ })
      }
    }
    return ids.slice(0, count)
  }
  return {
    specialIds: added.flatMap((token) =>
      AddedTokens.isControl(token) && token.id !== options.unknown ? [token.id] : []
    ),
    encode: (text) => encodeSpans(Spans.own(text)),
    encodeSpans
  }
}
