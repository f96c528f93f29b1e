/**
 * The tokenizer of llama2.c (`tokenizer.bin`, `tok512.bin`): SentencePiece's byte pairs by score with bytes as the last
 * resort, as `run.c` encodes.
 *
 * @since 0.1.0
 */
import { Effect, FileSystem, Layer, Result } from "effect"
import { Tokenizer } from "../../services/Tokenizer.ts"
import { mergePairs, noRank } from "./byteLevel/mergePairs.ts"
import * as ChatTemplate from "./ChatTemplate.ts"
import * as IdBytes from "./IdBytes.ts"
import * as TextEncoding from "./TextEncoding.ts"
import { fromPlatform, type TokenizerError, TokenizerFileInvalid } from "./TokenizerErrors.ts"

/** The first ids are `<unk>`, `<s>`, `</s>`, then the 256 bytes. */
const unknown = 0
const beginOfText = 1
const endOfText = 2
const firstByte = 3

interface Entry {
  readonly token: string
  readonly score: number
}

const decodeFile = (path: string, bytes: Uint8Array): Result.Result<ReadonlyArray<Entry>, TokenizerFileInvalid> => {
  const refuse = (reason: string) => Result.fail(new TokenizerFileInvalid({ path, reason }))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
  const entries: Array<Entry> = []
  // The file begins with the length of the longest token, which nothing here needs.
  let position = 4
  while (position < bytes.length) {
    const id = entries.length
    if (position + 8 > bytes.length) return refuse(`it ends within token ${id}`)
    const length = view.getInt32(position + 4, true)
    const end = position + 8 + length
    if (length < 0 || end > bytes.length) {
      return refuse(`token ${id} has ${length} bytes, ${bytes.length - position - 8} are left in the file`)
    }
    entries.push({
      score: view.getFloat32(position, true),
      token: decoder.decode(bytes.subarray(position + 8, end))
    })
    position = end
  }
  return entries.length < firstByte + 256
    ? refuse(`it holds ${entries.length} tokens; expected three special ones, the 256 bytes and more`)
    : Result.succeed(entries)
}

/** Ranks by score: the greatest score first, equal scores equal. */
const ranksOf = (entries: ReadonlyArray<Entry>): ReadonlyMap<string, number> => {
  const scores = [...new Set(entries.map(({ score }) => score))].sort((a, b) => b - a)
  const rankOfScore = new Map(scores.map((score, rank) => [score, rank]))
  return new Map(entries.slice(firstByte).map(({ score, token }) => [token, rankOfScore.get(score) ?? noRank]))
}

const encoderOf = (entries: ReadonlyArray<Entry>) => {
  const ids = new Map(entries.map(({ token }, id) => [token, id]))
  const ranks = ranksOf(entries)
  const utf8 = new TextEncoder()

  /** Encodes a text whose every character is a token. */
  const addKnown = (text: string, starts: ReadonlyArray<number>, add: (id: number) => void) => {
    const merged = mergePairs(starts, (start, _, end) => ranks.get(text.slice(start, end)) ?? noRank)
    for (let i = 0; i + 1 < merged.length; i++) add(ids.get(text.slice(merged[i], merged[i + 1]))!)
  }

  const addText = (text: string, add: (id: number) => void) => {
    let begin = 0
    let starts: Array<number> = [0]
    for (let i = 0; i < text.length;) {
      const character = String.fromCodePoint(text.codePointAt(i)!)
      i += character.length
      if (ids.has(character)) {
        starts.push(i - begin)
        continue
      }
      addKnown(text.slice(begin, i - character.length), starts, add)
      for (const byte of utf8.encode(character)) add(firstByte + byte)
      begin = i
      starts = [0]
    }
    addKnown(text.slice(begin), starts, add)
  }

  return TextEncoding.make({
    added: entries.slice(0, firstByte).map(({ token }, id) => ({ content: token.trim(), id, special: true })),
    encode: (text, use, { texts }) => addText(texts === 0 ? ` ${text}` : text, use)
  })
}

const byteToken = /^<0x([0-9A-F]{2})>$/u

const bytesOf = ({ token }: Entry, id: number): IdBytes.ByteString => {
  // The file has line breaks around the markup of special tokens.
  if (id < firstByte) return IdBytes.toByteString(token.trim())
  const hex = byteToken.exec(token)?.[1]
  return hex === undefined ? IdBytes.toByteString(token) : String.fromCharCode(Number.parseInt(hex, 16))
}

/**
 * Makes the tokenizer of a file. Encoding puts a space in front of the first text, decoding drops one behind `<s>` only: the
 * text of two lists of ids is that of their concatenation.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fn("TokenizerLlama2c.make")(function*(
  path: string
): Effect.fn.Return<Tokenizer["Service"], TokenizerError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const bytes = yield* fs.readFile(path).pipe(Effect.mapError(fromPlatform(path)))
  const entries = yield* Effect.fromResult(decodeFile(path, bytes))
  const ids = IdBytes.make({
    tokens: new Map(entries.map((entry, id) => [id, bytesOf(entry, id)])),
    special: new Set([unknown, beginOfText, endOfText]),
    dropSpaceBehind: beginOfText
  })
  return Tokenizer.of({
    vocabularySize: ids.size,
    unusedIds: ids.unused,
    // The next text's beginning ends one, too: `run.c` stops there.
    endOfText: [endOfText, beginOfText],
    ...encoderOf(entries),
    decode: (list, options) => ids.decode(list, options?.skipSpecialTokens === true),
    decoder: ids.decoder,
    ...ChatTemplate.none
  })
})

/**
 * The tokenizer of a file.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (path: string): Layer.Layer<Tokenizer, TokenizerError, FileSystem.FileSystem> =>
  Layer.effect(Tokenizer, make(path))
