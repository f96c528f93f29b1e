/**
 * The alphabet of byte-level vocabularies: GPT-2's `bytes_to_unicode`, which gives each byte a printable character.
 *
 * @since 0.1.0
 */
import { type ByteString, toByteString } from "./IdBytes.ts"

const isPrintable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)

/** The byte that each character stands for. */
const bytes: ReadonlyMap<string, string> = (() => {
  const map = new Map<string, string>()
  let others = 0
  for (let byte = 0; byte < 256; byte++) {
    map.set(String.fromCharCode(isPrintable(byte) ? byte : 256 + others++), String.fromCharCode(byte))
  }
  return map
})()

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
