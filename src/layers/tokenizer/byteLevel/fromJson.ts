/**
 * Byte-level vocabularies in `tokenizer.json`.
 *
 * @since 0.1.0
 */
import { Option, Schema } from "effect"
import { type AddedToken, isControl } from "../AddedTokens.ts"
import * as TextEncoding from "../TextEncoding.ts"
import { alphabet, toAlphabet } from "./byteAlphabet.ts"
import * as BytePairs from "./BytePairs.ts"
import { noRank } from "./mergePairs.ts"
import { splitGpt2, type SplitWords, splitWords } from "./splitWords.ts"
import { toNfc } from "./toNfc.ts"

const absent = (...empty: ReadonlyArray<string>) => Schema.optionalKey(Schema.NullOr(Schema.Literals(["", ...empty])))

const off = Schema.optionalKey(Schema.NullOr(Schema.Literal(false)))

const ByteLevel = (useRegex: boolean) =>
  Schema.Struct({
    type: Schema.Literal("ByteLevel"),
    add_prefix_space: Schema.Literal(false),
    use_regex: useRegex ? Schema.optionalKey(Schema.Literal(true)) : Schema.Literal(false)
  })

const Split = Schema.Struct({
  type: Schema.Literal("Split"),
  pattern: Schema.Struct({ Regex: Schema.String }),
  behavior: Schema.Literal("Isolated"),
  invert: off
})

const PreTokenizer = Schema.Union([
  ByteLevel(true),
  Schema.Struct({ type: Schema.Literal("Sequence"), pretokenizers: Schema.Tuple([Split, ByteLevel(false)]) })
])

/** Every setting that bears on encoding, with the values that are understood here. */
const ByteLevelTokenizer = Schema.Struct({
  model: Schema.Struct({
    type: Schema.Literal("BPE"),
    dropout: Schema.optionalKey(Schema.NullOr(Schema.Literal(0))),
    continuing_subword_prefix: absent(),
    end_of_word_suffix: absent(),
    byte_fallback: off,
    unk_token: Schema.optionalKey(Schema.NullOr(Schema.String)),
    ignore_merges: Schema.optionalKey(Schema.NullOr(Schema.Boolean)),
    // Hundreds of thousands of entries: checked one by one below, without a schema's cost for each.
    vocab: Schema.Unknown,
    merges: Schema.Unknown
  }),
  normalizer: Schema.NullOr(Schema.Struct({ type: Schema.Literal("NFC") })),
  pre_tokenizer: PreTokenizer
})

type ByteLevelTokenizer = typeof ByteLevelTokenizer.Type

const decode = Schema.decodeUnknownOption(ByteLevelTokenizer)

/** The expressions of Qwen2 and of Llama 3, by the most digits of a piece. */
const expressions: ReadonlyMap<string, SplitWords> = new Map(
  ([["\\p{N}", 1], ["\\p{N}{1,3}", 3]] as const).map(([numbers, digits]) => [
    `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
    splitWords(digits)
  ])
)

const splitOf = (preTokenizer: ByteLevelTokenizer["pre_tokenizer"]): SplitWords | undefined =>
  preTokenizer.type === "ByteLevel" ? splitGpt2 : expressions.get(preTokenizer.pretokenizers[0].pattern.Regex)

/** Ranks by both halves with a space between, which the alphabet does not have; undefined where a union is no token. */
const pairRanks = (
  merges: unknown,
  ids: ReadonlyMap<string, number>
): ReadonlyMap<string, number> | undefined => {
  if (!Array.isArray(merges)) return undefined
  const ranks = new Map<string, number>()
  for (const merge of merges) {
    const pair: unknown = Array.isArray(merge) && merge.length === 2 ? merge.join(" ") : merge
    if (typeof pair !== "string" || !ids.has(pair.replace(" ", ""))) return undefined
    ranks.set(pair, ranks.size)
  }
  return ranks.size === merges.length ? ranks : undefined
}

/** Spelling that leaves bytes out for which the vocabulary has no token, as the original does before it merges. */
const without = (lacking: ReadonlyArray<string>) => {
  const left = new Set(lacking)
  return (text: string): string => Array.from(toAlphabet(text)).filter((character) => !left.has(character)).join("")
}

/**
 * The encoding of a `tokenizer.json` whose vocabulary is `ids` and whose added tokens are `added`, or `undefined` where it
 * has a part that is not understood here.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromJson = (
  json: unknown,
  ids: ReadonlyMap<string, number> | undefined,
  added: ReadonlyArray<AddedToken>
): TextEncoding.TextEncoding | undefined => {
  const decoded = Option.getOrUndefined(decode(json))
  if (decoded === undefined) return undefined
  const { model, normalizer, pre_tokenizer: preTokenizer } = decoded
  const split = splitOf(preTokenizer)
  const lacking = ids === undefined ? alphabet : alphabet.filter((character) => !ids.has(character))
  const ranks = ids === undefined ? undefined : pairRanks(model.merges, ids)
  if (split === undefined || ids === undefined || ranks === undefined) return undefined
  if (lacking.length > 0 && typeof model.unk_token === "string") return undefined
  const pairs = BytePairs.make({
    spell: lacking.length === 0 ? toAlphabet : without(lacking),
    ids,
    never: new Set(added.flatMap((token) => isControl(token) ? [token.id] : [])),
    ranks: (piece) => (start, middle, end) =>
      ranks.get(`${piece.slice(start, middle)} ${piece.slice(middle, end)}`) ?? noRank,
    wholeFirst: model.ignore_merges === true
  })
  return TextEncoding.make({
    added,
    ...(normalizer === null ? {} : { normalize: toNfc }),
    encode: (text, use) => split(text, (piece) => pairs(piece, use))
  })
}
