/**
 * Decoding for vocabularies in which every id stands for the same bytes wherever it occurs.
 *
 * @since 0.1.0
 */
import type { StreamingDecoder } from "../../services/Tokenizer.ts"

/**
 * Bytes as a string with one character, U+0000 to U+00FF, for each: a key that a map can hold.
 *
 * @category models
 * @since 0.1.0
 */
export type ByteString = string

const encoder = new TextEncoder()

/**
 * The UTF-8 of `text`; U+FFFD for a lone surrogate.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toByteString = (text: string): ByteString => {
  let bytes = ""
  for (const byte of encoder.encode(text)) bytes += String.fromCharCode(byte)
  return bytes
}

/**
 * How ids become text. `tokens` has no entry for an id that does not exist, which decodes to U+FFFD.
 *
 * @category models
 * @since 0.1.0
 */
export interface IdBytesOptions {
  readonly tokens: ReadonlyMap<number, ByteString>
  /** Ids that `skipSpecialTokens` leaves out. */
  readonly special: ReadonlySet<number>
  /** Written between tokens. */
  readonly separator?: string | undefined
  /** Whether one space at the very beginning of a decoded list is dropped. */
  readonly dropFirstSpace?: boolean | undefined
  /** An id behind which one space is dropped. */
  readonly dropSpaceBehind?: number | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface IdBytes {
  /** One more than the greatest id. */
  readonly size: number
  /** Ids below `size` without a token. */
  readonly unused: ReadonlyArray<number>
  readonly decode: (ids: Int32Array, skipSpecialTokens: boolean) => string
  readonly decoder: () => StreamingDecoder
}

const replacement = encoder.encode("\uFFFD")
const replacementBytes = toByteString("\uFFFD")
const space = 0x20

const textDecoder = () => new TextDecoder("utf-8", { ignoreBOM: true })

/**
 * Puts the bytes of all ids into one buffer, so that decoding touches no object per token.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: IdBytesOptions): IdBytes => {
  let size = 0
  for (const id of options.tokens.keys()) size = Math.max(size, id + 1)
  const unused: Array<number> = []
  for (let id = 0; id < size; id++) if (!options.tokens.has(id)) unused.push(id)
  const tokenOf = (id: number) => options.tokens.get(id) ?? replacementBytes
  const starts = new Int32Array(size + 1)
  for (let id = 0; id < size; id++) starts[id + 1] = starts[id]! + tokenOf(id).length
  const blob = new Uint8Array(starts[size]!)
  for (let id = 0; id < size; id++) {
    const token = tokenOf(id)
    for (let i = 0; i < token.length; i++) blob[starts[id]! + i] = token.charCodeAt(i)
  }
  const separator = encoder.encode(options.separator ?? "")
  const { dropSpaceBehind, special } = options
  const dropFirst = options.dropFirstSpace === true

  /** What of the past decides how the next token is written. */
  interface Past {
    first: boolean
    last: number
  }

  let buffer = new Uint8Array(4096)

  /** The bytes of `ids`, in a buffer that the next call uses again. */
  const bytesOf = (ids: Int32Array, skipSpecialTokens: boolean, past: Past): Uint8Array => {
    let length = 0
    for (const id of ids) {
      if (skipSpecialTokens && special.has(id)) {
        past.last = id
        continue
      }
      const known = id >= 0 && id < size
      const source = known ? blob : replacement
      let start = known ? starts[id]! : 0
      const end = known ? starts[id + 1]! : replacement.length
      if (source[start] === space && start < end) {
        if ((dropFirst && past.first) || (dropSpaceBehind !== undefined && past.last === dropSpaceBehind)) start += 1
      }
      const needed = length + separator.length + end - start
      if (needed > buffer.length) {
        const larger = new Uint8Array(Math.max(needed, buffer.length * 2))
        larger.set(buffer.subarray(0, length))
        buffer = larger
      }
      if (!past.first) { for (let i = 0; i < separator.length; i++) buffer[length++] = separator[i]! }
      for (let i = start; i < end; i++) buffer[length++] = source[i]!
      past.first = false
      past.last = id
    }
    return buffer.subarray(0, length)
  }

  const whole = textDecoder()

  return {
    size,
    unused,
    decode: (ids, skipSpecialTokens) => whole.decode(bytesOf(ids, skipSpecialTokens, { first: true, last: -1 })),
    decoder: () => {
      const growing = textDecoder()
      let past: Past = { first: true, last: -1 }
      return {
        push: (ids) => growing.decode(bytesOf(ids, false, past), { stream: true }),
        flush: () => {
          past = { first: true, last: -1 }
          return growing.decode()
        }
      }
    }
  }
}
