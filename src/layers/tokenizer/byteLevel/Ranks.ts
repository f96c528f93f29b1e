/**
 * Rank files of tiktoken: a line holds the bytes of a token in base64 and its rank, which is its id.
 *
 * @since 0.1.0
 */
import { Result } from "effect"
import type { ByteString } from "../IdBytes.ts"
import { TokenizerFileInvalid } from "../TokenizerErrors.ts"

const base64 = /^[A-Za-z0-9+/]+={0,2}$/u

/**
 * The ids of a file's tokens by their bytes.
 *
 * @category conversions
 * @since 0.1.0
 */
export const decode = (
  path: string,
  text: string
): Result.Result<ReadonlyMap<ByteString, number>, TokenizerFileInvalid> => {
  const refuse = (reason: string) => Result.fail(new TokenizerFileInvalid({ path, reason }))
  const ranks = new Map<ByteString, number>()
  const seen = new Set<number>()
  let line = 0
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf("\n", start)
    const end = newline === -1 ? text.length : newline
    const content = text.slice(start, end).trim()
    start = end + 1
    line += 1
    if (content === "") continue
    const separator = content.indexOf(" ")
    const token = content.slice(0, separator)
    const rank = Number(content.slice(separator + 1))
    if (separator < 1 || !base64.test(token) || !Number.isInteger(rank) || rank < 0) {
      return refuse(`line ${line}: expected the bytes of a token in base64, a space and its rank`)
    }
    if (seen.has(rank)) return refuse(`line ${line}: the rank ${rank} is there twice`)
    seen.add(rank)
    ranks.set(atob(token), rank)
  }
  if (ranks.size === 0) return refuse("it holds no tokens")
  for (let byte = 0; byte < 256; byte++) {
    if (!ranks.has(String.fromCharCode(byte))) {
      return refuse(`it lacks the byte ${byte}: a byte-level vocabulary has a token for each of the 256`)
    }
  }
  return Result.succeed(ranks)
}
