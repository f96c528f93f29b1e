/**
 * Tokens per second of encoding and decoding: our rank-file tokenizer and our `tokenizer.json` tokenizer, both held
 * against plain calls of `@huggingface/tokenizers` over the same vocabulary in the same run.
 *
 * Options: `--vocabulary DIR`, a folder with `qwen.tiktoken` and `tokenizer.json` or `tokenizer.json.gz` of the same
 * vocabulary; `--text FILE`, a JSONL file, gzipped or not, with a text in each line's `contents`; `--texts N`, how many
 * of its lines (2,000).
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers"
import { Effect } from "effect"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { gunzipSync } from "node:zlib"
import * as TokenizerJson from "../src/layers/tokenizer/TokenizerJson.ts"
import * as TokenizerTiktoken from "../src/layers/tokenizer/TokenizerTiktoken.ts"
import type { Tokenizer } from "../src/services/Tokenizer.ts"

const shared = new URL("../../shared/data/", import.meta.url).pathname
const repeats = 7

const read = (path: string): string => {
  const bytes = readFileSync(path)
  return (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8")
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** Tokens per second of each pass over all texts, in turn, so that a noisy moment meets all of them. */
const measure = (passes: Readonly<Record<string, () => number>>): Readonly<Record<string, number>> => {
  const rates: Record<string, Array<number>> = {}
  for (let repeat = -1; repeat < repeats; repeat++) {
    for (const [name, pass] of Object.entries(passes)) {
      const start = performance.now()
      const tokens = pass()
      const rate = tokens / ((performance.now() - start) / 1000)
      // The first pass warms the compiler and the caches.
      if (repeat >= 0) (rates[name] ??= []).push(rate)
    }
  }
  return Object.fromEntries(Object.entries(rates).map(([name, values]) => [name, Math.round(median(values))]))
}

const load = (tokenizer: Effect.Effect<Tokenizer["Service"], unknown, NodeServices.NodeServices>) =>
  Effect.runPromise(Effect.provide(tokenizer, NodeServices.layer))

export const run = async (args: ReadonlyArray<string>) => {
  const { values } = parseArgs({
    args: [...args],
    options: { vocabulary: { type: "string" }, text: { type: "string" }, texts: { type: "string" } }
  })
  const vocabulary = values.vocabulary ?? join(shared, "tokenizers/qwen")
  const textFile = values.text ?? join(shared, "qa/corpus_dev.jsonl.gz")
  for (const path of [join(vocabulary, "qwen.tiktoken"), textFile]) {
    if (!existsSync(path)) throw new Error(`${path} is missing; name others with --vocabulary DIR and --text FILE`)
  }
  const packed = join(vocabulary, "tokenizer.json.gz")
  const json = read(existsSync(packed) ? packed : join(vocabulary, "tokenizer.json"))
  const texts = read(textFile).split("\n").filter((line) => line !== "").slice(0, Number(values.texts ?? 2000))
    .map((line): string => JSON.parse(line).contents)

  const library = new HuggingFaceTokenizer(JSON.parse(json), { clean_up_tokenization_spaces: false })
  const directory = mkdtempSync(join(tmpdir(), "bench-tokenizer-"))
  writeFileSync(join(directory, "tokenizer.json"), json)
  const jsonTokenizer = await load(TokenizerJson.make({ directory }))
  rmSync(directory, { recursive: true })
  const rankTokenizer = await load(TokenizerTiktoken.make({ path: join(vocabulary, "qwen.tiktoken") }))

  const lists = texts.map((text) => rankTokenizer.encode(text))
  for (const [index, text] of texts.entries()) {
    const { ids } = library.encode(text, { add_special_tokens: false })
    if (ids.length !== lists[index]?.length || ids.some((id: number, i: number) => id !== lists[index]?.[i])) {
      throw new Error(`the tokenizers differ on ${JSON.stringify(text)}`)
    }
  }
  const tokens = lists.reduce((sum, ids) => sum + ids.length, 0)
  const arrays = lists.map((ids) => Array.from(ids))
  process.stderr.write(`${texts.length} texts, ${tokens} tokens, ${repeats} repeats\n`)

  const sum = (counts: (index: number) => number) => texts.reduce((total, _, index) => total + counts(index), 0)
  const encodeWith = (tokenizer: Tokenizer["Service"]) => () => sum((index) => tokenizer.encode(texts[index]!).length)
  const decodeWith = (tokenizer: Tokenizer["Service"]) => () =>
    sum((index) => tokenizer.decode(lists[index]!).length > 0 ? lists[index]!.length : 0)
  const stream = () =>
    sum((index) => {
      const decoder = rankTokenizer.decoder()
      const ids = lists[index]!
      let text = ""
      for (let i = 0; i < ids.length; i++) text += decoder.push(ids.subarray(i, i + 1))
      return (text + decoder.flush()).length > 0 ? ids.length : 0
    })

  const encode = measure({
    library: () => sum((index) => library.encode(texts[index]!, { add_special_tokens: false }).ids.length),
    tokenizerJson: encodeWith(jsonTokenizer),
    tokenizerTiktoken: encodeWith(rankTokenizer)
  })
  const decode = measure({
    library: () => sum((index) => library.decode(arrays[index]!).length > 0 ? arrays[index]!.length : 0),
    tokenizerJson: decodeWith(jsonTokenizer),
    tokenizerTiktoken: decodeWith(rankTokenizer),
    streaming: stream
  })
  const ratio = (rates: Readonly<Record<string, number>>, name: string) =>
    Math.round(100 * (rates[name] ?? Number.NaN) / (rates["library"] ?? Number.NaN)) / 100
  return {
    texts: texts.length,
    tokens,
    encodeTokensPerSecond: encode,
    decodeTokensPerSecond: decode,
    ratioToLibrary: {
      encodeTokenizerJson: ratio(encode, "tokenizerJson"),
      encodeTokenizerTiktoken: ratio(encode, "tokenizerTiktoken"),
      decodeTokenizerJson: ratio(decode, "tokenizerJson"),
      decodeTokenizerTiktoken: ratio(decode, "tokenizerTiktoken"),
      decodeStreaming: ratio(decode, "streaming")
    }
  }
}
