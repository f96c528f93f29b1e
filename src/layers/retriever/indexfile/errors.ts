/**
 * What can be wrong with an index on disk.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

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
