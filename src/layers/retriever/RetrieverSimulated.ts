/**
 * A language model that plays the search engine, with documents as useful or as noisy as wanted (ZeroSearch,
 * arXiv 2505.04588).
 *
 * @since 0.1.0
 */
import { Effect, Layer, type Redacted, Result, Schema } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import type { ScoredDocument } from "../../domain/Document.ts"
import * as Prng from "../../domain/Prng.ts"
import { Retriever, RetrieverUnexpectedShape } from "../../services/Retriever.ts"
import { sha256 } from "../hash.ts"
import * as JsonHttp from "./jsonHttp.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The OpenAI-compatible server, up to and with `/v1`. */
  readonly url: string | URL
  readonly model: string
  readonly key?: Redacted.Redacted | undefined
  /** Share of queries whose documents shall be of no help, between 0 and 1. Default 0. */
  readonly noise?: number | undefined
  /** Decides which queries those are, and is sent to the server. Default 0. */
  readonly seed?: number | undefined
  /** Default 0.7. */
  readonly temperature?: number | undefined
  /** Words of a document. Default 30, ZeroSearch's. */
  readonly words?: number | undefined
  /** Requests in flight for one batch. Default 16. */
  readonly concurrency?: number | undefined
}

/**
 * The instruction of the model.
 *
 * @category constructors
 * @since 0.1.0
 */
export const prompt = (
  query: string,
  options: { readonly topK: number; readonly words: number; readonly noisy: boolean }
): string =>
  [
    `You are a search engine. For the query below, write ${options.topK} documents that it could have found.`,
    options.noisy
      ? "They must look like results for the query, but must not contain the information that answers it; they may be wrong or beside the point."
      : "They must contain true information that answers the query.",
    `Each has about ${options.words} words. Write each on one line, in this form and with nothing around it:`,
    "Doc 1(Title: …) text",
    "",
    `Query: ${query}`
  ].join("\n")

const line = /^\s*(?:[-*]\s*)?\**Doc(?:ument)?\s*\d+\**\s*[:.]?\s*(.*)$/is
const titleMark = /^\(Title:\s*/i

/** What stands behind `(Title:`, up to the parenthesis that closes it: titles may hold pairs of their own. */
const titled = (rest: string): { readonly title: string; readonly text: string } => {
  const mark = titleMark.exec(rest)
  if (mark === null) return { title: "", text: rest }
  const body = rest.slice(mark[0].length)
  let depth = 1
  let end = -1
  for (let at = 0; at < body.length && end < 0; at++) {
    if (body[at] === "(") depth++
    else if (body[at] === ")" && --depth === 0) end = at
  }
  // an emoticon opens what nothing closes: the first that a space follows will do
  if (end < 0) end = body.search(/\)(?=\s|$)/)
  return end < 0
    ? { title: "", text: rest }
    : { title: body.slice(0, end).trim(), text: body.slice(end + 1).replace(/^\s*:?\s*/, "") }
}

/** An answer without the thoughts in front of it, which a template may have opened; none is left where they never end. */
const spoken = (answer: string): string => {
  const [last] = [...answer.matchAll(/<\/think(?:ing)?>/gi)].slice(-1)
  if (last !== undefined) return answer.slice(last.index + last[0].length)
  return /^\s*<think(?:ing)?>/i.test(answer) ? "" : answer
}

/**
 * The documents of an answer, best first; text that belongs to none is left out, as is what the model thought before.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parse = (answer: string, topK: number): ReadonlyArray<ScoredDocument> => {
  const found: Array<{ title: string; text: string }> = []
  for (const row of spoken(answer).split(/\r?\n/)) {
    const match = line.exec(row)
    const last = found.at(-1)
    if (match !== null) found.push(titled(match[1] ?? ""))
    else if (last !== undefined && row.trim() !== "") last.text = `${last.text} ${row.trim()}`.trim()
  }
  return found
    .filter(({ text, title }) => text !== "" || title !== "")
    .slice(0, topK)
    .map(({ text, title }, index) => ({
      id: `simulated-${sha256(`${title}\n${text}`).slice(0, 16)}`,
      title: title === "" ? "" : `"${title}"`,
      text,
      score: 1 / (index + 1)
    }))
}

const Completion = Schema.Struct({
  choices: Schema.NonEmptyArray(Schema.Struct({ message: Schema.Struct({ content: Schema.NullOr(Schema.String) }) }))
})
const decode = Schema.decodeUnknownResult(Completion)

/**
 * Asks the model for documents. An empty query finds nothing; an answer without any document is no hit, but a
 * model that is cut while it thinks is an error: it says nothing about the query.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Retriever, never, HttpClient.HttpClient> =>
  Layer.effect(
    Retriever,
    Effect.gen(function*() {
      const client = yield* HttpClient.HttpClient
      const url = `${String(options.url).replace(/\/+$/, "")}/chat/completions`
      const name = `RetrieverSimulated(${options.model})`
      const seed = options.seed ?? 0
      const base = JsonHttp.post(url, options.key)
      return Retriever.fromSearch(
        name,
        Effect.fn("RetrieverSimulated.search")(function*(query, { topK }) {
          if (topK <= 0 || query.trim() === "") return []
          const noisy = Prng.make(`${seed}/${query}`).float() < (options.noise ?? 0)
          const json = yield* JsonHttp.execute(
            client,
            name,
            HttpClientRequest.bodyJsonUnsafe(base, {
              model: options.model,
              messages: [{ role: "user", content: prompt(query, { topK, words: options.words ?? 30, noisy }) }],
              temperature: options.temperature ?? 0.7,
              seed
            })
          )
          const completion = decode(json)
          if (Result.isFailure(completion)) {
            return yield* new RetrieverUnexpectedShape({ retriever: name, reason: completion.failure.message })
          }
          const { content } = completion.success.choices[0].message
          if (content === null || (content.trim() !== "" && spoken(content).trim() === "")) {
            return yield* new RetrieverUnexpectedShape({
              retriever: name,
              reason:
                "the model wrote no answer, or was cut while it was thinking: let it write more tokens or think less"
            })
          }
          return parse(content, topK)
        }),
        { concurrency: options.concurrency ?? 16 }
      )
    })
  )
