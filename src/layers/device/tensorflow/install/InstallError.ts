/**
 * What can be missing when TensorFlow is installed.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * The installation stopped. `lacks` is what was missing, `mend` what to do about it.
 *
 * @category errors
 * @since 0.1.0
 */
export class InstallError extends Schema.TaggedError<InstallError>()("InstallError", {
  lacks: Schema.Literals([
    "platform",
    "disk",
    "npm",
    "packages",
    "python",
    "pip",
    "tensorflow",
    "checksum",
    "compiler",
    "binding",
    "writable"
  ]),
  reason: Schema.String,
  mend: Schema.String
}) {
  override get message() {
    return `TensorFlow was not installed: ${this.reason}. ${this.mend}`
  }
}
