/**
 * Observations within a token budget.
 *
 * @since 0.1.0
 */
import { type Codec, leadingText } from "./Codec.ts"
import type { Document } from "./Document.ts"
import { formatDocument, formatDocuments, informationSpans, neutralized, wrapInformation } from "./Protocol.ts"
import * as Spans from "./Spans.ts"

/**
 * How search results become an observation.
 *
 * @category models
 * @since 0.1.0
 */
export interface ObservationOptions {
  readonly maxTokens: number
  /**
   * `perDocument` shares the budget among the documents, cuts their bodies and always closes the tag. `rightTokens` is
   * the reference: the first `maxTokens` ids, whatever they hold (quirk Q5).
   */
  readonly truncation: "perDocument" | "rightTokens"
  readonly neutralizeTags: boolean
}

/**
 * An observation's text with its ids, shape `[tokens]`. `truncated` counts the documents that were cut or left out.
 *
 * @category models
 * @since 0.1.0
 */
export interface Observation {
  readonly text: string
  readonly ids: Int32Array
  readonly truncated: number
}

/**
 * Shares `budget` among `needs`: who needs less than an equal share gives the rest to the others.
 */
const fairShares = (needs: ReadonlyArray<number>, budget: number): ReadonlyArray<number> => {
  const shares = needs.map(() => 0)
  const byNeed = needs.map((_, index) => index).sort((a, b) => (needs[a] ?? 0) - (needs[b] ?? 0))
  let left = Math.max(0, budget)
  byNeed.forEach((index, taken) => {
    const share = Math.min(needs[index] ?? 0, Math.floor(left / (byNeed.length - taken)))
    shares[index] = share
    left -= share
  })
  return shares
}

const rightTokens = (codec: Codec, spans: Spans.Spans, documents: number, maxTokens: number): Observation => {
  const ids = codec.encodeSpans(spans)
  return ids.length <= maxTokens
    ? { text: Spans.text(spans), ids, truncated: 0 }
    : { text: codec.decode(ids.subarray(0, maxTokens)), ids: ids.slice(0, maxTokens), truncated: documents }
}

/**
 * Formats search results as `\n\n<information>…</information>\n\n` within a token budget (spec §5.3, §1.5).
 *
 * With `perDocument`, documents that are too long lose the end of their body, in equal shares; the closing tag is always
 * there, even when the budget is smaller than the empty block. The documents are foreign text: no mark in them becomes a
 * special token.
 *
 * @category formatting
 * @since 0.1.0
 */
export const informationObservation = (
  codec: Codec,
  documents: ReadonlyArray<Document>,
  options: ObservationOptions
): Observation => {
  const shown = options.neutralizeTags ? documents.map(neutralized) : documents
  const spans = informationSpans(formatDocuments(shown))
  if (options.truncation === "rightTokens") return rightTokens(codec, spans, shown.length, options.maxTokens)

  const ids = codec.encodeSpans(spans)
  if (ids.length <= options.maxTokens) return { text: Spans.text(spans), ids, truncated: 0 }

  const lines = shown.map((document, index) => formatDocument(document, index + 1))
  const encoded = lines.map((line) => codec.encodeSpans(Spans.foreign(line)))
  const needs = encoded.map((line) => line.length)
  const overhead = codec.encodeSpans(informationSpans("\n".repeat(Math.max(0, lines.length - 1)))).length
  // A cut text may encode to more tokens than the ids it was cut from, and tokens may merge or split where the pieces
  // meet; so the result is measured and the budget tightened by what it is over until it fits.
  for (let budget = options.maxTokens - overhead; budget > 0;) {
    const shares = fairShares(needs, budget)
    const kept = lines.map((line, index) => {
      const own = encoded[index]
      const share = shares[index] ?? 0
      return own === undefined || share >= own.length ? line : leadingText(codec, own, share).trimEnd()
    })
    const cut = informationSpans(kept.filter((line) => line !== "").join("\n"))
    const cutIds = codec.encodeSpans(cut)
    if (cutIds.length <= options.maxTokens) {
      return {
        text: Spans.text(cut),
        ids: cutIds,
        truncated: kept.filter((line, index) => line !== lines[index]).length
      }
    }
    budget -= Math.max(1, cutIds.length - options.maxTokens)
  }
  const empty = wrapInformation("")
  return { text: empty, ids: codec.encodeSpans(Spans.own(empty)), truncated: lines.length }
}

/**
 * A fixed message of this package's own as an observation; cut from the right only where the reference would (quirk Q5b).
 *
 * @category formatting
 * @since 0.1.0
 */
export const messageObservation = (
  codec: Codec,
  message: string,
  options: Pick<ObservationOptions, "maxTokens" | "truncation">
): Observation =>
  options.truncation === "rightTokens"
    ? rightTokens(codec, Spans.own(message), 0, options.maxTokens)
    : { text: message, ids: codec.encodeSpans(Spans.own(message)), truncated: 0 }
