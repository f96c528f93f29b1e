/**
 * What can be missing when the torch device is built.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * The build stopped. `lacks` is what was missing, `mend` what to do about it.
 *
 * @category errors
 * @since 0.1.0
 */
export class TorchInstallError extends Schema.TaggedError<TorchInstallError>()("TorchInstallError", {
  lacks: Schema.Literals(["platform", "python", "torch", "cuda", "compiler", "headers", "build", "load", "writable"]),
  reason: Schema.String,
  mend: Schema.String
}) {
  override get message() {
    return `the torch device was not installed: ${this.reason}. ${this.mend}`
  }
}
