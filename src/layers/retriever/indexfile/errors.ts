/**
 * What can be wrong with an index on disk.
 *
 * @since 0.1.0
 */
import { Effect, type PlatformError, Schema } from "effect"
import type { FileUnwritable } from "../../atomicFile.ts"
import * as SystemReason from "../../systemReason.ts"

/**
 * The file is no index, is cut off, or has changed since it was written.
 *
 * @category errors
 * @since 0.1.0
 */
export class IndexCorrupt extends Schema.TaggedError<IndexCorrupt>()("IndexCorrupt", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path} is no usable index: ${this.reason}`
  }
}

/**
 * The file cannot be read or written.
 *
 * @category errors
 * @since 0.1.0
 */
export class IndexIo extends Schema.TaggedError<IndexIo>()("IndexIo", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.path}: ${this.reason}`
  }
}

/**
 * The vectors of an index were made by another embedder than the one that queries would be embedded by: another model,
 * other weights of the same name, or the same program with another treatment of text.
 *
 * @category errors
 * @since 0.2.0
 */
export class EmbedderMismatch extends Schema.TaggedError<EmbedderMismatch>()("EmbedderMismatch", {
  path: Schema.String,
  /** The embedder that the index names. */
  built: Schema.String,
  /** The embedder that it was opened with. */
  given: Schema.String,
  /** How they differ. */
  reason: Schema.String,
  /** What to do instead of searching for the wrong passages. */
  mend: Schema.String
}) {
  override get message() {
    const other = this.given === this.built
      ? "the embedder of that name makes others now"
      : `${this.given} makes others`
    return `${this.path} holds vectors by ${this.built}, and ${other}: ${this.reason}. ${this.mend}`
  }
}

/**
 * Makes what the file system refuses the error of the index at `path`, in words.
 *
 * @category combinators
 * @since 0.2.0
 */
export const ioOf = (path: string) =>
  Effect.mapError((error: PlatformError.PlatformError | FileUnwritable | IndexIo) =>
    error._tag === "IndexIo" ? error : new IndexIo({ path, reason: SystemReason.of(error) })
  )
