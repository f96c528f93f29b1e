/**
 * The part of a tokenizer that measuring and cutting texts needs.
 *
 * @since 0.1.0
 */
import type { Spans } from "./Spans.ts"

/**
 * Text to token ids and back, both total. Marks of special tokens count in text of this package's own only.
 *
 * @category models
 * @since 0.1.0
 */
export interface Codec {
  encodeSpans(text: Spans): Int32Array
  decode(ids: Int32Array): string
}

/**
 * The smallest number of leading tokens whose text has at least `length` characters.
 *
 * @category combinators
 * @since 0.1.0
 */
export const tokensCovering = (codec: Codec, ids: Int32Array, length: number): number => {
  let low = 0
  let high = ids.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (codec.decode(ids.subarray(0, middle)).length >= length) high = middle
    else low = middle + 1
  }
  return low
}

/**
 * The text of the first `count` tokens without a character that the cut split.
 *
 * @category combinators
 * @since 0.1.0
 */
export const leadingText = (codec: Codec, ids: Int32Array, count: number): string => {
  if (count <= 0) return ""
  const text = codec.decode(ids.subarray(0, count))
  let end = text.length
  while (end > 0 && text[end - 1] === "\uFFFD") end--
  return text.slice(0, end)
}
