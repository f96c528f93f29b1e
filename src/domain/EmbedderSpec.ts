/**
 * Which model made the vectors of an index: queries must be embedded by the same.
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"

/**
 * How the vectors of the words of a text become one: their mean, or that of the first word.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Pooling = Schema.Literals(["mean", "cls"])

/**
 * @category models
 * @since 0.1.0
 */
export type Pooling = typeof Pooling.Type

/**
 * An embedder as data: words hashed into dimensions, a server, or a model that runs in this process.
 *
 * @category schemas
 * @since 0.1.0
 */
export const EmbedderSpec = Schema.TaggedUnion({
  hashing: { dimensions: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_536 })) },
  http: { url: Schema.String, model: Schema.String },
  transformers: {
    /** A directory, or a name on Hugging Face's hub. */
    model: Schema.String,
    /** The precision of the weights, such as `fp32` or `q8`. */
    dtype: Schema.String,
    pooling: Pooling,
    maxTokens: Schema.Natural
  }
})

/**
 * @category models
 * @since 0.1.0
 */
export type EmbedderSpec = typeof EmbedderSpec.Type

/**
 * An embedder in words.
 *
 * @category getters
 * @since 0.1.0
 */
export const describe: (spec: EmbedderSpec) => string = EmbedderSpec.match({
  hashing: () => "hashed words",
  http: ({ model, url }) => `${model} on ${url}`,
  transformers: ({ dtype, model }) => `${model} (${dtype})`
})

const natural = (text: string): number | undefined => /^[1-9]\d{0,6}$/.test(text) ? Number(text) : undefined

const parseTransformers = (
  text: string,
  poolingOf: (model: string) => Pooling
): Result.Result<EmbedderSpec, string> => {
  const [model = "", query = ""] = text.split("?", 2)
  if (model === "") return Result.fail("transformers needs a model: transformers:DIRECTORY or transformers:NAME")
  const spec = { dtype: "fp32", pooling: poolingOf(model), maxTokens: 256 }
  for (const setting of query === "" ? [] : query.split("&")) {
    const [key, value = ""] = setting.split("=", 2)
    if (key === "dtype" && value !== "") spec.dtype = value
    else if (key === "pooling" && (value === "mean" || value === "cls")) spec.pooling = value
    else if (key === "max-tokens" && natural(value) !== undefined) spec.maxTokens = natural(value) ?? 0
    else return Result.fail(`${setting} is none of dtype=…, pooling=mean, pooling=cls and max-tokens=NUMBER`)
  }
  return Result.succeed(EmbedderSpec.cases.transformers.make({ model, ...spec }))
}

/**
 * An embedder as the command line writes it: {@link parse} reads the same from it. `poolingOf` tells the pooling of a
 * model from its name.
 *
 * @category formatting
 * @since 0.2.0
 */
export const format = (spec: EmbedderSpec, poolingOf: (model: string) => Pooling): string => {
  if (spec._tag === "hashing") return `hashing:${spec.dimensions}`
  if (spec._tag === "http") return `${spec.url}#${spec.model}`
  const settings = [
    ...(spec.dtype === "fp32" ? [] : [`dtype=${spec.dtype}`]),
    ...(spec.pooling === poolingOf(spec.model) ? [] : [`pooling=${spec.pooling}`]),
    ...(spec.maxTokens === 256 ? [] : [`max-tokens=${spec.maxTokens}`])
  ]
  return `transformers:${spec.model}${settings.length === 0 ? "" : `?${settings.join("&")}`}`
}

/**
 * Reads an embedder as the command line writes it: `hashing`, `hashing:256`, `transformers:MODEL`,
 * `transformers:MODEL?dtype=q8&pooling=cls&max-tokens=128`, or the address of a server and its model,
 * `http://127.0.0.1:8080/v1/embeddings#MODEL`. `poolingOf` tells the pooling of a model from its name.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string, poolingOf: (model: string) => Pooling): Result.Result<EmbedderSpec, string> => {
  const colon = text.indexOf(":")
  const kind = colon === -1 ? text : text.slice(0, colon)
  const rest = colon === -1 ? "" : text.slice(colon + 1)
  switch (kind) {
    case "hashing": {
      const dimensions = rest === "" ? 512 : natural(rest)
      return dimensions === undefined || dimensions > 65_536
        ? Result.fail(`hashing:${rest}: the dimensions must be a number from 1 to 65536`)
        : Result.succeed(EmbedderSpec.cases.hashing.make({ dimensions }))
    }
    case "transformers":
      return parseTransformers(rest, poolingOf)
    case "http":
    case "https": {
      const [url = "", model = ""] = text.split("#", 2)
      return !/^https?:\/\/[^/]/.test(url) || !URL.canParse(url)
        ? Result.fail(`${url} is no http(s) URL`)
        : model === ""
        ? Result.fail(`${url} needs the model's name behind it: ${url}#intfloat/e5-base-v2`)
        : Result.succeed(EmbedderSpec.cases.http.make({ url, model }))
    }
    default:
      return Result.fail(`"${text}" is none of hashing, transformers:MODEL and http://…#MODEL`)
  }
}
