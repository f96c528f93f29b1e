/**
 * What a checkpoint directory says about its own content.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { sha256 } from "../hash.ts"

/** Raised when older versions could not read what is written. */
const FORMAT = 2

const Sha256 = Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))

/**
 * Where one blob is in the file of all blobs, and its content's hash.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Blob = Schema.Struct({
  name: Schema.String,
  offset: Schema.Natural,
  bytes: Schema.Natural,
  sha256: Sha256
})

/**
 * @category models
 * @since 0.1.0
 */
export type Blob = typeof Blob.Type

/**
 * @category schemas
 * @since 0.1.0
 */
export const Manifest = Schema.Struct({
  format: Schema.Literal(FORMAT),
  step: Schema.Natural,
  metric: Schema.NullOr(Schema.Finite),
  state: Schema.Json,
  blobs: Schema.Array(Blob)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Manifest = typeof Manifest.Type

/** The manifest as text with its own hash, so that a damaged one is noticed too. */
const Envelope = Schema.fromJsonString(Schema.Struct({ sha256: Sha256, manifest: Schema.String }))

const Text = Schema.fromJsonString(Manifest)
const Format = Schema.fromJsonString(Schema.Struct({ format: Schema.Int }))

/**
 * @category encoding
 * @since 0.1.0
 */
export const encode = (manifest: Omit<Manifest, "format">): Effect.Effect<string, Schema.SchemaError> =>
  Schema.encodeEffect(Text)({ format: FORMAT, ...manifest }).pipe(
    Effect.flatMap((text) => Schema.encodeEffect(Envelope)({ sha256: sha256(text), manifest: text }))
  )

/**
 * The manifest, or in one sentence why it is none.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = Effect.fnUntraced(function*(text: string): Effect.fn.Return<Manifest, string> {
  const envelope = yield* Effect.mapError(Schema.decodeEffect(Envelope)(text), () => "its manifest is damaged")
  if (sha256(envelope.manifest) !== envelope.sha256) {
    return yield* Effect.fail("its manifest does not have the checksum that it was written with")
  }
  const { format } = yield* Effect.mapError(
    Schema.decodeEffect(Format)(envelope.manifest),
    () => "its manifest has no format version"
  )
  if (format !== FORMAT) {
    return yield* Effect.fail(`it is of format ${format}, this version reads format ${FORMAT}`)
  }
  return yield* Effect.mapError(
    Schema.decodeEffect(Text)(envelope.manifest),
    (error) => `its manifest is of another shape: ${error.message}`
  )
})
