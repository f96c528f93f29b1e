/**
 * The flag that names an embedding model.
 *
 * @since 0.1.0
 */
import { Effect, type Option, Result, Schema } from "effect"
import * as EmbedderSpec from "../domain/EmbedderSpec.ts"
import { poolingOf } from "../layers/embedder/EmbedderTransformers.ts"
import * as Flag from "./flag.ts"
import { userError } from "./userError.ts"

/**
 * @category flags
 * @since 0.1.0
 */
export const embedderFlag = (purpose: string): Flag.Flag<Option.Option<EmbedderSpec.EmbedderSpec>> =>
  Flag.String("embedder").pipe(
    Flag.withMetavar("EMBEDDER"),
    Flag.withDescription(
      `${purpose}: transformers:MODEL (a directory or a name on the hub; ?dtype=q8&max-tokens=128 behind it), ` +
        "http://…/v1/embeddings#MODEL (key in EMBEDDER_API_KEY), or hashing[:DIMENSIONS], which needs no model"
    ),
    Flag.mapEffect((text) => {
      const parsed = EmbedderSpec.parse(text, poolingOf)
      return Result.isSuccess(parsed)
        ? Effect.succeed(parsed.success)
        : Effect.fail(userError(`--embedder ${parsed.failure}`))
    }),
    Flag.optional
  )

/**
 * How many texts a server that embeds is sent at once.
 *
 * @category flags
 * @since 0.2.0
 */
export const embedderBatchFlag: Flag.Flag<Option.Option<number>> = Flag.Int("embedder-batch").pipe(
  Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(0))),
  Flag.withMetavar("TEXTS"),
  Flag.withDescription(
    "Texts in one request to a server that embeds, at most (default 64, or fewer where the server takes fewer)"
  ),
  Flag.optional
)
