/**
 * The alphabet of byte-level vocabularies: GPT-2's `bytes_to_unicode`, which gives each byte a printable character.
 *
 * @since 0.1.0
 */
import { type ByteString, toByteString } from "../IdBytes.ts"

const isPrintable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)

/**
 * The character of each byte, in the order of the bytes.
 *
 * @category constants
 * @since 0.1.0
 */
export const alphabet: ReadonlyArray<string> = (() => {
  let others = 0
  return Array.from(
    { length: 256 },
    (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : 256 + others++)
  )
})()

/** The byte that each character stands for. */
const bytes: ReadonlyMap<string, string> = new Map(
  alphabet.map((character, byte) => [character, String.fromCharCode(byte)])
)

const encoder = new TextEncoder()

/**
 * The UTF-8 of `text` in the alphabet.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toAlphabet = (text: string): string => {
  let result = ""
  for (const byte of encoder.encode(text)) result += alphabet[byte]!
  return result
}

/**
 * The bytes of a token of such a vocabulary. A token with a character outside of the alphabet is plain text.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromAlphabet = (token: string): ByteString => {
  let result = ""
  for (const character of token) {
    const byte = bytes.get(character)
    if (byte === undefined) return toByteString(token)
    result += byte
  }
  return result
}
