/**
 * Embeddings from a server: OpenAI's `/v1/embeddings` and its like (vLLM, Ollama, LM Studio), or Hugging Face's
 * text-embeddings-inference.
 *
 * @since 0.1.0
 */
import { Effect, Layer, type Redacted, Result, Schema } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { Embedder } from "../../services/Embedder.ts"
import { type RetrieverError, RetrieverUnexpectedShape } from "../../services/Retriever.ts"
import * as JsonHttp from "../retriever/jsonHttp.ts"
import { type Prefixes, prefixesOf } from "./conventions.ts"
import { normalize } from "./vectors.ts"

export { type Prefixes, prefixesOf } from "./conventions.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The endpoint, for example `http://127.0.0.1:8080/v1/embeddings` or `http://127.0.0.1:8080/embed`. */
  readonly url: string | URL
  readonly model: string
  /** `openai`: `{model, input}`; `tei`: `{inputs, truncate}`. Told from the address unless given (`/embed` means `tei`). */
  readonly dialect?: "openai" | "tei" | undefined
  readonly key?: Redacted.Redacted | undefined
  /** Unless given, {@link prefixesOf} the model. */
  readonly prefixes?: Prefixes | undefined
  /** Texts in one request. Default 64. */
  readonly batchSize?: number | undefined
  /** Requests in flight for one call. Default 4. */
  readonly concurrency?: number | undefined
}

const Vector = Schema.Array(Schema.Finite)
const decodeOpenAi = Schema.decodeUnknownResult(
  Schema.Struct({ data: Schema.Array(Schema.Struct({ index: Schema.Natural, embedding: Vector })) })
)
const decodeTei = Schema.decodeUnknownResult(Schema.Array(Vector))

type Vectors = ReadonlyArray<ReadonlyArray<number>>

const decode = (dialect: "openai" | "tei", json: unknown, count: number): Result.Result<Vectors, string> => {
  const vectors: Result.Result<Vectors, { readonly message: string }> = dialect === "tei"
    ? decodeTei(json)
    : Result.map(
      decodeOpenAi(json),
      ({ data }) => data.toSorted((a, b) => a.index - b.index).map((entry) => entry.embedding)
    )
  if (Result.isFailure(vectors)) return Result.fail(vectors.failure.message)
  const [first] = vectors.success
  if (vectors.success.length !== count) return Result.fail(`${vectors.success.length} vectors for ${count} texts`)
  return vectors.success.every((vector) => vector.length > 0 && vector.length === first?.length)
    ? Result.succeed(vectors.success)
    : Result.fail("the vectors have different numbers of dimensions")
}

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
      const size = Math.max(1, options.batchSize ?? 64)
      const name = `EmbedderHttp(${options.model})`
      const base = HttpClientRequest.post(url).pipe(
        HttpClientRequest.acceptJson,
        options.key === undefined ? (request) => request : HttpClientRequest.bearerToken(options.key)
      )
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
      const embed = (prefix: string) => (texts: ReadonlyArray<string>) => {
        const prefixed = texts.map((text) => prefix + text)
        const batches = Array.from(
          { length: Math.ceil(texts.length / size) },
          (_, batch) => prefixed.slice(batch * size, (batch + 1) * size)
        )
        return Effect.map(
          Effect.forEach(batches, request, { concurrency: options.concurrency ?? 4 }),
          (results) => results.flat()
        )
      }
      return Embedder.of({
        name,
        queries: Effect.fn("EmbedderHttp.queries")(embed(prefixes.query)),
        passages: Effect.fn("EmbedderHttp.passages")(embed(prefixes.passage))
      })
    })
  )
