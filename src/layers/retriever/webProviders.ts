/**
 * What hosted search engines are sent and what they answer.
 *
 * @since 0.1.0
 */
import { Result } from "effect"
import { HttpClientRequest } from "effect/http"
import type { ScoredDocument } from "../../domain/Document.ts"
import { textOf } from "../../domain/RecordFields.ts"

/**
 * A hosted engine.
 *
 * @category models
 * @since 0.1.0
 */
export interface Provider {
  readonly name: string
  readonly url: string
  /** Most results of one request. */
  readonly maxResults: number
  readonly request: (url: string, key: string, query: string, topK: number) => HttpClientRequest.HttpClientRequest
  /** The hits in their order, or what is wrong with the answer. */
  readonly decode: (json: unknown) => Result.Result<ReadonlyArray<Hit>, string>
  /** Whether a refusal means that no searches are left, and not that they come too fast. */
  readonly isQuota: (status: number, body: string) => boolean
}

/**
 * A page that an engine found; `score` where the engine gives one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Hit {
  readonly url: string
  readonly title: string
  readonly text: string
  readonly score?: number | undefined
}

type Fields = Readonly<Record<string, unknown>>

const fields = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {}

const list = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

const text = (value: unknown): string => textOf(value) ?? ""

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: "\"", apos: "'", nbsp: " " }

/** Snippets come with marks around the words that were found. */
const plain = (html: string): string =>
  html
    .replaceAll(/<\/?(?:b|strong|em|i|br)\s*\/?>/gi, "")
    .replaceAll(
      /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]+));/gi,
      (whole, decimal?: string, hex?: string, name?: string) => {
        if (name !== undefined) return entities[name.toLowerCase()] ?? whole
        const code = Number.parseInt(decimal ?? hex ?? "", decimal === undefined ? 16 : 10)
        return code <= 0x10ffff ? String.fromCodePoint(code) : whole
      }
    )

const hitsOf = (results: unknown, url: string, body: string): ReadonlyArray<Hit> =>
  list(results).map((result) => {
    const record = fields(result)
    const score = record["score"]
    return {
      url: text(record[url]),
      title: plain(text(record["title"])),
      text: plain(text(record[body])),
      ...(typeof score === "number" && Number.isFinite(score) ? { score } : {})
    }
  })

/** A direct answer comes before the pages, as the reference's SerpAPI server has it. */
const answerBox = (value: unknown): ReadonlyArray<Hit> => {
  const box = fields(value)
  const answer = text(box["answer"]) || text(box["snippet"])
  return answer === "" ? [] : [{ url: text(box["link"]) || "answer", title: text(box["title"]), text: answer }]
}

const get = (url: string, parameters: Readonly<Record<string, string>>) =>
  HttpClientRequest.get(url).pipe(HttpClientRequest.acceptJson, HttpClientRequest.setUrlParams(parameters))

const post = (url: string, body: Fields) =>
  HttpClientRequest.post(url).pipe(HttpClientRequest.acceptJson, HttpClientRequest.bodyJsonUnsafe(body))

const needs = (
  json: unknown,
  known: ReadonlyArray<string>,
  hits: ReadonlyArray<Hit>
): Result.Result<ReadonlyArray<Hit>, string> =>
  known.some((name) => name in fields(json))
    ? Result.succeed(hits)
    : Result.fail(`none of ${known.map((name) => `"${name}"`).join(", ")} is there`)

/** Bytes of a query in an address: servers refuse addresses of some 8,000 (414, 431), and a letter may take nine. */
const mostAddressBytes = 6000

const encoder = new TextEncoder()

/** The beginning of a text that takes no more bytes in an address. */
const addressable = (text: string): string => {
  let bytes = 0
  let end = 0
  for (const character of text) {
    const encoded = encoder.encode(character).length
    bytes += encoded === 1 && /[\w.~-]/.test(character) ? 1 : 3 * encoded
    if (bytes > mostAddressBytes) return text.slice(0, end)
    end += character.length
  }
  return text
}

/** The beginning of a query that an engine takes: the rest of a runaway one would only be refused. */
const beginning = (query: string, words: number, characters: number): string =>
  addressable(
    query.trim().split(/\s+/).slice(0, words).join(" ").slice(0, characters).replace(/[\uD800-\uDBFF]$/, "")
  )

/**
 * Google's Custom Search JSON API. Queries are cut to the 32 words that Google reads. `engine` is the search engine's id (`cx`).
 *
 * @category constants
 * @since 0.1.0
 */
export const google = (engine: string): Provider => ({
  name: `Google(${engine})`,
  url: "https://www.googleapis.com/customsearch/v1",
  maxResults: 10,
  request: (url, key, query, topK) => get(url, { key, cx: engine, q: beginning(query, 32, 2048), num: String(topK) }),
  decode: (json) =>
    needs(json, ["items", "searchInformation", "queries"], hitsOf(fields(json)["items"], "link", "snippet")),
  isQuota: (status, body) =>
    (status === 429 || status === 403) && /dailyLimitExceeded|quota exceeded|RESOURCE_EXHAUSTED/i.test(body)
})

/**
 * SerpAPI's Google engine: the answer box, the pages, and related questions. Queries are cut as Google cuts them.
 *
 * @category constants
 * @since 0.1.0
 */
export const serpApi: Provider = {
  name: "SerpAPI",
  url: "https://serpapi.com/search",
  maxResults: 100,
  request: (url, key, query, topK) =>
    get(url, { engine: "google", q: beginning(query, 32, 2048), num: String(topK), api_key: key }),
  decode: (json) => {
    const record = fields(json)
    const error = text(record["error"])
    // a search without results is reported as an error with status 200
    if (/hasn't returned any results/i.test(error)) return Result.succeed([])
    if (error !== "") return Result.fail(error)
    return needs(json, ["organic_results", "answer_box", "search_metadata"], [
      ...answerBox(record["answer_box"]),
      ...hitsOf(record["organic_results"], "link", "snippet"),
      ...hitsOf(
        list(record["related_questions"]).map((question) => ({
          ...fields(question),
          title: fields(question)["question"]
        })),
        "link",
        "snippet"
      )
    ])
  },
  isQuota: (status, body) => status === 429 && /run out of searches/i.test(body)
}

/**
 * Serper's Google search. Queries are cut as Google cuts them.
 *
 * @category constants
 * @since 0.1.0
 */
export const serper: Provider = {
  name: "Serper",
  url: "https://google.serper.dev/search",
  maxResults: 100,
  request: (url, key, query, topK) =>
    post(url, { q: beginning(query, 32, 2048), num: topK }).pipe(HttpClientRequest.setHeader("x-api-key", key)),
  decode: (json) =>
    needs(json, ["organic", "answerBox", "searchParameters"], [
      ...answerBox(fields(json)["answerBox"]),
      ...hitsOf(fields(json)["organic"], "link", "snippet")
    ]),
  isQuota: (status, body) => (status === 400 || status === 403) && /not enough credits/i.test(body)
}

/**
 * Brave's web search. Queries are cut to the 400 characters and 50 words that it takes.
 *
 * @category constants
 * @since 0.1.0
 */
export const brave: Provider = {
  name: "Brave",
  url: "https://api.search.brave.com/res/v1/web/search",
  maxResults: 20,
  request: (url, key, query, topK) =>
    get(url, { q: beginning(query, 50, 400), count: String(topK) }).pipe(
      HttpClientRequest.setHeader("x-subscription-token", key)
    ),
  decode: (json) =>
    needs(json, ["web", "query", "type"], hitsOf(fields(fields(json)["web"])["results"], "url", "description")),
  isQuota: (status, body) => (status === 402 || status === 429) && /QUOTA_LIMITED|quota/i.test(body)
}

/**
 * Tavily's search, with its own scores. Queries are cut to the 400 characters that it takes.
 *
 * @category constants
 * @since 0.1.0
 */
export const tavily: Provider = {
  name: "Tavily",
  url: "https://api.tavily.com/search",
  maxResults: 20,
  request: (url, key, query, topK) =>
    post(url, { query: beginning(query, 400, 400), max_results: topK }).pipe(HttpClientRequest.bearerToken(key)),
  decode: (json) => needs(json, ["results"], hitsOf(fields(json)["results"], "url", "content")),
  // 432: the plan's limit, 433: the pay-as-you-go limit
  isQuota: (status) => status === 432 || status === 433
}

/**
 * Hits as documents: the address is the id, a title gets the quotation marks of wiki-18. A hit without a score gets the
 * reciprocal of its rank; pages without text are left out.
 *
 * @category conversions
 * @since 0.1.0
 */
export const documents = (hits: ReadonlyArray<Hit>, topK: number): ReadonlyArray<ScoredDocument> =>
  hits
    .filter((hit) => hit.text !== "" || hit.title !== "")
    .slice(0, topK)
    .map((hit, index) => ({
      id: hit.url,
      title: hit.title === "" ? "" : `"${hit.title}"`,
      text: hit.text,
      score: hit.score ?? 1 / (index + 1)
    }))
