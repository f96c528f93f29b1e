/**
 * Why an optional package cannot be used.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * An optional package is not installed, cannot be loaded, or could not be installed; `mend` says what to do.
 *
 * @category errors
 * @since 0.1.0
 */
export class PackageUnavailable extends Schema.TaggedError<PackageUnavailable>()("PackageUnavailable", {
  package: Schema.String,
  reason: Schema.String,
  mend: Schema.String
}) {
  override get message() {
    return `${this.package}: ${this.reason}. ${this.mend}`
  }
}
