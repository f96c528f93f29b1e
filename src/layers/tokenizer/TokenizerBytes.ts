/**
 * A tokenizer without a vocabulary file: a token is a byte of UTF-8, and one more id ends a text. For tests, scripted
 * policies, and models that read bytes.
 *
 * @since 0.1.0
 */
import { Layer } from "effect"
import { Tokenizer } from "../../services/Tokenizer.ts"
import * as ChatTemplate from "./ChatTemplate.ts"
import * as TextEncoding from "./TextEncoding.ts"

/**
 * The id that ends a text; its markup is `<|endoftext|>`.
 *
 * @category constants
 * @since 0.1.0
 */
export const endOfText = 256

const markup = "<|endoftext|>"

const encoder = new TextEncoder()

const encoding = TextEncoding.make({
  added: [{ id: endOfText, content: markup, special: true }],
  encode: (text, use) => encoder.encode(text).forEach((byte) => use(byte))
})

const decode = (ids: Int32Array, skipSpecialTokens: boolean): string => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  let text = ""
  let start = 0
  for (let i = 0; i <= ids.length; i++) {
    const id = ids[i]
    if (id !== undefined && id >= 0 && id < 256) continue
    if (i > start) text += decoder.decode(new Uint8Array(ids.subarray(start, i)))
    start = i + 1
    if (id === endOfText) text += skipSpecialTokens ? "" : markup
    else if (id !== undefined) text += "\uFFFD"
  }
  return text
}

const streaming = () => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  const push = (ids: Int32Array) => {
    let text = ""
    for (const id of ids) {
      if (id >= 0 && id < 256) text += decoder.decode(Uint8Array.of(id), { stream: true })
      else text += decoder.decode() + (id === endOfText ? markup : "\uFFFD")
    }
    return text
  }
  return { push, flush: () => decoder.decode() }
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Tokenizer> = Layer.succeed(
  Tokenizer,
  Tokenizer.of({
    vocabularySize: 257,
    endOfText: [endOfText],
    ...encoding,
    decode: (ids, options) => decode(ids, options?.skipSpecialTokens === true),
    decoder: streaming,
    ...ChatTemplate.none
  })
)
