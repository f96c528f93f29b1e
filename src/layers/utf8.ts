/**
 * Decodes UTF-8 and tells where it is none, and names files that are no text at all.
 *
 * @since 0.2.0
 */
// whether bytes are UTF-8 is asked of Node, which answers at the speed of memory.
// @effect-diagnostics nodeBuiltinImport:off
import { Result } from "effect"
import { isUtf8 } from "node:buffer"

const starts = (bytes: Uint8Array, ...prefix: ReadonlyArray<number>): boolean =>
  prefix.every((byte, index) => bytes[index] === byte)

const ascii = (text: string): ReadonlyArray<number> => Array.from(text, (character) => character.charCodeAt(0))

const utf16 = (name: string, from: string): string =>
  `this file is ${name}, and UTF-8 is needed: iconv -f ${from} -t UTF-8 OLD > NEW`

/** First bytes of what is often taken for text, longer ones first. */
const formats: ReadonlyArray<readonly [bytes: ReadonlyArray<number>, reason: string]> = [
  [[0xff, 0xfe, 0, 0], utf16("UTF-32 (little endian, by its byte-order mark)", "UTF-32")],
  [[0, 0, 0xfe, 0xff], utf16("UTF-32 (big endian, by its byte-order mark)", "UTF-32")],
  [[0xff, 0xfe], utf16("UTF-16 (little endian, by its byte-order mark)", "UTF-16")],
  [[0xfe, 0xff], utf16("UTF-16 (big endian, by its byte-order mark)", "UTF-16")],
  [ascii("PAR1"), "this is a Parquet file, and text is needed here"],
  [ascii("PARE"), "this is an encrypted Parquet file, and text is needed here"],
  [ascii("ARROW1"), "this is an Arrow file, and text is needed here: in Python, pyarrow.feather.read_table reads it"],
  [[0xff, 0xff, 0xff, 0xff], "this is an Arrow stream, and text is needed here: datasets.Dataset.from_file reads it"],
  [ascii("SR1-BM25"), "this is an index of this program, and text is needed here"],
  [ascii("SQLite format 3"), "this is an SQLite database, and text is needed here"],
  [[0x93, ...ascii("NUMPY")], "this is a NumPy array, and text is needed here"],
  [[0x50, 0x4b, 3, 4], "this is a zip archive: unpack it first"],
  [ascii("BZh"), "this file is compressed with bzip2, which is not read here: bunzip2 unpacks it"],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], "this file is compressed with xz, which is not read here: unxz unpacks it"],
  [[0x28, 0xb5, 0x2f, 0xfd], "this file is compressed with zstd, which is not read here: unzstd unpacks it"],
  [[0x1f, 0x8b], "this file is compressed with gzip twice: gunzip takes one layer off"]
]

/**
 * As many bytes as {@link noText} looks at.
 *
 * @category constants
 * @since 0.2.0
 */
export const headLength = 16

/**
 * Why a file that begins with these bytes is no UTF-8 text, or `undefined`. Text has no zero bytes, UTF-16 and UTF-32 do.
 *
 * @category getters
 * @since 0.2.0
 */
export const noText = (first: Uint8Array): string | undefined => {
  for (const [bytes, reason] of formats) if (starts(first, ...bytes)) return reason
  const [a, b] = first
  return first.length >= 2 && (a === 0) !== (b === 0)
    ? utf16("UTF-16 or UTF-32 without a byte-order mark", a === 0 ? "UTF-16BE" : "UTF-16LE")
    : undefined
}

/** Bytes at the end that begin a character which the next bytes may complete. */
const incomplete = (bytes: Uint8Array): number => {
  for (let length = 1; length <= Math.min(3, bytes.length); length++) {
    const byte = bytes[bytes.length - length] ?? 0
    if (byte >= 0xc0) return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > length ? length : 0
    if (byte < 0x80) return 0
  }
  return 0
}

const newlines = (bytes: Uint8Array): number => {
  let count = 0
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) count++
  return count
}

/**
 * Text that arrives in pieces, with the 1-based lines that hold bytes which are no UTF-8: these are decoded as U+FFFD. A
 * U+FFFD that the text itself holds is no fault.
 *
 * @category models
 * @since 0.2.0
 */
export interface Piece {
  readonly text: string
  readonly broken: ReadonlyArray<number>
}

/**
 * A decoder in use. Broken lines are looked for only where the decoded text holds U+FFFD.
 *
 * @category constructors
 * @since 0.2.0
 */
export const decoder = () => {
  const text = new TextDecoder()
  let line = 1
  let lastBroken = 0
  let rest = new Uint8Array()
  /** The decoder may give up a character before all of its bytes are looked at here. */
  let suspect = false

  const brokenIn = (bytes: Uint8Array): ReadonlyArray<number> => {
    const found: Array<number> = []
    let from = 0
    for (let at = line; from <= bytes.length; at++) {
      const end = bytes.indexOf(10, from)
      const part = bytes.subarray(from, end === -1 ? bytes.length : end)
      // a line may be broken in several pieces
      if (!isUtf8(part) && at !== lastBroken) found.push(lastBroken = at)
      if (end === -1) break
      from = end + 1
    }
    return found
  }

  const take = (bytes: Uint8Array, decoded: string): Piece => {
    suspect ||= decoded.includes("\uFFFD")
    const broken = suspect ? brokenIn(bytes) : []
    suspect &&= rest.length > 0
    line += newlines(bytes)
    return { text: decoded, broken }
  }

  return {
    push: (bytes: Uint8Array): Piece => {
      const whole = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
      const end = whole.length - incomplete(whole)
      rest = Uint8Array.from(whole.subarray(end))
      return take(whole.subarray(0, end), text.decode(bytes, { stream: true }))
    },
    end: (): Piece => {
      const last = rest
      rest = new Uint8Array()
      return take(last, text.decode())
    }
  }
}

/**
 * The text of a whole file that must be UTF-8, without its byte-order mark, or why it is none.
 *
 * @category decoding
 * @since 0.2.0
 */
export const whole = (bytes: Uint8Array): Result.Result<string, string> => {
  const reason = noText(bytes)
  if (reason !== undefined) return Result.fail(reason)
  const decoding = decoder()
  const pieces = [decoding.push(bytes), decoding.end()]
  const line = pieces.flatMap(({ broken }) => broken)[0]
  return line === undefined
    ? Result.succeed(pieces.map(({ text }) => text).join(""))
    : Result.fail(`line ${line} holds bytes that are no UTF-8`)
}
