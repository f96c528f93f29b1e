/**
 * The embedder that an index names.
 *
 * @since 0.1.0
 */
import { Config, Effect, type FileSystem, Layer, Option, type Path } from "effect"
import type { HttpClient } from "effect/http"
import type { EmbedderSpec } from "../../domain/EmbedderSpec.ts"
import type { Embedder } from "../../services/Embedder.ts"
import type { PackageUnavailable } from "../optional/PackageUnavailable.ts"
import type { ServerOptions } from "../retriever/serverBatches.ts"
import type { OnnxModelUnavailable } from "../transformers/library.ts"
import * as EmbedderHashing from "./EmbedderHashing.ts"
import * as EmbedderHttp from "./EmbedderHttp.ts"
import * as EmbedderTransformers from "./EmbedderTransformers.ts"

/**
 * The embedder of a description. `server` is for one that asks a server. A server's key is `EMBEDDER_API_KEY` of the environment, where it wants one.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  spec: EmbedderSpec,
  server?: ServerOptions
): Layer.Layer<
  Embedder,
  PackageUnavailable | OnnxModelUnavailable,
  FileSystem.FileSystem | Path.Path | HttpClient.HttpClient
> => {
  switch (spec._tag) {
    case "hashing":
      return EmbedderHashing.layer(spec)
    case "http":
      return Layer.unwrap(
        Config.Redacted("EMBEDDER_API_KEY").pipe(
          Config.option,
          Effect.orElseSucceed(() => Option.none()),
          Effect.map((key) => EmbedderHttp.layer({ ...server, ...spec, key: Option.getOrUndefined(key) }))
        )
      )
    case "transformers":
      return EmbedderTransformers.layer(spec)
  }
}
