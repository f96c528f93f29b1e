/**
 * What can be wrong with the files of a tokenizer.
 *
 * @since 0.1.0
 */
import { Effect, type FileSystem, type PlatformError, Result, Schema } from "effect"
import * as Json from "../../domain/Json.ts"
import * as SystemReason from "../systemReason.ts"
import * as TextFile from "../textFile.ts"

/**
 * A file of a tokenizer is not there. `reason` tells what was looked for, or what to do about it.
 *
 * @category errors
 * @since 0.1.0
 */
export class TokenizerFileMissing extends Schema.TaggedError<TokenizerFileMissing>()("TokenizerFileMissing", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}: ${this.reason}`
  }
}

/**
 * A file of a tokenizer cannot be read or is not of its format.
 *
 * @category errors
 * @since 0.1.0
 */
export class TokenizerFileInvalid extends Schema.TaggedError<TokenizerFileInvalid>()("TokenizerFileInvalid", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path} is not valid: ${this.reason}`
  }
}

/**
 * A tokenizer has a part of a kind that is not supported.
 *
 * @category errors
 * @since 0.1.0
 */
export class TokenizerUnsupported extends Schema.TaggedError<TokenizerUnsupported>()("TokenizerUnsupported", {
  path: Schema.String,
  part: Schema.String,
  found: Schema.String,
  supported: Schema.Array(Schema.String)
}) {
  override get message() {
    return `${this.path}: the ${this.part} is of type ${this.found}, which is not supported; supported: ${
      this.supported.join(", ")
    }`
  }
}

/**
 * A setting names a special token that the vocabulary does not have.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownSpecialToken extends Schema.TaggedError<UnknownSpecialToken>()("UnknownSpecialToken", {
  path: Schema.String,
  setting: Schema.String,
  token: Schema.String
}) {
  override get message() {
    return `${this.path}: ${this.setting} is "${this.token}", which the vocabulary does not have`
  }
}

/**
 * Why a tokenizer could not be loaded.
 *
 * @category errors
 * @since 0.1.0
 */
export const TokenizerError = Schema.Union([
  TokenizerFileMissing,
  TokenizerFileInvalid,
  TokenizerUnsupported,
  UnknownSpecialToken
])

/**
 * @category errors
 * @since 0.1.0
 */
export type TokenizerError = typeof TokenizerError.Type

/**
 * The error of a file operation on `path`.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromPlatform =
  (path: string) => (error: PlatformError.PlatformError): TokenizerFileMissing | TokenizerFileInvalid =>
    error.reason._tag === "NotFound"
      ? new TokenizerFileMissing({ path, reason: "there is no such file" })
      : new TokenizerFileInvalid({ path, reason: SystemReason.of(error) })

const notJson = (text: string, reason: string): string =>
  text.startsWith("version https://git-lfs")
    ? "it is a pointer of Git LFS; run \"git lfs pull\" where it was cloned, or download the file"
    : reason

/**
 * The text of a tokenizer's file.
 *
 * @category constructors
 * @since 0.2.0
 */
export const readText = (
  path: string
): Effect.Effect<string, TokenizerFileMissing | TokenizerFileInvalid, FileSystem.FileSystem> =>
  TextFile.whole(path).pipe(
    Effect.mapError((error) =>
      error._tag === "FileUnreadable"
        ? new TokenizerFileInvalid({ path, reason: error.reason })
        : fromPlatform(path)(error)
    )
  )

/**
 * Reads a JSON file of the form that `schema` describes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const readJson = Effect.fnUntraced(function*<A>(
  path: string,
  schema: Schema.ConstraintDecoder<A>
): Effect.fn.Return<A, TokenizerFileMissing | TokenizerFileInvalid, FileSystem.FileSystem> {
  const text = yield* readText(path)
  const json = yield* Effect.fromResult(Result.mapError(
    Json.decode(Schema.Unknown)(text),
    (reason) => new TokenizerFileInvalid({ path, reason: notJson(text, reason) })
  ))
  return yield* Effect.fromResult(Result.mapError(
    Schema.decodeUnknownResult(schema)(json),
    (error) => new TokenizerFileInvalid({ path, reason: error.message.replaceAll(/\s+/gu, " ") })
  ))
})
