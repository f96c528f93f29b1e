/**
 * Embeddings from a server: OpenAI's `/v1/embeddings` and its like (vLLM, Ollama, LM Studio), or Hugging Face's
 * text-embeddings-inference.
 *
 * @since 0.1.0
 */
import { Effect, Layer, type Redacted, Result } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import * as LaxJson from "../../domain/LaxJson.ts"
import { Embedder } from "../../services/Embedder.ts"
import { type RetrieverError, RetrieverUnexpectedShape } from "../../services/Retriever.ts"
import * as JsonHttp from "../retriever/jsonHttp.ts"
import * as ServerBatches from "../retriever/serverBatches.ts"
import { type Prefixes, prefixesOf } from "./conventions.ts"
import { normalize } from "./vectors.ts"

export { type Prefixes, prefixesOf } from "./conventions.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options extends ServerBatches.ServerOptions {
  /** The endpoint, for example `http://127.0.0.1:8080/v1/embeddings` or `http://127.0.0.1:8080/embed`. */
  readonly url: string | URL
  readonly model: string
  /** `openai`: `{model, input}`; `tei`: `{inputs, truncate}`. Told from the address unless given (`/embed` means `tei`). */
  readonly dialect?: "openai" | "tei" | undefined
  readonly key?: Redacted.Redacted | undefined
  /** Unless given, {@link prefixesOf} the model. */
  readonly prefixes?: Prefixes | undefined
  /** Requests in flight for one call. Default 4. */
  readonly concurrency?: number | undefined
}

const isList = (value: unknown): value is ReadonlyArray<unknown> => Array.isArray(value)

type Fields = Readonly<Record<string, unknown>>
const fields = (value: unknown): Fields => typeof value === "object" && value !== null ? { ...value } : {}

/** What an OpenAI-like server gives for each text: in its own order where it numbers it, else in that of the texts. */
const inOrder = (entries: ReadonlyArray<unknown>, count: number): Result.Result<ReadonlyArray<unknown>, string> => {
  const indices = entries.map((entry) => fields(entry)["index"] ?? undefined)
  const vectors = entries.map((entry) => fields(entry)["embedding"])
  if (indices.every((index) => index === undefined)) return Result.succeed(vectors)
  const ordered: Array<unknown> = []
  const seen = new Set<number>()
  for (const [position, given] of indices.entries()) {
    if (given === undefined) return Result.fail(`entry ${position} has no "index", and others have`)
    const index = LaxJson.integer(given)
    if (index === undefined || index < 0 || index >= count) {
      return Result.fail(`the "index" ${JsonHttp.shown(given)} for ${count} texts`)
    }
    if (seen.has(index)) return Result.fail(`the "index" ${index} twice`)
    seen.add(index)
    ordered[index] = vectors[position]
  }
  return Result.succeed(ordered)
}

const isNumbers = (values: ReadonlyArray<unknown>): values is ReadonlyArray<number> =>
  values.every((value) => typeof value === "number" && Number.isFinite(value))

const vectorOf = (value: unknown, at: number, first: unknown): Result.Result<ReadonlyArray<number>, string> => {
  if (!isList(value)) return Result.fail(`vector ${at} is no list of numbers`)
  if (value.length === 0) return Result.fail(`vector ${at} is empty`)
  if (isList(first) && first.length !== value.length) {
    return Result.fail(`vector ${at} has ${value.length} numbers, and the first has ${first.length}`)
  }
  if (isNumbers(value)) return Result.succeed(value)
  const strange = value.findIndex((number) => !isNumbers([number]))
  return Result.fail(`in vector ${at}, ${JsonHttp.shown(value[strange])} at ${strange} is no number`)
}

const decode = (dialect: "openai" | "tei", json: unknown, count: number) =>
  Result.gen(function*() {
    const entries = dialect === "tei" ? json : fields(json)["data"]
    if (!isList(entries)) {
      const what = dialect === "tei" ? "array of vectors" : "array \"data\""
      return yield* Result.fail(`there is no ${what} in ${JsonHttp.shown(json)}`)
    }
    if (entries.length !== count) return yield* Result.fail(`${entries.length} vectors for ${count} texts`)
    const vectors = dialect === "tei" ? entries : yield* inOrder(entries, count)
    const decoded: Array<ReadonlyArray<number>> = []
    for (const [at, vector] of vectors.entries()) decoded.push(yield* vectorOf(vector, at, vectors[0]))
    return decoded
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Embedder, never, HttpClient.HttpClient> =>
  Layer.effect(
    Embedder,
    Effect.gen(function*() {
      const client = yield* HttpClient.HttpClient
      const url = new URL(options.url)
      const dialect = options.dialect ?? (url.pathname.endsWith("/embed") ? "tei" : "openai")
      const prefixes = options.prefixes ?? prefixesOf(options.model)
      const name = `EmbedderHttp(${options.model})`
      const base = JsonHttp.post(url, options.key)
      const resilient = ServerBatches.resilient(name, options)
      const request = Effect.fnUntraced(
        function*(texts: ReadonlyArray<string>): Effect.fn.Return<ReadonlyArray<Float32Array>, RetrieverError> {
          const body = dialect === "tei" ? { inputs: texts, truncate: true } : { model: options.model, input: texts }
          const json = yield* JsonHttp.execute(client, name, HttpClientRequest.bodyJsonUnsafe(base, body))
          const vectors = decode(dialect, json, texts.length)
          return Result.isSuccess(vectors)
            ? vectors.success.map((vector) => normalize(Float32Array.from(vector)))
            : yield* new RetrieverUnexpectedShape({ retriever: name, reason: vectors.failure })
        }
      )
      const send = ServerBatches.make({
        size: Math.max(1, options.batchSize ?? 64),
        find: dialect === "tei" && options.batchSize === undefined
          ? ServerBatches.teiBatchSize(client, name, base)
          : undefined
      })
      const embed = (prefix: string) => (texts: ReadonlyArray<string>) =>
        send(texts.map((text) => prefix + text), options.concurrency ?? 4, (batch) => resilient(request(batch)))
      return Embedder.of({
        name,
        spec: { _tag: "http", url: String(options.url), model: options.model },
        queryPrefix: prefixes.query,
        queries: Effect.fn("EmbedderHttp.queries")(embed(prefixes.query)),
        passages: Effect.fn("EmbedderHttp.passages")(embed(prefixes.passage))
      })
    })
  )
